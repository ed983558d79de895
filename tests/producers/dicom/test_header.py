from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from dicom_samples import CT, SECONDARY_CAPTURE, ct_slice, file_of, projection
from pydicom import Dataset

from producers.dicom.age import age_at, age_of
from producers.dicom.file import read_file
from producers.dicom.header import Header, ask_for, facts_of, parse_header, patient_key
from stream.arrival import JoinSeries, JudgeNow
from stream.errors import Refused
from stream.feeds import FeedConfig
from stream.identity import Identities

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PLAIN = FeedConfig(name="dicom")


def header_of(dataset: Dataset) -> Header:
    return parse_header(read_file(file_of(dataset)))


def ask_of(dataset: Dataset, config: FeedConfig = PLAIN) -> JudgeNow | JoinSeries:
    return ask_for(header_of(dataset), config=config, received_at=NOW)


def facts(**keywords: Any) -> dict[str, Any]:
    return facts_of(header_of(projection(**keywords)), {})


def key_of(identities: Identities, config: FeedConfig = PLAIN, **keywords: Any) -> str:
    return patient_key(header_of(projection(**keywords)), identities=identities, config=config)


def test_a_radiograph_says_all_that_a_card_asks_for() -> None:
    said = facts()
    assert (said["age_years"], said["sex"]) == (4, "female")
    assert (said["modality"], said["body_part"], said["view"]) == ("DX", "CHEST", "PA")
    assert said["presentation_intent"] == "FOR PRESENTATION"
    assert said["image_type"] == ["ORIGINAL", "PRIMARY"]
    assert "frames" not in said
    assert "defaults" not in said


@pytest.mark.parametrize(
    ("text", "years"),
    [("005Y", 5), ("018M", 1.5), ("030M", 2), ("052W", 0.997), ("003D", 0.008), ("000D", 0.0), ("5Y", 5)],
)
def test_patient_age_in_days_weeks_months_and_years(text: str, years: float) -> None:
    assert age_of(text) == pytest.approx(years, abs=1e-3)


@pytest.mark.parametrize("text", ["", "000Y", "000M", "Y", "abc", "999Y", "-01Y"])
def test_an_age_that_says_nothing_is_unknown(text: str) -> None:
    assert age_of(text) is None


@pytest.mark.parametrize(
    ("born", "on", "years"),
    [
        (date(2019, 3, 1), date(2024, 2, 29), 4),
        (date(2019, 3, 1), date(2024, 3, 1), 5),
        (date(2020, 2, 29), date(2021, 2, 28), 0.997),
        (date(2020, 2, 29), date(2021, 3, 1), 1.0),
        (date(2022, 1, 1), date(2023, 7, 2), 1.499),
        (date(2023, 1, 1), date(2023, 1, 1), 0.0),
    ],
)
def test_completed_years_and_below_two_a_fraction(born: date, on: date, years: float) -> None:
    assert age_at(born, on) == pytest.approx(years, abs=2e-3)


@pytest.mark.parametrize("born", [date(2023, 1, 2), date(1800, 1, 1)])
def test_a_birth_that_cannot_be_gives_no_age(born: date) -> None:
    assert age_at(born, date(2023, 1, 1)) is None


def test_the_birth_date_comes_before_the_stated_age() -> None:
    assert facts(PatientAge="040Y")["age_years"] == 4
    assert facts(PatientAge="040Y", PatientBirthDate=None)["age_years"] == 40
    assert "age_years" not in facts(PatientBirthDate=None)
    assert "age_years" not in facts(StudyDate=None, ContentDate="20230302")


def test_defaults_fill_in_what_the_header_leaves_out_and_say_so() -> None:
    filled = facts_of(header_of(projection(BodyPartExamined=None)), {"body_part": "CHEST", "view": "AP"})
    assert (filled["body_part"], filled["view"], filled["defaults"]) == ("CHEST", "PA", ["body_part"])


@pytest.mark.parametrize(
    ("keywords", "moment"),
    [
        ({}, datetime(2023, 3, 2, 10, 15, tzinfo=UTC)),
        ({"TimezoneOffsetFromUTC": "+0200"}, datetime(2023, 3, 2, 8, 15, tzinfo=UTC)),
        ({"ContentDate": "20230303", "ContentTime": "0920"}, datetime(2023, 3, 3, 9, 20, tzinfo=UTC)),
        ({"AcquisitionDate": "20230304", "AcquisitionTime": "111213.5"}, datetime(2023, 3, 4, 11, 12, 13, 500_000, tzinfo=UTC)),
        ({"AcquisitionDateTime": "20230305060708-0500"}, datetime(2023, 3, 5, 11, 7, 8, tzinfo=UTC)),
        ({"AcquisitionDateTime": "20230305"}, datetime(2023, 3, 2, 10, 15, tzinfo=UTC)),
        ({"AcquisitionDate": "20230304"}, datetime(2023, 3, 2, 10, 15, tzinfo=UTC)),
        ({"StudyTime": None}, None),
        ({"StudyDate": "20990101"}, None),
        ({"StudyTime": "251500"}, None),
    ],
)
def test_when_the_image_was_taken(keywords: dict[str, str | None], moment: datetime | None) -> None:
    assert ask_of(projection(**keywords)).acquired_at == moment


