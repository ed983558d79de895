"""A DICOM header → what it says of the instance: identifiers, facts, times and what is asked of the ledger. Pure.

Values are read as text and checked here; pixels are never touched.
"""

import codecs
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydicom.charset import python_encoding
from pydicom.datadict import tag_for_keyword
from pydicom.uid import CTImageStorage, MRImageStorage

from db import series
from producers.dicom.age import age_at, age_of
from producers.dicom.elements import read_elements
from producers.dicom.file import Instance
from producers.dicom.times import acquired, date_of
from producers.dicom.view import VIEW_CODES, view_of
from stream import facts as names
from stream.arrival import JoinSeries, JudgeNow
from stream.errors import Refused
from stream.feeds import FeedConfig
from stream.identity import Identities

KEYWORDS = (
    "SpecificCharacterSet",
    "ImageType",
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyDate",
    "AcquisitionDate",
    "ContentDate",
    "AcquisitionDateTime",
    "StudyTime",
    "AcquisitionTime",
    "ContentTime",
    "Modality",
    "StationName",
    "PresentationIntentType",
    "TimezoneOffsetFromUTC",
    "PatientID",
    "IssuerOfPatientID",
    "PatientBirthDate",
    "PatientSex",
    "PatientAge",
    "BodyPartExamined",
    "ViewPosition",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "NumberOfSeriesRelatedInstances",
    "NumberOfFrames",
)
_TAGS = {keyword: int(tag_for_keyword(keyword) or 0) for keyword in KEYWORDS}
_WANTED = frozenset({*_TAGS.values(), VIEW_CODES})

_SEXES = {"M": "male", "F": "female", "O": "other"}
#: SOP classes whose instances are slices of one volume, when they have a single frame.
_SLICES = frozenset({CTImageStorage, MRImageStorage})
_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_NAMED_TEXTS = (
    (names.MODALITY, "Modality"),
    (names.BODY_PART, "BodyPartExamined"),
    (names.PRESENTATION_INTENT, "PresentationIntentType"),
)


@dataclass(frozen=True, kw_only=True)
class Header:
    """Checked identifiers and the text of every other keyword of ``KEYWORDS`` that is there and not empty."""

    sop_class: str
    sop_instance: str
    study: str
    series: str
    frames: int
    view: str
    texts: Mapping[str, str]

    @property
    def is_slice(self) -> bool:
        """Whether the instance is one slice of a series, to be judged with the others."""
        return self.sop_class in _SLICES and self.frames <= 1


def parse_header(instance: Instance) -> Header:
    """Read and check what is needed of an instance; raises Refused, ``where`` being the DICOM keyword."""
    _check_uid(instance.transfer_syntax, "TransferSyntaxUID")
    values = read_elements(instance.dataset, instance.transfer_syntax, _WANTED)
    encoding = _encoding(values.get(_TAGS["SpecificCharacterSet"], b""))
    texts = {keyword: _text(values[tag], encoding) for keyword, tag in _TAGS.items() if tag in values}
    texts = {keyword: text for keyword, text in texts.items() if text}
    header = Header(
        sop_class=_uid(texts, "SOPClassUID"),
        sop_instance=_uid(texts, "SOPInstanceUID"),
        study=texts.get("StudyInstanceUID", ""),
        series=texts.get("SeriesInstanceUID", ""),
        frames=_count(texts, "NumberOfFrames") or 1,
        view=view_of(texts.get("ViewPosition", ""), values.get(VIEW_CODES, b""), instance.transfer_syntax),
        texts=texts,
    )
    if header.is_slice:
        _uid(texts, "SeriesInstanceUID")
    return header


def patient_key(header: Header, *, identities: Identities, config: FeedConfig) -> str:
    """The key of (IssuerOfPatientID, PatientID); empty without a PatientID. A bare number is good inside the feed ``dicom``."""
    number = header.texts.get("PatientID", "")
    authority = header.texts.get("IssuerOfPatientID", "") or config.authority
    return identities.patient_key(authority=authority, number=number, feed="dicom") if number else ""


