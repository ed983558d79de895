"""Reading one message: separators, escape sequences, character sets, line ends, batches."""

import hl7
import pytest
from hl7_sender import header, message, oru, patient, result
from hypothesis import given
from hypothesis import strategies as st

from producers.hl7.charset import split_batch
from producers.hl7.message import Message, read_message
from stream.errors import Refused


def read(frame: bytes, fallback: str = "utf-8") -> Message:
    return read_message(frame, fallback)


@pytest.mark.parametrize("separators", ["|^~\\&", "$%~\\&", "!$*?@", "^~|\\&", "|^~\\&#"])
def test_any_separators_that_msh_declares_are_read(separators: str) -> None:
    field, component, repetition, escape, sub = separators[:5]
    lines = (
        field.join(("MSH", separators[1:], "LAB", f"HOSP{component}2")),
        field.join(("OBX", "1", f"a{component}b{sub}c{repetition}d", f"x{escape}S{escape}y")),
    )
    obx = read(message(*lines)).first("OBX")
    assert [obx.text(2), obx.text(2, 2), obx.text(2, 2, 2)] == ["a", "b", "c"]
    assert obx.repetitions(2)[1] == "d"
    assert obx.text(3) == f"x{component}y"


def test_separators_that_mean_two_things_are_refused() -> None:
    with pytest.raises(Refused, match="ambiguous"):
        read(b"MSH|^&&^|LAB\rPID|1\r")


def test_a_short_msh_2_leaves_the_other_separators_undeclared() -> None:
    obx = read(b"MSH|^|LAB\rOBX|1|a^b~c&d\r").first("OBX")
    assert obx.text(2, 2) == "b~c&d"


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        (r"a\F\b\S\c\T\d\R\e\E\f", "a|b^c&d~e\\f"),
        (r"one\.br\two\.sp+1\three", "one\ntwo\nthree"),
        (r"\H\bold\N\ \.in+4\text", "bold text"),
        (r"one\X0D\\XC3A4\two", "one\rätwo"),
        (r"C:\temp\new", r"C:\temp\new"),
        (r"50\% and \q\ stay", r"50\% and \q\ stay"),
    ],
)
def test_escape_sequences_have_their_meaning_and_other_backslashes_are_text(sent: str, meant: str) -> None:
    assert read(message(header("ORU^R01"), f"NTE|1||{sent}")).first("NTE").text(3) == meant


def test_the_null_field_is_empty() -> None:
    pid = read(message(header("ORU^R01"), 'PID|""|""^""')).first("PID")
    assert pid.raw(1) == pid.text(2) == pid.text(2, 2) == ""


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"])
def test_every_line_end_reads_the_same(end: str) -> None:
    frame = oru(result()).replace(b"\r", end.encode())
    assert [one.name for one in read(frame).segments] == ["MSH", "PID", "OBR", "OBX"]


def test_a_line_break_within_a_text_goes_on_with_the_segment() -> None:
    frame = message(header("ORU^R01"), patient()) + b"NTE|1||first line\nsecond line, no segment|\nNTE|2||other\r"
    notes = list(read(frame).all("NTE"))
    assert [note.text(3) for note in notes] == ["first line\nsecond line, no segment", "other"]


@pytest.mark.parametrize(
    ("declared", "codec"),
    [
        ("", "utf-8"),
        ("UNICODE UTF-8", "utf-8"),
        ("8859/1", "latin-1"),
        ("8859/2", "iso8859-2"),
        ("8859/15", "iso8859-15"),
        ("GB 18030-2000", "gb18030"),
        ("8859/1~UNICODE UTF-8", "latin-1"),
    ],
)
def test_msh_18_says_which_characters_the_bytes_are(declared: str, codec: str) -> None:
    text = {"gb18030": "张伟", "iso8859-2": "Łódź"}.get(codec, "Ärzte")
    lines = f"{header('ORU^R01', f18=declared)}\rNTE|1||{text}\r"
    assert read(lines.encode(codec)).first("NTE").text(3) == text


def test_the_feed_says_the_character_set_where_msh_18_does_not() -> None:
    assert read("MSH|^~\\&|LAB\rNTE|1||Ärzte\r".encode("latin-1"), "iso8859-1").first("NTE").text(3) == "Ärzte"


def test_bytes_that_do_not_fit_the_character_set_are_refused() -> None:
    with pytest.raises(Refused, match="do not fit") as refusal:
        read(f"{header('ORU^R01', f18='ASCII')}\rNTE|1||Ä\r".encode())
    assert refusal.value.where == "MSH^1^18"


def test_an_unknown_character_set_is_refused() -> None:
    with pytest.raises(Refused, match="not known"):
        read(message(header("ORU^R01", f18="KLINGON")))


def test_a_further_character_set_that_is_named_and_not_used_changes_nothing() -> None:
    assert read(message(header("ORU^R01", f18="ASCII~ISO IR87"), "NTE|1||plain")).first("NTE").text(3) == "plain"


@pytest.mark.parametrize(
    ("declared", "text"),
    [
        ("ASCII~ISO IR87", "患者は入院した".encode("iso2022_jp")),
        ("~ISO IR87", "患者".encode("iso2022_jp")),
        ("", "患者".encode("iso2022_jp")),
        ("8859/1~8859/2", b"\x1b-B\xa3"),
        ("ASCII~ISO IR87", b"\\M2442\\34\\C2842\\"),
    ],
)
def test_a_text_in_a_further_character_set_is_refused_before_it_can_be_judged(declared: str, text: bytes) -> None:
    with pytest.raises(Refused, match="further character set") as refusal:
        read(message(header("ORU^R01", f18=declared)) + b"NTE|1||" + text + b"\r")
    assert refusal.value.where == "MSH^1^18"


def test_two_messages_in_one_frame_are_refused() -> None:
    with pytest.raises(Refused, match="more than one message"):
        read(oru(result()) + oru(result()))


def test_a_batch_file_gives_its_messages_without_their_envelope() -> None:
    one, two = oru(result(), control_id="1"), oru(result(), control_id="2")
    batch = b"FHS|^~\\&|LAB\rBHS|^~\\&|LAB\r" + one + two + b"BTS|2\rFTS|1\r"
    assert split_batch(batch) == [one, two]
    assert split_batch(b"\xef\xbb\xbf" + one.replace(b"\r", b"\n")) == [one.replace(b"\r", b"\n")]
    assert split_batch(b"\x0b" + one + b"\x1c\x0d\x0b" + two + b"\x1c\x0d") == [one, two]
    assert split_batch(b"no message at all") == [b"no message at all"]


def test_what_python_hl7_reads_is_read_the_same() -> None:
    frame = oru(result(value="a^b&c~d", kind="ST"), result(code="2951-2^Na^LN^X^y^L"))
    theirs = hl7.parse(frame.decode())
    ours = read(frame)
    for segment, other in zip(ours.segments, theirs, strict=True):
        assert [segment.raw(field) for field in range(1, len(other))] == [str(other[field]) for field in range(1, len(other))]


@given(st.binary(max_size=200))
def test_any_bytes_behind_msh_are_a_message_or_refused(tail: bytes) -> None:
    try:
        found = read(b"MSH|^~\\&|" + tail)
    except Refused:
        return
    assert found.header.name == "MSH"
