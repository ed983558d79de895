"""The DICOM libraries' own log lines and warnings quote what was sent: only that something failed, and where, goes into our log."""

import logging
import warnings

from pynetdicom import _config

log = logging.getLogger(__name__)


def silence_libraries() -> None:
    """For the whole process; may be called again."""
    _config.LOG_HANDLER_LEVEL = "none"
    warnings.filterwarnings("ignore", module=r"pydicom|pynetdicom")
    for name in ("pynetdicom", "pydicom"):
        library = logging.getLogger(name)
        library.setLevel(logging.ERROR)
        library.propagate = False
        if not any(isinstance(one, _Failures) for one in library.handlers):
            library.addHandler(_Failures())


class _Failures(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        """The error's class alone: its message may hold what was sent."""
        if record.exc_info and record.exc_info[0]:
            log.error("a DICOM library failed: error=%s at=%s:%d", record.exc_info[0].__name__, record.module, record.lineno)
