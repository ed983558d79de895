"""The documented layouts, with their traps."""

import csv
import shutil
import tarfile

import numpy as np
import pytest
from model_samples import dicom, jpeg, picture, scan_folder

from models.examples import read_examples
from stream.errors import Refused
from stream.points import decode_points

STAY = """Time,Parameter,Value
00:00,RecordID,1
00:00,Age,54
00:00,Gender,0
00:00,Height,-1
00:00,ICUType,4
00:00,Weight,-1
00:07,HR,73
00:07,,12
01:37,Temp,-17.8
01:37,WBC,12500
02:00,MechVent,1
47:59,K,4.5
"""
OUTCOMES = "RecordID,SAPS-I,SOFA,Length_of_stay,Survival,In-hospital_death\n1,6,1,5,-1,0\n2,6,1,5,2,1\n"


@pytest.fixture
def challenge(tmp_path):
    (tmp_path / "set-a").mkdir()
    (tmp_path / "set-a" / "1.txt").write_text(STAY)
    (tmp_path / "set-a" / "2.txt").write_text("Time,Parameter,Value\n00:00,RecordID,2\n00:00,Age,-1\n00:00,Gender,-1\n")
    (tmp_path / "Outcomes-a.txt").write_text(OUTCOMES)
    return tmp_path


def test_a_stay_holds_only_possible_values_of_known_analytes(challenge):
    first, second = read_examples("lab", challenge)
    points = decode_points(first.open().contents[0])
    assert [(code, round(float(minute))) for code, minute in zip(points["code"], points["minute"], strict=True)] == [
        (b"8867-4", 7),
        (b"2823-3", 2879),
    ]
    assert dict(first.open().facts) == {"setting": "icu", "age_years": 54, "sex": "female", "care_unit": "surgical"}
    assert (first.label, second.label) == ("survival", "in-hospital death")


def test_a_stay_with_only_static_rows_has_no_points_and_unknown_facts(challenge):
    second = read_examples("lab", challenge)[1].open()
    assert len(decode_points(second.contents[0])) == 0
    assert dict(second.facts) == {"setting": "icu"}


def test_a_tar_reads_as_its_folder(challenge, tmp_path):
    packed = tmp_path / "all.tar.gz"
    with tarfile.open(packed, "w:gz") as archive:
        archive.add(challenge / "set-a", "set-a")
        archive.add(challenge / "Outcomes-a.txt", "Outcomes-a.txt")
    folder, tar = read_examples("lab", challenge), read_examples("lab", packed)
    assert [(one.id, one.label, one.open()) for one in folder] == [(one.id, one.label, one.open()) for one in tar]


def test_a_long_csv_is_converted_to_the_models_units(stays):
    points = decode_points(read_examples("lab", stays)[0].open().contents[0])
    creatinine = points[points["code"] == b"2160-0"]
    assert len(creatinine) == 8
    assert np.all((creatinine["value"] > 0.2) & (creatinine["value"] < 5))
    assert creatinine["minute"][1] == 370


def test_a_row_that_cannot_be_converted_is_told_of(tmp_path):
    (tmp_path / "outcomes.csv").write_text("patient,label\np,a\n")
    (tmp_path / "r.csv").write_text("patient,time,code,value,unit\np,0,2160-0,1.0,\np,0,2160-0,1.0,mg/dL\np,0,0-0,1,kg\n")
    sample = read_examples("lab", tmp_path)[0].open()
    assert len(decode_points(sample.contents[0])) == 1
    assert [one["reason"] for one in sample.facts["refused_points"]] == ["no unit", "no analyte has this code"]


def groups(path):
    return {one.id: one.group for one in read_examples("scan", path)}