def ask_for(header: Header, *, config: FeedConfig, received_at: datetime, sender: str = "") -> JudgeNow | JoinSeries:
    """A single-frame CT or MR instance joins its series; anything else is judged by itself.

    ``sender``: the calling AE title; where its source is configured, the series remembers whom to ask for its count.
    """
    facts = facts_of(header, config.defaults)
    taken = acquired(header.texts, zone=config.time_zone, received_at=received_at)
    acquired_at = taken.at if taken else None
    if taken and taken.repeated_hour:
        facts[names.REPEATED_HOUR] = True
    if not header.is_slice:
        return JudgeNow(case_key=f"image:{header.sop_instance}", modality="scan", facts=facts, acquired_at=acquired_at)
    expected = _count(header.texts, "NumberOfSeriesRelatedInstances") or None
    declared = {series.EXPECTED: expected} if expected else {}
    return JoinSeries(
        case_key=f"{series.PREFIX}{header.series}",
        facts={**facts, **declared, **series.source_facts(sender, header.study, config.sources)},
        quiet_seconds=config.quiet(header.texts.get("Modality", "").upper()),
        expected=expected,
        acquired_at=acquired_at,
    )


def facts_of(header: Header, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """What the header says in the words of ``stream.facts``; ``defaults`` fill in what it leaves out."""
    texts = header.texts
    facts: dict[str, Any] = {name: texts[keyword].upper() for name, keyword in _NAMED_TEXTS if keyword in texts}
    facts[names.SOP_CLASS] = header.sop_class
    if header.view:
        facts[names.VIEW] = header.view
    if "ImageType" in texts:
        facts[names.IMAGE_TYPE] = [part.strip() for part in texts["ImageType"].split("\\")]
    if "NumberOfFrames" in texts:
        facts[names.FRAMES] = header.frames
    if (sex := _SEXES.get(texts.get("PatientSex", "").upper())) is not None:
        facts[names.SEX] = sex
    if (age := _age(texts)) is not None:
        facts[names.AGE_YEARS] = age
    supplied = {name: value for name, value in defaults.items() if name not in facts}
    return {**facts, **supplied, names.DEFAULTS: sorted(supplied)} if supplied else facts


def _age(texts: Mapping[str, str]) -> float | None:
    """At StudyDate from PatientBirthDate, else PatientAge."""
    born, studied = date_of(texts.get("PatientBirthDate", "")), date_of(texts.get("StudyDate", ""))
    age = age_at(born, studied) if born and studied else None
    return age if age is not None else age_of(texts.get("PatientAge", ""))


def _encoding(value: bytes) -> str:
    """The Python codec of SpecificCharacterSet; the parts of ISO 2022 do not matter to the values that are read here."""
    term = value.decode("ascii", "replace").split("\\")[0].strip(" \0")
    encoding = python_encoding.get(term, "latin-1")
    try:
        return codecs.lookup(encoding).name
    except LookupError:
        return "latin-1"


def _text(value: bytes, encoding: str) -> str:
    return value.decode(encoding, "replace").strip(" \0\t\r\n")


def _uid(texts: Mapping[str, str], keyword: str) -> str:
    if keyword not in texts:
        raise Refused(f"{keyword} is missing", where=keyword)
    return _check_uid(texts[keyword], keyword)


def _check_uid(text: str, keyword: str) -> str:
    if len(text) > 64 or not _UID.fullmatch(text):
        raise Refused(f"{keyword} is no UID", where=keyword)
    return text


def _count(texts: Mapping[str, str], keyword: str) -> int:
    """An IS value of 0 or more; 0 when it is not there."""
    text = texts.get(keyword, "0").lstrip("+")
    if not (text.isascii() and text.isdigit()) or len(text) > 10:
        raise Refused(f"{keyword} is no count", where=keyword)
    return int(text)
