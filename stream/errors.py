"""Every error of ours; the class decides the fate.

    DxstreamError
    ├── Temporary          try again later: no disk, no database, no memory on the device
    │   ├── OutOfSpace     the disk is full or above its watermark
    │   └── NotReadableError   one file alone cannot be read: its event is tried again, and all others go on
    ├── Refused            the sender's content is at fault: answer in the protocol's own words, never retry
    │   ├── Unsupported    well formed, but not something that this port takes
    │   └── Unwritable     well formed too, but the ledger cannot hold it: the intake has counted it already
    ├── NotJudged          a done event without a prediction
    │   ├── Rejected       a gate refused the input; outcome ``rejected``
    │   └── Unmatched      no active model is meant for it; outcome ``unmatched``
    ├── Broken             this event can never be judged: straight to ``dead``
    └── Fatal              this process must end and be started again (a lost device, a lost lease)

Messages are shown to senders and operators and are stored with the event, so they never hold a patient's name, number or date.
"""


class DxstreamError(Exception):
    """The root; never raised itself."""


class Temporary(DxstreamError):
    """Not now: the sender or the worker tries again later."""


class OutOfSpace(Temporary):
    """The content store is full, read-only or above its watermark."""


class NotReadableError(Temporary):
    """One file cannot be read now; its event is tried again, and all others go on."""


class Refused(DxstreamError):
    """The sender's content is at fault.

    ``where`` names the place in the protocol's own words (an HL7 ``PID^1^3``, a FHIRPath, a DICOM keyword).
    """

    def __init__(self, reason: str, *, where: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.where = where


class Unsupported(Refused):
    """Well formed, but not something that this port takes."""


class Unwritable(Refused):
    """The ledger itself cannot hold it: found at the commit, and counted there."""


class NotJudged(DxstreamError):
    """The event ends ``done`` without a prediction, with a reason in words."""

    outcome = ""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Rejected(NotJudged):
    """A gate refused the input: what it needs is missing, unknown or unlike anything the model has seen."""

    outcome = "rejected"


class Unmatched(NotJudged):
    """No active model is meant for this input."""

    outcome = "unmatched"


class Broken(DxstreamError):
    """This event can never be judged, however often it is tried: its content is gone or unreadable."""


class Fatal(DxstreamError):
    """This process must end and be started again."""
