"""What every view has at hand: the ledger, the content, the templates; and a request as a view takes it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse, Response

from console.access import Access, Visitor
from console.picture import Pictures
from console.pulse import Pulse
from console.words import FILTERS
from db.engine import Database
from db.look_event import small_content
from db.places import find_places
from stream.content import ContentStore
from stream.errors import DxstreamError
from stream.settings import Settings

HERE = Path(__file__).parent

#: Path → what the menu calls it.
MENU = (
    ("/", "Now"), ("/events", "Events"), ("/patients", "Patient"), ("/dead", "Dead and rejected"), ("/models", "Models"),
    ("/backlog", "Backlog"),
)  # fmt: skip


class NotFound(DxstreamError):
    """There is nothing at this address."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One request. ``place``: what its path names; ``form``: what a POST carries."""

    path: str
    visitor: Visitor
    place: Mapping[str, Any] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    form: Mapping[str, list[str]] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    def one(self, name: str) -> str:
        """The last value of a form's field; empty without one."""
        return self.form.get(name, [""])[-1].strip()

    def number(self, name: str) -> int | None:
        """A query's whole number, None where it is none."""
        text = self.query.get(name, "")
        return int(text) if text.isascii() and text.isdigit() and len(text) < 18 else None


@dataclass(kw_only=True)
class Site:
    """The console's parts, one of each a process."""

    settings: Settings
    database: Database
    store: ContentStore
    access: Access
    pulse: Pulse
    pictures: Pictures = field(default_factory=Pictures)

    def __post_init__(self) -> None:
        self._templates = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters.update(FILTERS)

    def page(self, template: str, asked: Asked, *, status: int = 200, **values: Any) -> Response:
        """A page of ``templates`` with the menu and the visitor."""
        here = {"menu": MENU, "path": asked.path, "visitor": asked.visitor, "takes_token": self.access.takes_token}
        return HTMLResponse(self._templates.get_template(template).render(**here, **values), status)

    def content(self, digest: str) -> bytes:
        """The bytes that a digest names; raises Broken when they are gone."""
        with self.database.read() as connection:
            small = small_content(connection, digest)
            places = {} if small is not None else find_places(connection, [digest])
        if small is not None:
            return small
        return places[digest].read() if digest in places and not self.store.path(digest).exists() else self.store.get(digest)


View = Callable[[Site, Asked], Response]