def test_a_time_without_an_offset_is_the_feeds_own() -> None:
    berlin = FeedConfig(name="dicom", time_zone=ZoneInfo("Europe/Berlin"))
    assert ask_of(projection(), berlin).acquired_at == datetime(2023, 3, 2, 9, 15, tzinfo=UTC)
    assert ask_of(projection(StudyDate="20230702"), berlin).acquired_at == datetime(2023, 7, 2, 8, 15, tzinfo=UTC)


@pytest.mark.parametrize(("clock", "offset", "flagged"), [("0230", None, True), ("0130", None, False), ("0230", "+0100", False)])
def test_a_time_that_stands_twice_is_flagged(clock: str, offset: str | None, flagged: bool) -> None:
    berlin = FeedConfig(name="dicom", time_zone=ZoneInfo("Europe/Berlin"))
    ask = ask_of(projection(StudyDate="20221030", StudyTime=clock, TimezoneOffsetFromUTC=offset), berlin)
    assert ask.facts.get("repeated_hour", False) is flagged


def test_a_projection_image_is_judged_by_itself() -> None:
    sent = projection()
    ask = ask_of(sent)
    assert isinstance(ask, JudgeNow)
    assert (ask.case_key, ask.modality) == (f"image:{sent.SOPInstanceUID}", "scan")


def test_a_ct_slice_joins_its_series() -> None:
    ask = ask_of(ct_slice("1.2.3", 1), FeedConfig(name="dicom", quiet_seconds={"CT": 7.0}))
    assert isinstance(ask, JoinSeries)
    assert (ask.case_key, ask.quiet_seconds, ask.expected) == ("series:1.2.3", 7.0, None)


def test_a_declared_count_is_what_the_series_waits_for() -> None:
    ask = ask_of(ct_slice("1.2.3", 1, NumberOfSeriesRelatedInstances=120))
    assert isinstance(ask, JoinSeries)
    assert ask.expected == 120


@pytest.mark.parametrize(
    "keywords",
    [{"SOPClassUID": CT, "NumberOfFrames": 3}, {"SOPClassUID": SECONDARY_CAPTURE}, {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2.1"}],
)
def test_multi_frame_enhanced_and_captured_instances_are_judged_by_themselves(keywords: dict[str, Any]) -> None:
    assert isinstance(ask_of(projection(Modality="CT", **keywords)), JudgeNow)


@pytest.mark.parametrize("keyword", ["SOPClassUID", "SOPInstanceUID"])
def test_an_instance_without_its_identifiers_is_refused(keyword: str) -> None:
    with pytest.raises(Refused) as refusal:
        header_of(projection(**{keyword: None}))
    assert refusal.value.where == keyword


def test_a_slice_without_its_series_is_refused_and_a_radiograph_is_not() -> None:
    header_of(projection(SeriesInstanceUID=None))
    with pytest.raises(Refused) as refusal:
        header_of(projection(SOPClassUID=CT, SeriesInstanceUID=None))
    assert refusal.value.where == "SeriesInstanceUID"


@pytest.mark.parametrize(
    ("there", "instead"), [(b"1.2.3.4.5", b"1.2.x.4.5"), (b"1.2.3.4.5", b"../../../"), (b"1.2.3.4.5", b"1.2..4.5.")]
)
def test_an_identifier_that_is_no_uid_is_refused(there: bytes, instead: bytes) -> None:
    content = file_of(projection(SOPInstanceUID="1.2.3.4.5")).replace(there, instead)
    with pytest.raises(Refused) as refusal:
        parse_header(read_file(content))
    assert refusal.value.where == "SOPInstanceUID"


def test_bare_numbers_of_two_feeds_never_join() -> None:
    identities = Identities(b"key")
    assert key_of(identities) != identities.patient_key(authority="", number="CANARY1", feed="hl7")


def test_one_number_of_two_authorities_is_two_patients() -> None:
    identities = Identities(b"key")
    keys = {key_of(identities, IssuerOfPatientID=issuer) for issuer in (None, "North", "South")}
    assert len(keys) == 3


def test_the_same_authority_over_another_feed_is_the_same_patient() -> None:
    identities = Identities(b"key", {"north hospital": "north"})
    here = key_of(identities, IssuerOfPatientID="North Hospital")
    assert here == identities.patient_key(authority="north", number="CANARY1", feed="hl7")
    assert here == key_of(identities, FeedConfig(name="dicom", authority="north"))


def test_without_a_patient_id_there_is_no_patient() -> None:
    assert key_of(Identities(b"key"), PatientID=None) == ""
    assert key_of(Identities(b"key"), PatientID="") == ""


def test_a_series_may_be_spread_over_character_sets() -> None:
    identities = Identities(b"key")
    assert key_of(identities, SpecificCharacterSet="ISO_IR 192", PatientID="Müller") == key_of(
        identities, SpecificCharacterSet="ISO_IR 100", PatientID="Müller"
    )
