"""From which side an image was taken: ViewPosition, else the code in ViewCodeSequence (PS3.16 CID 4010). Pure."""

from producers.dicom.elements import first_item

#: ViewCodeSequence (0054,0220), and in its items CodeValue and CodingSchemeDesignator.
VIEW_CODES = 0x00540220
_CODE, _SCHEME = 0x00080100, 0x00080102

#: SNOMED CT, and the SNOMED RT codes that machines still send, as the words of ViewPosition.
_SNOMED_CT = {"399348003": "AP", "272479007": "PA", "399173006": "LL", "399198007": "RL"}
_SNOMED_RT = {"R-10206": "AP", "R-10214": "PA", "R-40888": "PA", "R-10236": "LL", "R-10232": "RL"}
_SCHEMES = {"SCT": _SNOMED_CT, "SRT": _SNOMED_RT, "SNM3": _SNOMED_RT, "99SDM": _SNOMED_RT}


def view_of(position: str, codes: bytes, transfer_syntax: str) -> str:
    """ViewPosition in upper case where it is given, else AP, PA, LL or RL from the sequence's first code, else nothing."""
    if position:
        return position.upper()
    values = first_item(codes, transfer_syntax, (_CODE, _SCHEME))
    code, scheme = (values.get(tag, b"").decode("ascii", "replace").strip(" \0").upper() for tag in (_CODE, _SCHEME))
    return _SCHEMES.get(scheme, {}).get(code, "")
