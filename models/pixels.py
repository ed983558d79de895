"""Bytes → an 8-bit picture in its displayed polarity: DICOM (one frame, greyscale), JPEG or PNG. Knows no network.

The steps follow DICOM PS3.3 C.11 (modality LUT, then VOI LUT or window, then polarity), of an enhanced image by its functional
groups; the whole chain becomes one table from stored value to grey, so that a 16-bit image costs one look-up a pixel.
"""

import struct
from io import BytesIO
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.encaps import generate_frames
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi
from pydicom.uid import JPEGBaseline8Bit

from models.encoded import claimed_shape, has_16_bits
from models.short_header import Elements, read_short
from stream.errors import Rejected
from stream.functional_groups import apply_groups

#: A picture may take this many bytes when decoded, and this many times its encoded bytes.
MAX_BYTES = 256 * 2**20
MAX_RATIO = 2000
#: Why three samples a pixel are refused, and a palette whose entries are no greys: cards are trained on, and meant for, one.
COLOUR = "a colour image: this model judges grey ones"
#: What pydicom and its decoders are known to raise on broken input.
BROKEN = (
    ArithmeticError,
    AttributeError,
    BytesLengthException,
    EOFError,
    InvalidDicomError,
    LookupError,
    NotImplementedError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
)

Grey = NDArray[np.uint8]


def read_picture(content: bytes) -> Grey:
    """(rows, columns) greys 0 to 255, dark to bright as displayed; raises Rejected with the reason in words."""
    if content[128:132] == b"DICM":
        return _read_dicom(content)
    if content[:2] == b"\xff\xd8" or content[:4] == b"\x89PNG":
        return _read_encoded(content)
    raise Rejected("neither a DICOM file nor a JPEG or PNG")


def _read_encoded(content: bytes) -> Grey:
    shape = claimed_shape(content)
    if shape is None:
        raise Rejected("picture cannot be decoded: no size in its header")
    deep = has_16_bits(content)
    check_size(shape[0] * shape[1] * (1 + deep), len(content), MAX_RATIO)
    try:
        picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_ANYDEPTH if deep else cv2.IMREAD_GRAYSCALE)
    except cv2.error as error:
        raise Rejected("picture cannot be decoded") from error
    if picture is None:
        raise Rejected("picture cannot be decoded")
    return _as_used(picture) if deep else picture.astype(np.uint8, copy=False)


def _as_used(stored: NDArray[Any]) -> Grey:
    """Greys of the range that is used: a PNG does not say how many of its 16 bits hold the picture."""
    values = stored.astype(np.float64)
    return np.rint(_by_range(values, values) * 255.0).astype(np.uint8)


def check_size(claimed: int, there: int, ratio: int) -> None:
    """Raises Rejected when ``claimed`` bytes of pixels are none, too many, or over ``ratio`` times what is ``there``."""
    if claimed <= 0:
        raise Rejected("an image without rows or columns")
    if claimed > min(MAX_BYTES, ratio * there):
        raise Rejected(f"claims too much: {claimed} bytes of pixels in a file of {there}")


def _read_dicom(content: bytes) -> Grey:
    short = read_short(content)
    if short is not None:
        check_size(short.stored.nbytes, len(content), 1)
        return _displayed(short.elements, short.stored)
    try:
        dataset = dcmread(BytesIO(content))
        check_claims(dataset, len(content))
        apply_groups(dataset, 0)
        stored = _stored_values(dataset)
        return _displayed(dataset, stored)
    except BROKEN as error:
        raise Rejected(f"picture cannot be decoded: {type(error).__name__}") from error


