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
    """``kind(**told)``, lists as tuples.

    Raises Refused for a name that ``kind`` has not or lacks, a value of another type, and a whole number that is too small.
    """
    hints = get_type_hints(kind)
    for name, value in told.items():
        if name not in hints:
            raise Refused(f"nothing is called {name} here: {', '.join(hints)}", where=where)
        if not _fits(value, hints[name]):
            raise Refused(f"{name} is not {WORDS.get(hints[name], 'a list as it should be')}", where=where)
        _check_size(kind, name, value, where)
    missing = [one.name for one in fields(cast("Any", kind)) if one.default is MISSING and one.name not in told]
    if missing:
        raise Refused(f"{', '.join(missing)} is missing", where=where)
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in told.items()})


def _check_size(kind: type[Any], name: str, value: Any, where: str) -> None:
    """Raises Refused for a whole number below 1, also in a list; below 0 where its default is 0, which stands for none."""
    hint, least = get_type_hints(kind)[name], 0 if getattr(kind, name, None) == 0 else 1
    whole = [value] if hint is int else value if get_args(hint)[:1] == (int,) else ()
    if any(one < least for one in whole):
        raise Refused(f"{name} is below {least}", where=where)


def _fits(value: Any, hint: Any) -> bool:
    if hint in SCALARS:
        return isinstance(value, SCALARS[hint]) and not isinstance(value, bool)
    return isinstance(value, list | tuple) and all(_fits(one, get_args(hint)[0]) for one in value)
