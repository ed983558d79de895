import pytest
from dicom_samples import file_of, projection
from pydicom import Dataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from producers.dicom.file import read_file
from producers.dicom.header import parse_header

AP, PA = ("399348003", "SCT"), ("R-10214", "SRT")


def coded(code: str, scheme: str, *, undefined: bool, **keywords: object) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code, scheme, "a view"
    item.is_undefined_length_sequence_item = undefined
    dataset = projection(ViewPosition=None, ViewCodeSequence=[item], **keywords)
    dataset["ViewCodeSequence"].is_undefined_length = undefined
    return dataset


def view(dataset: Dataset, syntax: str = ExplicitVRLittleEndian) -> str:
    return parse_header(read_file(file_of(dataset, syntax))).view


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize("undefined", [False, True])
def test_a_code_says_the_view(syntax: str, undefined: bool) -> None:
    assert view(coded(*AP, undefined=undefined), syntax) == "AP"
    assert view(coded(*PA, undefined=undefined), syntax) == "PA"


@pytest.mark.parametrize(
    ("code", "scheme", "word"),
    [("R-10206", "SNM3", "AP"), ("R-10236", "99SDM", "LL"), ("399198007", "SCT", "RL"), ("R-10206", "SCT", ""), ("", "", "")],
)
def test_only_a_code_of_its_own_scheme_counts(code: str, scheme: str, word: str) -> None:
    assert view(coded(code, scheme, undefined=False)) == word


def test_the_position_goes_before_the_code() -> None:
    dataset = coded(*AP, undefined=False)
    dataset.ViewPosition = "PA"
    assert view(dataset) == "PA"


def test_an_empty_sequence_says_nothing() -> None:
    assert view(projection(ViewPosition=None, ViewCodeSequence=[])) == ""
    assert view(projection(ViewPosition=None)) == ""