def check_claims(dataset: Dataset, there: int) -> None:
    """Raises Rejected before anything is decoded when the header claims more than ``there`` bytes can hold, or several frames."""
    if "PixelData" not in dataset:
        raise Rejected("no pixels in this DICOM file")
    frames = int(dataset.get("NumberOfFrames") or 1)
    if frames != 1:
        raise Rejected(f"several frames: {frames}, this model judges one image")
    if int(dataset.SamplesPerPixel) != 1:
        raise Rejected(COLOUR)
    if int(dataset.BitsStored) > 16:
        raise Rejected("more than 16 bits a pixel")
    claimed = int(dataset.Rows) * int(dataset.Columns) * -(-int(dataset.BitsAllocated) // 8)
    check_size(claimed, there, MAX_RATIO if dataset.file_meta.TransferSyntaxUID.is_compressed else 1)


def _stored_values(dataset: Dataset) -> NDArray[np.integer[Any]]:
    """(rows, columns) stored values. Baseline JPEG goes through OpenCV, so that it is read as in training."""
    syntax = dataset.file_meta.TransferSyntaxUID
    if not syntax.is_encapsulated:
        return np.asarray(dataset.pixel_array)
    frame = next(generate_frames(dataset.PixelData, number_of_frames=1))
    shape = claimed_shape(frame)
    if shape not in (None, (dataset.Rows, dataset.Columns)):
        raise Rejected(f"two sizes: {dataset.Rows} by {dataset.Columns} in the header, {shape} in the pixels")
    return _read_encoded(frame) if syntax == JPEGBaseline8Bit else np.asarray(dataset.pixel_array)


def _displayed(dataset: Dataset | Elements, stored: NDArray[np.integer[Any]]) -> Grey:
    """(rows, columns) greys of stored values; padding becomes black, whatever the polarity."""
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        return _by_palette(cast(Dataset, dataset), stored)
    bits, signed = int(dataset.BitsStored), int(dataset.get("PixelRepresentation") or 0) == 1
    first = -(2 ** (bits - 1)) if signed else 0
    index = stored.astype(np.int32) - first if signed else stored
    padding = _padding(dataset)
    left_out = None if padding is None else (stored >= padding[0]) & (stored <= padding[1])
    shown = index if left_out is None else index[~left_out]
    grey = _look_up(_grey_table(dataset, first, bits, shown), index)
    if left_out is not None:
        grey[left_out] = 0
    return np.asarray(grey, np.uint8)


def _by_palette(dataset: Dataset, stored: NDArray[np.integer[Any]]) -> Grey:
    """The greys that the stored values stand for (PS3.3 C.7.6.3.1.5); raises Rejected where one of them is a colour."""
    colours = apply_color_lut(stored, dataset)  # (rows, columns, 3)
    if (colours != colours[..., :1]).any():
        raise Rejected(COLOUR)
    return (colours[..., 0] >> (8 * colours.itemsize - 8)).astype(np.uint8)


def _look_up(table: Grey, index: NDArray[np.integer[Any]]) -> Grey:
    """(rows, columns) greys; a value beyond the table is its last. OpenCV does in a quarter of NumPy's time what it can do."""
    if index.dtype == np.uint16:
        whole = np.full(2**16, table[-1], np.uint8)
        whole[: len(table)] = table
        try:
            return np.asarray(cv2.LUT(index, whole), np.uint8)
        except cv2.error:  # before version 5 it knew 8 bits alone
            pass
    return np.asarray(table.take(index, mode="clip"), np.uint8)


def _padding(dataset: Dataset | Elements) -> tuple[int, int] | None:
    """The inclusive range of stored values that are no picture (PixelPaddingValue, PixelPaddingRangeLimit)."""
    value = dataset.get("PixelPaddingValue")
    if value is None:
        return None
    limit = dataset.get("PixelPaddingRangeLimit", value)
    return min(int(value), int(limit)), max(int(value), int(limit))


def _grey_table(dataset: Dataset | Elements, first: int, bits: int, shown: NDArray[np.integer[Any]]) -> Grey:
    """(2**bits,) grey of each possible stored value from ``first`` on; ``shown``: places in it that the picture uses."""
    values = np.arange(first, first + 2**bits).astype(np.int16 if first < 0 else np.uint16)
    modality = np.asarray(apply_modality_lut(values, cast(Dataset, dataset)), np.float64)
    if "VOILUTSequence" in dataset and dataset.VOILUTSequence:
        share = _by_voi_table(dataset, modality)
    elif dataset.get("WindowWidth") not in (None, "") and dataset.get("WindowCenter") not in (None, ""):
        share = _by_window(dataset, modality)
    elif bits <= 8 or not shown.size:
        share = _by_range(modality, modality[[0, -1]])
    else:
        share = _by_range(modality, modality.take([shown.min(), shown.max()], mode="clip"))
    if _inverted(dataset):
        share = 1.0 - share
    return np.rint(share * 255.0).astype(np.uint8)


def _inverted(dataset: Dataset | Elements) -> bool:
    """Whether the lowest value is shown white. A header that says it in both places still means one inversion."""
    inverse = dataset.get("PresentationLUTShape") == "INVERSE"
    return bool(inverse or dataset.PhotometricInterpretation == "MONOCHROME1")


def _by_range(modality: NDArray[np.float64], ends: NDArray[np.float64]) -> NDArray[np.float64]:
    """The range between two ``ends`` → 0 to 1; for 8 bits the ends of all that can be stored: taken as it is."""
    low, high = float(ends.min()), float(ends.max())
    return np.clip((modality - low) / max(high - low, 1e-9), 0.0, 1.0)


def _by_voi_table(dataset: Dataset | Elements, modality: NDArray[np.float64]) -> NDArray[np.float64]:
    looked_up = np.asarray(apply_voi(np.rint(modality).astype(np.int32), cast(Dataset, dataset)), np.float64)
    depth = int(dataset.VOILUTSequence[0].LUTDescriptor[2])
    return np.clip(looked_up / (2.0**depth - 1.0), 0.0, 1.0)


def _by_window(dataset: Dataset | Elements, modality: NDArray[np.float64]) -> NDArray[np.float64]:
    """The first window, by PS3.3 C.11.2.1.2 and .3: LINEAR, LINEAR_EXACT or SIGMOID."""
    centre, width = _first(dataset.WindowCenter), max(_first(dataset.WindowWidth), 1e-9)
    function = dataset.get("VOILUTFunction") or "LINEAR"
    if function == "SIGMOID":
        return np.asarray(1.0 / (1.0 + np.exp(np.clip(-4.0 * (modality - centre) / width, -500, 500))))
    if function == "LINEAR_EXACT":
        return np.clip((modality - centre) / width + 0.5, 0.0, 1.0)
    return np.clip((modality - (centre - 0.5)) / max(width - 1.0, 1e-9) + 0.5, 0.0, 1.0)


def _first(value: Any) -> float:
    return float(value[0]) if hasattr(value, "__getitem__") and not isinstance(value, str) else float(value)


def squash(picture: Grey, side: int) -> Grey:
    """(side, side): the aspect ratio is not kept, as in the training set."""
    return np.asarray(cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
