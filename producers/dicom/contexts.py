"""Which presentation contexts we accept: C-ECHO, and every storage SOP class in every transfer syntax that pynetdicom knows."""

from collections.abc import Iterable, Mapping

from pydicom._uid_dict import UID_dictionary
from pydicom.uid import UID
from pynetdicom import ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts

from producers.dicom.pdu import Proposal

#: The SOP class of C-ECHO.
VERIFICATION = "1.2.840.10008.1.1"
#: UIDs that DICOM gives itself; all others are private.
_STANDARD = "1.2.840.10008."
#: Below it stand the SOP classes of composite instances; what is called storage elsewhere stores nothing.
_COMPOSITE = "1.2.840.10008.5.1.4."

#: Where a sender offers several transfer syntaxes for one context, these are taken first, and these last.
_FIRST = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")
_LAST = ("1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99")

#: Every transfer syntax that we take, the most wanted first.
TRANSFER_SYNTAXES = (*_FIRST, *(str(one) for one in ALL_TRANSFER_SYNTAXES if one not in (*_FIRST, *_LAST)), *_LAST)
#: The current storage SOP classes; retired and private ones are taken too, see ``is_storage``.
STORAGE_CLASSES = frozenset(str(context.abstract_syntax) for context in AllStoragePresentationContexts)

_RANK = {syntax: rank for rank, syntax in enumerate(TRANSFER_SYNTAXES)}

#: Results of a presentation context, PS3.8 table 9-18.
ACCEPTED, NO_ABSTRACT_SYNTAX, NO_TRANSFER_SYNTAX = 0, 3, 4


def is_storage(abstract_syntax: str) -> bool:
    """Whether instances of this SOP class can be stored: current, retired, or a vendor's own."""
    if abstract_syntax in STORAGE_CLASSES:
        return True
    if abstract_syntax.startswith(_STANDARD):
        return _is_retired_storage(UID(abstract_syntax))
    return len(abstract_syntax) <= 64 and abstract_syntax.replace(".", "").isdigit()


def _is_retired_storage(uid: UID) -> bool:
    return uid.startswith(_COMPOSITE) and uid in UID_dictionary and uid.type == "SOP Class" and "Storage" in uid.name


def negotiate(proposals: Iterable[Proposal]) -> Mapping[int, tuple[int, str]]:
    """Context → result and transfer syntax; of several offered ones the most wanted."""
    return {one.context_id: _negotiate(one) for one in proposals}


def _negotiate(one: Proposal) -> tuple[int, str]:
    known = [syntax for syntax in one.transfer_syntaxes if syntax in _RANK]
    if not is_storage(one.abstract_syntax) and one.abstract_syntax != VERIFICATION:
        return NO_ABSTRACT_SYNTAX, _FIRST[1]
    if not known:
        return NO_TRANSFER_SYNTAX, _FIRST[1]
    return ACCEPTED, min(known, key=_RANK.__getitem__)
