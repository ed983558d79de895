"""Small made-up sets in the documented layouts, and cards for tests. No one's data."""

import csv
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

from stream.points import POINT, encode_points

CHEST_FACTS = {"age_years": 3, "view": "AP", "modality": "DX", "body_part": "CHEST", "presentation_intent": "FOR PRESENTATION"}


def picture(ill, seed=0, side=96):
    """A body with two dark fields; ill: a bright spot in one of them."""
    rng = np.random.default_rng(seed)
    down, across = np.mgrid[0:side, 0:side] / side - 0.5
    grey = 190 * np.exp(-((across / 0.45) ** 4) - (down / 0.6) ** 4)
    for centre in (-0.18, 0.18):
        grey -= 100 * np.exp(-(((across - centre) / 0.12) ** 2) - (down / 0.25) ** 2)
    if ill:
        place = rng.uniform(-0.15, 0.15)
        grey += 110 * np.exp(-(((across - 0.18) / 0.09) ** 2) - ((down - place) / 0.09) ** 2)
    return np.clip(grey + rng.normal(0, 5, grey.shape) + 20, 0, 255).astype(np.uint8)


def jpeg(grey):
    return cv2.imencode(".jpg", grey)[1].tobytes()


def dicom(pixels, *, syntax=ExplicitVRLittleEndian, encoded=None, **elements):
    """A DICOM file's bytes around unsigned or signed pixels; ``elements`` are set last."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID("1.2.840.10008.5.1.4.1.1.1.1")
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = syntax
    dataset = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    dataset.Rows, dataset.Columns = pixels.shape[-2:]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    bits = pixels.dtype.itemsize * 8
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = bits, bits, bits - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    dataset.PixelData = encoded or pixels.tobytes()
    dataset["PixelData"].VR = "OB" if bits == 8 else "OW"
    for name, value in elements.items():
        setattr(dataset, name, value)
    out = BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    return out.getvalue()


def scan_folder(path: Path, n=120):
    for number in range(n):
        ill = number % 2
        folder = path / ("ILL" if ill else "NORMAL")
        folder.mkdir(parents=True, exist_ok=True)
        name = f"person{number // 4}_bacteria_{number}.jpeg" if ill else f"IM-{number:04d}-0001.jpeg"
        (folder / name).write_bytes(jpeg(picture(ill, number)))
    return path


def points(rows):
    """Bytes of (code, minute, value) rows."""
    out = np.zeros(len(rows), POINT)
    for place, (code, minute, value) in enumerate(rows):
        out[place] = (code.encode(), minute, value, 0)
    return encode_points(out)


def stay_csv(path: Path, n=240):
    """A long CSV: creatinine (in umol/L) and potassium; the ill ones' creatinine rises."""
    path.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(1)
    with (path / "results.csv").open("w", newline="") as file, (path / "outcomes.csv").open("w", newline="") as outcomes:
        results, labels = csv.writer(file), csv.writer(outcomes)
        results.writerow(["patient", "time", "code", "value", "unit"])
        labels.writerow(["patient", "label", "age_years", "sex"])
        for number in range(n):
            ill = number % 2
            labels.writerow([f"p{number}", "failure" if ill else "none", 40 + number % 30, "female"])
            for hour in range(0, 48, 6):
                level = 80 + ill * 4 * hour + rng.normal(0, 10)
                results.writerow([f"p{number}", f"{hour:02d}:10", "14682-9", f"{max(level, 20):.1f}", "umol/L"])
                results.writerow([f"p{number}", hour * 60 + 5, "2823-3", f"{4 + rng.normal(0, 0.3):.2f}", "mmol/L"])
    return path


HEART = "heart chest pain murmur cardiac rhythm valve artery pressure beat"
BONE = "knee fracture joint bone ligament tendon cast shoulder hip screw"
SKIN = "rash lesion skin itching dermatitis biopsy mole cream scaly redness"
FILLER = "the patient was seen and is well with no new complaint today we will follow in two weeks"