def test_a_persons_numbering_restarts_per_type(tmp_path):
    (tmp_path / "P").mkdir()
    for number, name in enumerate(("person1_bacteria_1", "person1_bacteria_2", "person1_virus_6", "IM-0001-0001", "IM-0001-0002")):
        (tmp_path / "P" / f"{name}.jpeg").write_bytes(jpeg(picture(0, number, 16)))
    found = groups(tmp_path)
    assert found["P/person1_bacteria_1.jpeg"] == found["P/person1_bacteria_2.jpeg"] != found["P/person1_virus_6.jpeg"]
    assert found["P/IM-0001-0001.jpeg"] == found["P/IM-0001-0002.jpeg"]


def test_exact_copies_of_two_patients_stay_together(tmp_path):
    (tmp_path / "P").mkdir()
    for name, seed in (("person1_virus_1", 1), ("person1_virus_2", 2), ("person2_virus_3", 2), ("person3_virus_4", 3)):
        (tmp_path / "P" / f"{name}.png").write_bytes(jpeg(picture(0, seed, 16)))
    found = groups(tmp_path)
    assert len(set(found.values())) == 2
    assert found["P/person1_virus_1.png"] == found["P/person2_virus_3.png"]


def test_dicom_files_of_one_patient_stay_together_whatever_their_labels(tmp_path):
    for number, label in enumerate("PPN"):
        (tmp_path / label).mkdir(exist_ok=True)
        (tmp_path / label / f"{number}.dcm").write_bytes(dicom(picture(0, number, 16), PatientID="same"))
    assert set(groups(tmp_path).values()) == {"same"}


def test_dicom_files_without_a_patient_are_grouped_by_name(tmp_path):
    (tmp_path / "P").mkdir()
    for number, name in enumerate(("IM-0001-0001", "IM-0001-0002", "IM-0002-0001")):
        (tmp_path / "P" / f"{name}.dcm").write_bytes(dicom(picture(0, number, 16), PatientID=" " * number))
    (tmp_path / "P" / "broken.dcm").write_bytes(b"no DICOM")
    assert set(groups(tmp_path).values()) == {"P/IM-0001", "P/IM-0002", "P/broken"}


@pytest.mark.parametrize("column", ["patient", "group"])
def test_notes_of_one_text_or_patient_stay_together(column, tmp_path):
    rows = [("1", "a", "x y", "p"), ("2", "a", "z", "p"), ("3", "b", "x y", "q"), ("4", "b", "w", "r")]
    with (tmp_path / "n.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("id", "label", "text", column), *rows])
    assert len({one.group for one in read_examples("note", tmp_path)}) == 2


def test_stays_of_one_group_stay_together(tmp_path):
    (tmp_path / "outcomes.csv").write_text("patient,group,label\ns1,p,a\ns2,p,b\ns3,,b\n")
    (tmp_path / "r.csv").write_text("patient,time,code,value,unit\ns1,0,2160-0,1.0,mg/dL\n")
    assert [one.group for one in read_examples("lab", tmp_path)] == ["p", "p", "s3"]


@pytest.mark.parametrize(
    ("kind", "text"),
    [("note", "id,label,text\n1,a,x\n1,b,y\n"), ("scan", "path,label\np.png,a\np.png,b\n")],
)
def test_an_input_that_stands_twice_in_a_csv_is_refused(kind, text, tmp_path):
    (tmp_path / "p.png").write_bytes(jpeg(picture(0, 0, 16)))
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(Refused, match=r"list.csv, line 2") as told:
        read_examples(kind, tmp_path / "list.csv")
    assert told.value.where == f"{tmp_path / 'list.csv'}, line 3"


def test_labels_are_read_without_the_blanks_around_them(tmp_path):
    (tmp_path / "n.csv").write_text("id,label,text\n1, a,words\n2,b ,more words\n")
    assert [one.label for one in read_examples("note", tmp_path)] == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "reason", "line"),
    [
        ("1,a,x\n2, ,y\n", "column label is empty", ", line 3"),
        ("1,Heart,x\n2,heart,y\n", "labels Heart and heart differ only in case", ""),
    ],
)
def test_a_label_that_is_empty_or_another_but_for_its_case_is_refused(text, reason, line, tmp_path):
    (tmp_path / "n.csv").write_text(f"id,label,text\n{text}")
    with pytest.raises(Refused, match=reason) as told:
        read_examples("note", tmp_path / "n.csv")
    assert told.value.where == f"{tmp_path / 'n.csv'}{line}"


