"""What one prediction leaned on, in the form in which it is stored and shown. Knows no tensor."""

from dataclasses import dataclass

PNG = "image/png"
JSON = "application/json"


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """``kind``: heat_map (PNG, RGBA, to be laid over the picture), results or tokens (JSON); ``label``: the finding explained.

    ``method``: how it was computed; weights say by how much the finding's log odds would fall without the thing.
    """

    kind: str
    label: str
    method: str
    media_type: str
    body: bytes
