"""What is a note and what only points to one."""

import re

#: A shorter text says nothing that could be judged.
LEAST_CHARACTERS = 20

_POINTER = re.compile(
    r"(please )?(see|refer to|cf\.?)( the| attached| separate| above| below)*( comments?| notes?| report| text)?\W*", re.IGNORECASE
)
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")


def clean_text(text: str) -> str:
    r"""``text`` with ``\n`` as its only line end and without unprintable characters and blanks at its ends."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").replace("\v", "\n").replace("\f", "\n")
    return _UNPRINTABLE.sub(" ", lines).strip()


def is_note(text: str) -> bool:
    """False for "see comment" and its like, and for texts of less than about 20 characters."""
    stripped = text.strip()
    return len(stripped) >= LEAST_CHARACTERS and _POINTER.fullmatch(stripped) is None
