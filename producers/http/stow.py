"""The routes under /dicom-web: STOW-RS, which hands each instance to the DICOM feed."""

import asyncio
import json
from http import HTTPStatus
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from producers.door import Door
from producers.fhir.answers import RETRY_AFTER, fault
from producers.http.body import answered, read_body
from stream.errors import Refused, Temporary, Unsupported

DICOM_JSON = "application/dicom+json"

#: The most bytes of one request, about 250 slices of a CT; taking it in needs up to four times as much memory.
BODY_LIMIT = 128 * 2**20

#: So many requests are taken in at the same time, which bounds that memory; the others wait.
TAKEN_AT_ONCE = 2


class StowRoutes:
    """The DICOMweb endpoints of one door."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self._taking = asyncio.Semaphore(TAKEN_AT_ONCE)

    def routes(self) -> list[Route]:
        """For Starlette."""
        paths = ("/dicom-web/studies", "/dicom-web/studies/{study}")
        return [Route(path, self.store, methods=["POST"]) for path in paths]

    async def store(self, request: Request) -> Response:
        """PS3.18 10.5: 200 all stored, 202 some, 409 none, 400 no multipart, 415 not DICOM."""
        try:
            async with self._taking:
                body = await read_body(request, BODY_LIMIT)
                status, answer = await run_in_threadpool(self._store, body, request)
        except Unsupported as error:
            raise answered(415, "not-supported", error.reason) from None
        except Refused as error:
            raise answered(400, "structure", error.reason) from None
        except Temporary as error:
            raise fault(error) from None
        headers = {"Retry-After": str(RETRY_AFTER)} if status >= HTTPStatus.INTERNAL_SERVER_ERROR else {}
        return Response(json.dumps(answer), status, headers, media_type=DICOM_JSON)

    def _store(self, body: bytes, request: Request) -> tuple[int, dict[str, Any]]:
        from producers.dicom.stow import parse_multipart, store_instances  # noqa: PLC0415 - pydicom only where pictures are sent

        parts = parse_multipart(body, request.headers.get("content-type", ""))
        sender = request.client.host if request.client else ""
        return store_instances(self.door, parts, request.path_params.get("study", ""), sender)