def note(label, seed, words=60):
    rng = np.random.default_rng(seed)
    own = {"heart": HEART, "bone": BONE, "skin": SKIN}[label].split()
    pool = [*own, *FILLER.split()]
    return " ".join(rng.choice(pool, words))


def note_csv(path: Path, n=180):
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "label", "text"])
        for number in range(n):
            label = ("heart", "bone", "skin")[number % 3]
            writer.writerow([number, label, note(label, number)])
    return path


def multi_note_csv(path: Path, n=180, *, columns=False):
    """Notes of none, one or two of three labels; ``columns``: a column of 0 and 1 for each instead of ``labels``."""
    names = ("heart", "bone", "skin")
    own = {"heart": HEART.split(), "bone": BONE.split(), "skin": SKIN.split()}
    rng = np.random.default_rng(7)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", *(names if columns else ["labels"]), "text", "sex"])
        for number in range(n):
            found = [name for place, name in enumerate(names) if (number >> place) & 1]
            pool = [word for name in found for word in own[name]] * 2 + FILLER.split()
            told = [int(name in found) for name in names] if columns else ["; ".join(found)]
            writer.writerow([number, *told, " ".join(rng.choice(pool, 60)), ("female", "male")[number % 2]])
    return path


def multi_scan_csv(folder: Path, n=96, side=48):
    """PNG, JPEG and DICOM files with a bright spot left, right, both or neither, two of a patient; the CSV's path."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "list.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "labels", "group", "age_years", "care_unit"])
        for number in range(n):
            left, right = number % 2, number // 2 % 2
            grey = picture(0, number, side).astype(np.float64)
            down, across = np.mgrid[0:side, 0:side] / side - 0.5
            for there, centre in ((left, -0.2), (right, 0.2)):
                grey += 120 * there * np.exp(-(((across - centre) / 0.1) ** 2) - (down / 0.1) ** 2)
            pixels = np.clip(grey, 0, 255).astype(np.uint8)
            name = f"{number}.{('png', 'jpg', 'dcm')[number % 3]}"
            (folder / name).write_bytes(dicom(pixels) if number % 3 == 2 else cv2.imencode(f".{name[-3:]}", pixels)[1].tobytes())
            labels = [one for one, there in (("left", left), ("right", right)) if there]
            writer.writerow([name, ";".join(labels), f"p{number // 4}", 3 + number % 5, "ward a" if number % 2 else "ward b"])
    return folder / "list.csv"


def thyroid_csv(path: Path, n=240):
    """A lab task of other analytes, units, window and labels: free T4 and TSH in a table of their own, three outcomes."""
    path.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(5)
    (path / "labs.csv").write_text(
        "analyte,name,loinc_mass,loinc_substance,specimen,unit,molar_unit,molar_factor,valence,"
        "plausible_low,plausible_high,physical_low,physical_high\n"
        "FT4,Free thyroxine,3024-7,14920-3,serum,ng/dL,pmol/L,12.87,,0.1,8,0.01,20\n"
        "TSH,Thyrotropin,3016-3,,serum,m[IU]/L,,,,0.005,150,0,1000\n"
    )
    with (path / "results.csv").open("w", newline="") as file, (path / "outcomes.csv").open("w", newline="") as outcomes:
        results, labels = csv.writer(file), csv.writer(outcomes)
        results.writerow(["patient", "time", "code", "value", "unit"])
        labels.writerow(["patient", "label"])
        for number in range(n):
            kind = number % 3
            labels.writerow([f"p{number}", ("euthyroid", "hyperthyroid", "hypothyroid")[kind]])
            for hour in (1, 20, 60):
                free = (16.0, 45.0, 6.0)[kind] * np.exp(rng.normal(0, 0.1))
                tsh = (2.0, 0.02, 40.0)[kind] * np.exp(rng.normal(0, 0.3))
                results.writerow([f"p{number}", f"{hour:02d}:00", "14920-3", f"{free:.2f}", "pmol/L"])
                results.writerow([f"p{number}", f"{hour:02d}:05", "3016-3", f"{tsh:.4f}", "m[IU]/L"])
    return path
