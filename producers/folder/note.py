"""A plain text file in the inbox → a note. What the text does not say (document type, age) comes from feeds.toml, ``[folder]``."""

from producers.door import Door
from stream.arrival import Arrival, WriteNote
from stream.errors import Refused
from stream.facts import DEFAULTS


def note_arrival(door: Door, content: bytes, name: str) -> Arrival:
    """``name``, the file's path in the inbox, is the document: the same name again is its next version.

    Raises Refused when the bytes are no UTF-8 text or are empty.
    """
    try:
        text = content.decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise Refused("the text is not UTF-8") from error
    if not text or "\0" in text:
        raise Refused("there is no text in this file")
    kept = door.store.put(text.encode())
    defaults = door.feeds.feed("folder").defaults
    facts = {**defaults, DEFAULTS: sorted(defaults)} if defaults else {}
    document = door.identities.digest("document", "folder", name)
    return Arrival(
        feed="folder",
        identity=f"file:{document}",
        sender_id=name,
        content=kept,
        asks=(WriteNote(case_key=f"note:{document}", text=kept, facts=facts),),
    )
