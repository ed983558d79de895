"""Whose it is: keyed hashes of identifiers, so that no number of a patient leaves the feed that brought it."""

import hmac
import os
import secrets
from collections.abc import Mapping
from pathlib import Path


class Identities:
    """Turns identifiers into keys. ``authorities``: the name as sent → the name that this installation uses."""

    def __init__(self, key: bytes, authorities: Mapping[str, str] | None = None) -> None:
        self._key = key
        self._authorities = dict(authorities or {})

    def patient_key(self, *, authority: str, number: str, feed: str, kind: str = "MR") -> str:
        """32 hexadecimal digits for (assigning authority, identifier type, identifier).

        Without an authority the number is good inside its own feed only: bare numbers of two feeds never join.
        """
        whose = self._named(authority) if authority.strip() else f"feed {feed}"
        return self.digest("patient", whose, (kind or "MR").strip().upper(), number.strip())

    def visit_key(self, *, authority: str, number: str) -> str:
        """32 hexadecimal digits for a visit's number and who assigned it, over whatever feed it comes."""
        return self.digest("visit", self._named(authority), number.strip())

    def _named(self, authority: str) -> str:
        sent = authority.strip().lower()
        return self._authorities.get(sent, sent)

    def digest(self, *parts: str) -> str:
        """A keyed hash of any identifier (a visit, a filler order number, a document): 32 hexadecimal digits."""
        message = "\x1f".join(parts).encode("utf-8", "surrogatepass")
        return hmac.digest(self._key, message, "sha256").hex()[:32]


def read_hash_key(home: Path, given: str = "") -> bytes:
    """The installation's secret: ``given`` (DXSTREAM_HASH_KEY), else the home's own file, made at the first start."""
    if given:
        return given.encode()
    path = home / "hash.key"
    home.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".hash.key.{os.getpid()}.{secrets.token_hex(4)}")
    if not path.exists():
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(secrets.token_hex(32))
        try:
            os.link(aside, path)  # the first of several processes wins; the others read its key
        except FileExistsError:
            pass
        finally:
            aside.unlink()
    return path.read_text(encoding="ascii").strip().encode()
