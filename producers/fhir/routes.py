"""The routes under /fhir: a request becomes arrivals, and is answered after their commit."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from producers.door import Door
from producers.fhir.answers import Taken, answer_bundle, became, fault
from producers.fhir.around import Around
from producers.fhir.bundle import Parsed, parse_bundle, read_entries
from producers.fhir.elements import Element, canonical, read_json, resource_type, text
from producers.fhir.origins import Origins
from producers.fhir.outcome import Issue, issue, issue_of, issues_of, operation_outcome
from producers.fhir.resource import TAKEN_ALONE, check_object, parse_resource
from producers.http.body import FHIR_JSON, AnsweredError, answered, read_body
from producers.http.token import SENDER
from stream.arrival import Arrival
from stream.errors import Refused, Temporary, Unwritable

#: The most bytes of one request; parsed, the worst JSON (lists of nothing) takes some thirty times as much memory.
BODY_LIMIT = 64 * 2**20

#: Of requests that are larger than this many bytes, or that do not say how large they are, few are served at once: that bounds
#: the memory that they take. The others wait.
LARGE = 2**20
LARGE_AT_ONCE = 2

INSTEAD_OF_DELETE = (
    "a deletion takes nothing back here: PUT the resource with status entered-in-error, and what was said of it is retracted"
)

#: Where a configured server sends the notifications of its Subscriptions.
HOOK = "/fhir/subscription-hook/{sender}"

_JSON_TYPES = (FHIR_JSON, "application/json", "application/json+fhir", "text/json", "")


Endpoint = Callable[[Request], Awaitable[JSONResponse]]


class FhirRoutes:
    """The FHIR endpoints of one door. ``wake``: polls a server at once, False for one that is not polled."""

    def __init__(self, door: Door, origins: Origins, wake: Callable[[str], bool]) -> None:
        self.door = door
        self.feed = door.feeds.feed("fhir")
        self.origins = origins
        self._wake = wake
        self._large = asyncio.Semaphore(LARGE_AT_ONCE)

    def routes(self) -> list[Route]:
        """For Starlette; a slash at the end of an address changes nothing."""
        table: Sequence[tuple[str, Endpoint, list[str]]] = (
            (HOOK, self.hear, ["POST"]),
            (f"{HOOK}/{{kind}}", self.post_resource, ["POST"]),
            (f"{HOOK}/{{kind}}/{{name}}", self.put_resource, ["POST", "PUT"]),
            ("/fhir", self.post_bundle, ["POST"]),
            ("/fhir/$process-message", self.post_bundle, ["POST"]),
            ("/fhir/{kind}", self.post_resource, ["POST"]),
            ("/fhir/{kind}/{name}", self.put_resource, ["PUT"]),
            ("/fhir/{kind}/{name}", self.delete_resource, ["DELETE"]),
        )
        return [Route(path + end, self._bounded(take), methods=methods) for path, take, methods in table for end in ("", "/")]

    def _bounded(self, endpoint: Endpoint) -> Endpoint:
        async def bounded(request: Request) -> JSONResponse:
            declared = request.headers.get("content-length", "")
            small = declared.isdigit() and int(declared) <= LARGE and "content-encoding" not in request.headers
            async with nullcontext() if small else self._large:
                return await endpoint(request)

        return bounded

    async def hear(self, request: Request) -> JSONResponse:
        """A notification of a Subscription: an empty one has its server polled, else it brings a Bundle or a resource."""
        around = self._around(request)
        raw = await read_body(request, BODY_LIMIT)
        if raw.strip():
            return await self._take_either(await self._check_json(raw, around), around)
        if not self._wake(request.path_params["sender"]):
            raise answered(422, "not-supported", "an empty notification asks us to read, but no types of this server are polled")
        told = issue("information", "informational", "the server is being read")
        return JSONResponse(operation_outcome([told]), media_type=FHIR_JSON)

    async def post_bundle(self, request: Request) -> JSONResponse:
        """A Bundle; a single resource is taken here too."""
        around = self._around(request)
        return await self._take_either(await self._read(request, around), around)

    async def _take_either(self, value: Element, around: Around) -> JSONResponse:
        if resource_type(value) != "Bundle":
            return await self._take_one(value, around)
        try:
            parsed = await _on_thread(parse_bundle, value, around)
        except Refused as error:
            raise self._refusal(422, error, canonical(value)) from None
        whole = text(value, "type") == "transaction"
        if whole and any(isinstance(one, Refused) for one in parsed):
            raise self._refused_transaction(value, parsed)
        results = await (self._take_whole(value, parsed) if whole else self._take_all(parsed))
        self._keep_entries(value, results)
        return answer_bundle(value, results)

    async def post_resource(self, request: Request) -> JSONResponse:
        """One resource of the type that the address names; a Bundle is taken here too."""
        kind = request.path_params["kind"]
        if kind == "Bundle":
            return await self.post_bundle(request)
        around = self._around(request)
        self._check_taken(kind)
        value = await self._read(request, around)
        if resource_type(value) != kind:
            raise self._refusal(400, Refused("the address names another resource type", where="resourceType"), canonical(value))
        return await self._take_one(value, around)

    async def put_resource(self, request: Request) -> JSONResponse:
        """A new version of the resource with this id."""
        kind, name = request.path_params["kind"], request.path_params["name"]
        around = self._around(request)
        self._check_taken(kind)
        value = await self._read(request, around)
        if resource_type(value) != kind or text(value, "id") not in ("", name):
            raise self._refusal(400, Refused("the address names another resource", where="id"), canonical(value))
        return await self._take_one({**value, "id": name}, around)

    async def delete_resource(self, request: Request) -> JSONResponse:
        """Nothing is taken back by it: a deletion does not say whether the resource was wrong or is only kept elsewhere."""
        self._around(request)
        self.door.intake.refused(self.feed.name, "not-supported")
        raise answered(405, "not-supported", INSTEAD_OF_DELETE, Allow="PUT")

    def _around(self, request: Request) -> Around:
        """By the server whose token was shown, or whose notifications come here; raises AnsweredError (403, 404)."""
        shown: str = request.scope.get(SENDER, "")
        named: str = request.path_params.get("sender", shown)
        if shown not in ("", named):
            raise answered(403, "forbidden", "this token is another server's")
        if named and named not in self.origins.servers:
            raise answered(404, "not-found", "feeds.toml has no server of this name")
        around = self.origins.around(named)
        if around.source or request.client is None:
            return around
        return replace(around, sender=f"address {request.client.host}")  # Patient/1 of two machines are two people

    def _check_taken(self, kind: str) -> None:
        if kind not in TAKEN_ALONE:
            self.door.intake.refused(self.feed.name, "not-supported")
            raise answered(404, "not-supported", f"of single resources only these types are taken: {', '.join(TAKEN_ALONE)}")

    async def _read(self, request: Request, around: Around) -> Element:
        """The JSON object in the body; raises AnsweredError (400, 413, 415, 503, 507)."""
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in _JSON_TYPES:
            self.door.intake.refused(self.feed.name, "not-supported")
            raise answered(415, "not-supported", f"only {FHIR_JSON} and application/json are taken, no XML")
        return await self._check_json(await read_body(request, BODY_LIMIT), around)

    async def _check_json(self, raw: bytes, around: Around) -> Element:
        if raw.lstrip()[:1] == b"<":
            self.door.intake.refused(self.feed.name, "not-supported")
            raise answered(415, "not-supported", f"this is XML; only {FHIR_JSON} and application/json are taken")
        try:
            return check_object(await _on_thread(_read_with_room, raw, around))
        except Refused as error:
            raise self._refusal(400, error, raw, code="structure") from None

    async def _take_one(self, resource: Element, around: Around) -> JSONResponse:
        try:
            arrival: Arrival = await _on_thread(parse_resource, resource, around)
        except Refused as error:
            raise self._refusal(422, error, canonical(resource)) from None
        (taken,) = await self._take_all([arrival])
        if isinstance(taken, Refused):
            raise self._refusal(422, taken, canonical(resource))
        outcome = operation_outcome(issues_of(taken.arrival, taken.receipt))
        location = {"Location": f"/fhir/{taken.arrival.sender_id}"}
        return JSONResponse(outcome, 200 if taken.receipt.known else 201, location, media_type=FHIR_JSON)

    async def _take_all(self, parsed: Sequence[Parsed]) -> list[Taken | Refused]:
        """Submit every arrival, then wait for all commits; raises AnsweredError (503, 507) when one could not be had."""
        submitted = [None if isinstance(one, Refused) else asyncio.wrap_future(self.door.intake.submit(one)) for one in parsed]
        # Shielded: a request that is given up must not cancel what the committer is about to answer.
        await asyncio.gather(*(asyncio.shield(future) for future in submitted if future), return_exceptions=True)
        return [became(one, future) for one, future in zip(parsed, submitted, strict=True)]

    async def _take_whole(self, bundle: Element, parsed: Sequence[Parsed]) -> list[Taken | Refused]:
        """Submit what goes into one commit or not at all; raises AnsweredError (422, 503, 507) when nothing was taken."""
        arrivals = [one for one in parsed if isinstance(one, Arrival)]
        submitted = asyncio.wrap_future(self.door.intake.submit_whole(arrivals))
        try:
            receipts = await asyncio.shield(submitted)
        except Unwritable as error:
            raise self._refused_transaction(bundle, [error] * len(parsed)) from None
        except Temporary as error:
            raise fault(error) from None
        return [Taken(arrival, receipt) for arrival, receipt in zip(arrivals, receipts, strict=True)]

    def _refusal(self, status: int, error: Refused, content: bytes, *, code: str = "") -> AnsweredError:
        found = issue_of(error) | ({"code": code} if code else {})
        self._keep(error, found, content)
        return AnsweredError(status, operation_outcome([found]))

    def _keep(self, error: Refused, found: Issue, content: bytes) -> None:
        """Count a refusal and keep what was refused."""
        if isinstance(error, Unwritable):
            self.door.intake.keep_unwritable(self.feed.name, error, content)
            return
        place = found.get("expression", [""])[0]
        self.door.intake.refused(self.feed.name, found["code"], content=content, place=place, words=found["diagnostics"])

    def _keep_entries(self, bundle: Element, results: Sequence[object]) -> None:
        """The refused entries of a Bundle, each by itself."""
        for place, (entry, one) in enumerate(zip(read_entries(bundle), results, strict=True)):
            if isinstance(one, Refused):
                self._keep(one, issue_of(one, place=place), canonical(entry))

    def _refused_transaction(self, bundle: Element, parsed: Sequence[Parsed]) -> AnsweredError:
        self._keep_entries(bundle, parsed)
        issues = [issue_of(one, place=place) for place, one in enumerate(parsed) if isinstance(one, Refused)]
        told = issue("error", "processing", "a transaction is taken as a whole or not at all; a batch answers entry by entry")
        return AnsweredError(422, operation_outcome([told, *issues]))


async def _on_thread(parse: Callable[[Any, Around], Any], value: Any, around: Around) -> Any:
    """Raises Refused, and AnsweredError (503, 507) when the store, the ledger or an attachment cannot be had."""
    try:
        return await run_in_threadpool(parse, value, around)
    except Temporary as error:
        raise fault(error) from None


def _read_with_room(raw: bytes, around: Around) -> Any:
    """The JSON value, once there is room to keep it; raises Refused, OutOfSpace, Temporary."""
    try:
        around.door.store.check_space(len(raw))
    except OSError as error:
        raise Temporary(f"the content store cannot be used ({error.strerror})") from None
    return read_json(raw)
