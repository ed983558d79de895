"""Times, durations and numbers as people read them; what the templates call. Pure."""

from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup, escape


def moment(at: datetime | None) -> Markup:
    """A UTC time to the second, machine-readable too."""
    if at is None:
        return Markup('<span class="none">–</span>')
    utc = at.astimezone(UTC)
    return Markup('<time datetime="{}">{}</time>').format(utc.isoformat(), f"{utc:%Y-%m-%d %H:%M:%S}")


def clock(at: datetime | None) -> Markup:
    """The same with the date left out where it is today."""
    if at is None or at.astimezone(UTC).date() != datetime.now(UTC).date():
        return moment(at)
    utc = at.astimezone(UTC)
    return Markup('<time datetime="{}" title="{}">{}</time>').format(utc.isoformat(), f"{utc:%Y-%m-%d %H:%M:%S}", f"{utc:%H:%M:%S}")


def lasting(seconds: float | None) -> str:
    """A duration in the two units that matter."""
    if seconds is None:
        return "–"
    for limit, text in (
        (0.001, "<1 ms"),
        (1.0, f"{seconds * 1000:.0f} ms"),
        (10.0, f"{seconds:.1f} s"),
        (120.0, f"{seconds:.0f} s"),
    ):
        if seconds < limit:
            return text
    if seconds < 7200:
        return f"{seconds // 60:.0f} min {seconds % 60:.0f} s"
    return f"{seconds // 3600:.0f} h {seconds % 3600 // 60:.0f} min" if seconds < 2 * 86400 else f"{seconds / 86400:.1f} days"


def ago(at: datetime | None) -> str:
    """How long it is since then, in words."""
    return "never" if at is None else f"{lasting(max((datetime.now(UTC) - at).total_seconds(), 0.0))} ago"


def share(value: float | None) -> str:
    """A probability or a proportion in percent; what is nearly certain is never written as if it were."""
    if value is None:
        return "–"
    if 0.0 < value < 0.001:
        return "<0.1\u00a0%"
    return ">99.9\u00a0%" if 0.999 < value < 1.0 else f"{value * 100:.1f}\u00a0%"


def number(value: Any) -> str:
    """Thousands apart; at most four digits that count."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "–"}[value]
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def short_key(key: str) -> Markup:
    """The beginning of a patient key or a digest, whole in its title."""
    return Markup('<code title="{}">{}</code>').format(key, f"{key[:10]}…" if len(key) > 12 else key)


def plain(value: Any) -> str:
    """A value of JSON on one line."""
    if isinstance(value, dict):
        return ", ".join(f"{name.replace('_', ' ')} {plain(one)}" for name, one in value.items())
    if isinstance(value, list):
        return ", ".join(plain(one) for one in value) or "none"
    return number(value)


def badge(state: str, outcome: str = "") -> Markup:
    """A state or an outcome as a coloured word; the word alone says it too."""
    word = outcome or state
    return Markup('<span class="badge {}">{}</span>').format(escape(word), word)


FILTERS = {one.__name__: one for one in (moment, clock, lasting, ago, share, number, short_key, plain, badge)}
