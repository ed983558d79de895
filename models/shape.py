"""A dataclass of numbers, texts and lists out of what a person wrote: what it does not know is Refused, not passed over."""

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any, TypeVar, cast, get_args, get_type_hints

from stream.errors import Refused

T = TypeVar("T")

#: What a field of a type takes; any other field is a list. A whole number is a number too.
SCALARS: Mapping[Any, tuple[type, ...]] = {int: (int,), float: (int, float), str: (str,)}
WORDS: Mapping[Any, str] = {int: "a whole number", float: "a number", str: "a text"}


def shaped(kind: type[T], told: Mapping[str, Any], where: str) -> T:
    """``kind(**told)``, lists as tuples; raises Refused for a name that ``kind`` has not or lacks, or a value of another type."""
    hints = get_type_hints(kind)
    for name, value in told.items():
        if name not in hints:
            raise Refused(f"nothing is called {name} here: {', '.join(hints)}", where=where)
        if not _fits(value, hints[name]):
            raise Refused(f"{name} is not {WORDS.get(hints[name], 'a list as it should be')}", where=where)
    missing = [one.name for one in fields(cast("Any", kind)) if one.default is MISSING and one.name not in told]
    if missing:
        raise Refused(f"{', '.join(missing)} is missing", where=where)
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in told.items()})


def _fits(value: Any, hint: Any) -> bool:
    if hint in SCALARS:
        return isinstance(value, SCALARS[hint]) and not isinstance(value, bool)
    return isinstance(value, list | tuple) and all(_fits(one, get_args(hint)[0]) for one in value)
