"""Reading a request's body within a limit, and the answer that ends a request early."""

import asyncio
from collections.abc import Mapping
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse

from producers.fhir.gzipped import TooLargeError, unzip
from producers.fhir.outcome import issue, operation_outcome
from stream.errors import Refused

FHIR_JSON = "application/fhir+json"

#: A body that takes longer than this is given up, so that slow senders cannot hold all connections. Seconds.
BODY_SECONDS = 120

#: How a compressed body's Content-Encoding is written.
GZIP = ("gzip", "x-gzip")


class AnsweredError(Exception):
    """The request is answered now, with this status and OperationOutcome."""

    def __init__(self, status: int, outcome: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"answered {status}")
        self.status = status
        self.outcome = outcome
        self.headers = dict(headers or {})

    def response(self) -> JSONResponse:
        """As Starlette sends it."""
        return JSONResponse(self.outcome, self.status, self.headers, media_type=FHIR_JSON)


def answered(status: int, code: str, diagnostics: str, **headers: str) -> AnsweredError:
    """A refusal in one issue; a header's underscores become dashes."""
    outcome = operation_outcome([issue("error", code, diagnostics)])
    return AnsweredError(status, outcome, {name.replace("_", "-"): value for name, value in headers.items()})


async def read_body(request: Request, limit: int) -> bytes:
    """At most ``limit`` bytes, unpacked where they are gzip; raises AnsweredError (400, 408, 413, 415)."""
    packing = request.headers.get("content-encoding", "").lower()
    if packing not in ("", "identity", *GZIP):
        raise answered(415, "not-supported", "of content encodings only gzip is taken")
    declared = request.headers.get("content-length", "0")
    if declared.isdigit() and int(declared) > 2 * limit:
        raise too_large(limit)
    try:
        async with asyncio.timeout(BODY_SECONDS):
            body = await _read_within(request, limit)
    except TimeoutError:
        raise answered(408, "timeout", f"the body took more than {BODY_SECONDS} seconds", Connection="close") from None
    return await run_in_threadpool(_unpack, body, limit) if packing in GZIP else body


def _unpack(packed: bytes, limit: int) -> bytes:
    try:
        return unzip(packed, limit)
    except TooLargeError:
        raise too_large(limit) from None
    except Refused as error:
        raise answered(400, "structure", f"the body is {error.reason}") from None


async def _read_within(request: Request, limit: int) -> bytes:
    body, total = bytearray(), 0
    async for chunk in request.stream():
        total += len(chunk)
        if total <= limit:
            body += chunk
        elif total > 2 * limit:
            break  # until here it is read and forgotten, so that a sender who writes first still reads the answer
    if total > limit:
        raise too_large(limit)
    return bytes(body)


def too_large(limit: int) -> AnsweredError:
    """413, and the connection ends, since the rest of the body is not read."""
    return answered(413, "too-long", f"a body may have {limit // 2**20} MiB", Connection="close")