def test_folders_that_differ_only_in_case_are_refused(tmp_path):
    for label in ("Heart", "heart"):
        (tmp_path / label).mkdir()
        (tmp_path / label / "1.png").write_bytes(jpeg(picture(0, 0, 16)))
    with pytest.raises(Refused, match="labels Heart and heart differ only in case"):
        read_examples("scan", tmp_path)


@pytest.mark.parametrize(
    ("results", "reason", "line"),
    [
        ("p,2026-03-01T10:00,2160-0,1,mg/dL\n", "neither HH:MM nor minutes", 2),
        ("p,0,2160-0,1,mg/dL\np,nan,2160-0,1,mg/dL\n", "neither HH:MM nor minutes", 3),
        ("p,0,2160-0\n", "breaks off before column value", 2),
    ],
)
def test_a_result_that_cannot_be_placed_is_refused_with_its_line(results, reason, line, tmp_path):
    (tmp_path / "outcomes.csv").write_text("patient,label\np,a\n")
    (tmp_path / "r.csv").write_text(f"patient,time,code,value,unit\n{results}")
    with pytest.raises(Refused, match=reason) as told:
        read_examples("lab", tmp_path)
    assert told.value.where == f"{tmp_path / 'r.csv'}, line {line}"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("set-a/1.txt", "Time,Parameter,Value\n00:07,HR\n"),
        ("set-a/1.txt", "Time,Parameter,Value\n00:07,HR,much\n"),
        ("Outcomes-a.txt", "RecordID,Survival\n1,2\n"),
    ],
)
def test_a_file_of_the_challenge_that_is_not_as_it_should_be_is_named(name, text, challenge):
    (challenge / name).write_text(text)
    with pytest.raises(Refused, match="not as the challenge of 2012 writes it") as told:
        read_examples("lab", challenge)
    assert told.value.where == name.rpartition("/")[2]


def test_of_several_csvs_none_is_read(stays, tmp_path):
    shutil.copytree(stays, tmp_path / "stays")
    (tmp_path / "stays" / "more.csv").write_text("patient,time,code,value,unit\n")
    for name in ("a", "b"):
        (tmp_path / f"{name}.csv").write_text("id,label,text\n1,a,x\n")
    for kind, folder in (("lab", tmp_path / "stays"), ("note", tmp_path)):
        with pytest.raises(Refused, match=r"2 .*: one is needed"):
            read_examples(kind, folder)


@pytest.mark.parametrize(("written", "sex"), [("M", "male"), ("f", "female"), ("Male", "male"), ("O", "other"), ("U", None)])
def test_a_sex_may_be_written_as_hospitals_write_it(written, sex, tmp_path):
    (tmp_path / "n.csv").write_text(f"id,label,text,sex\n1,a,words,{written}\n")
    assert read_examples("note", tmp_path)[0].open().facts.get("sex") == sex


def test_a_sex_that_is_none_is_refused(tmp_path):
    (tmp_path / "n.csv").write_text("id,label,text,sex\n1,a,words,1\n")
    with pytest.raises(Refused, match="sex is none of"):
        read_examples("note", tmp_path)


def test_inputs_without_labels_are_read_where_none_are_needed(challenge, tmp_path):
    (challenge / "Outcomes-a.txt").unlink()
    own = tmp_path / "own"
    own.mkdir()
    (own / "x.png").write_bytes(jpeg(picture(0, 0, 16)))
    (own / "n.csv").write_text("id,text,ward,author\n1,words,w,a\n2,more words,w,b\n")
    (own / "results").mkdir()
    (own / "results" / "r.csv").write_text("patient,time,code,value,unit\np,0,2160-0,1.0,mg/dL\nq,0,2160-0,1.0,\n")
    found = [
        [(one.id, one.label) for one in read_examples(kind, path, labelled=False)]
        for kind, path in (("lab", challenge), ("scan", own), ("note", own / "n.csv"), ("lab", own / "results"))
    ]
    assert found == [[("1", ""), ("2", "")], [("x.png", "")], [("1", ""), ("2", "")], [("p", ""), ("q", "")]]


