"""A part that was refused, of a file or page of which the rest was taken → an arrival that says so."""

from stream.arrival import Arrival
from stream.content import Content
from stream.errors import Refused


def refused_part(content: Content, error: Refused, *, feed: str, protocol: str) -> Arrival:
    """Kept with the reason, so that nothing is passed over; the same bytes taken later are another input."""
    place = f" ({error.where})" if error.where else ""
    return Arrival(
        feed=feed,
        identity=f"{protocol}:refused:{content.digest}",
        sender_id=content.digest[:16],
        content=content,
        not_used=f"refused: {error.reason}{place}",
    )