@pytest.mark.parametrize("kind", ["scan", "lab", "note"])
def test_a_folder_without_the_layout_is_refused(kind, tmp_path):
    with pytest.raises(Refused):
        read_examples(kind, tmp_path)


def test_a_kind_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(Refused, match="no kind"):
        read_examples("song", tmp_path)


def test_a_path_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(Refused, match="nothing at this path"):
        read_examples("scan", tmp_path / "no")


@pytest.mark.parametrize("column", ["group", "patient"])
def test_scans_listed_in_a_csv_have_the_groups_it_gives(column, tmp_path):
    scan_folder(tmp_path / "pictures", 4)
    found = sorted((tmp_path / "pictures").glob("*/*"))
    rows = [f"{file.relative_to(tmp_path)},{'yes' if number % 2 else 'no'},p{number // 2}" for number, file in enumerate(found)]
    (tmp_path / "list.csv").write_text("\n".join([f"path,label,{column}", *rows]) + "\n")
    examples = read_examples("scan", tmp_path / "list.csv")
    assert [(one.label, one.group) for one in examples] == [("no", "p0"), ("yes", "p0"), ("no", "p1"), ("yes", "p1")]
    assert examples[0].open().contents[0] == found[0].read_bytes()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("path,group\n", "no column label"),
        ("path,label\nnone.png,a\n", "not there"),
        ("path,label\nnone.png\n", "breaks off before column label"),
    ],
)
def test_a_csv_of_scans_that_does_not_keep_the_layout_is_refused(tmp_path, text, reason):
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(Refused, match=reason):
        read_examples("scan", tmp_path / "list.csv")


def test_a_dicom_files_patient_is_known_for_figures_by_group(tmp_path):
    (tmp_path / "P").mkdir()
    for name, age in (("a", "018M"), ("b", "")):
        (tmp_path / "P" / f"{name}.dcm").write_bytes(dicom(picture(0, 1, 16), PatientID=name, PatientSex="F", PatientAge=age))
    found = [dict(one.open().facts) for one in read_examples("scan", tmp_path)]
    assert found == [{"sex": "female", "age_years": 1.5}, {"sex": "female"}]


def test_a_csv_of_notes_tells_what_is_known_of_the_patient(tmp_path):
    (tmp_path / "n.csv").write_text("id,label,text,sex,age_years,care_unit\n1,a,words,male,70,ward 3\n2,b,more words,,,\n")
    found = [dict(one.open().facts) for one in read_examples("note", tmp_path)]
    assert found == [{"sex": "male", "age_years": 70.0, "care_unit": "ward 3"}, {}]


def test_an_age_that_is_no_number_is_refused(tmp_path):
    (tmp_path / "n.csv").write_text("id,label,text,age_years\n1,a,words,old\n")
    with pytest.raises(Refused, match="age_years"):
        read_examples("note", tmp_path)


def test_outcomes_may_have_several_labels(tmp_path):
    (tmp_path / "outcomes.csv").write_text("patient,labels\np,sepsis; renal failure\nq,\n")
    (tmp_path / "r.csv").write_text("patient,time,code,value,unit\np,0,2160-0,1.0,mg/dL\n")
    assert [one.labels for one in read_examples("lab", tmp_path)] == [("renal failure", "sepsis"), ()]


def test_a_note_has_its_summary_to_be_written_else_its_label(tmp_path):
    (tmp_path / "n.csv").write_text("id,label,text,summary\n1,a,words,short words\n2,b,more words,\n")
    assert [one.target for one in read_examples("note", tmp_path)] == ["short words", "b"]
