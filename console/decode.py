"""A process of its own that turns one DICOM image into grey values: it may be killed by its bounds, and nobody else is.

``python -m console.decode FRAME`` reads the file from standard input; writes one line of JSON, then 16-bit samples.
"""

import json
import resource
import struct
import sys
from io import BytesIO
from typing import Any

#: Memory of this process in bytes, its processor time in seconds, and the pixels that a header may claim, in bytes.
MEMORY = 2 * 2**30
CPU_SECONDS = 20
MOST_PIXEL_BYTES = 256 * 2**20
#: A longer side is averaged down.
MOST_SIDE = 1024


class CannotShowError(Exception):
    """The reason in words, without any value of the file."""


def main() -> None:
    """Read, decode, write; a reason in JSON where it cannot be shown."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    content, frame = sys.stdin.buffer.read(), int(sys.argv[1])
    try:
        told, samples = decode(content, frame)
    except CannotShowError as error:
        told, samples = {"reason": str(error)}, b""
    except Exception as error:  # noqa: BLE001 - whatever a decoder raises on broken input; its text may hold values
        told, samples = {"reason": f"it cannot be decoded: {type(error).__name__}"}, b""
    sys.stdout.buffer.write(json.dumps(told).encode() + b"\n" + samples)


def decode(content: bytes, frame: int) -> tuple[dict[str, Any], bytes]:
    """What is said of the image, and its samples: 16 bits little-endian, 0 is ``low`` and 65535 is ``high``."""
    import numpy as np  # noqa: PLC0415 - after the bounds are set
    from pydicom import dcmread  # noqa: PLC0415
    from pydicom.pixels.processing import apply_color_lut  # noqa: PLC0415
    from pydicom.pixels.utils import pixel_array  # noqa: PLC0415

    from stream.functional_groups import apply_groups  # noqa: PLC0415

    if content[128:132] != b"DICM":
        raise CannotShowError("it is no DICOM file")
    dataset = dcmread(BytesIO(content), stop_before_pixels=True)
    frames = _check(dataset, frame)
    apply_groups(dataset, frame)
    stored = np.asarray(pixel_array(BytesIO(content), index=frame if frames > 1 else None))
    if dataset.get("PhotometricInterpretation") == "PALETTE COLOR":
        stored = apply_color_lut(stored, dataset)
    if stored.ndim == 3:
        stored = stored @ np.array([0.299, 0.587, 0.114])  # colour is shown by its luminance
    values, window, left_out = _values(dataset, stored)
    values = _smaller(values)
    low, high = float(values.min()), float(values.max())
    scale = max(high - low, 1e-9) / 65535
    samples = np.rint((values - low) / scale).astype("<u2")
    centre, width = window or ((low + high) / 2, max(high - low, 1.0))
    told = {"rows": values.shape[0], "columns": values.shape[1], "low": low, "high": low + 65535 * scale, "frames": frames}
    inverted = dataset.get("PresentationLUTShape") == "INVERSE" or dataset.get("PhotometricInterpretation") == "MONOCHROME1"
    told |= {"centre": centre, "width": width, "inverted": bool(inverted), "padded": left_out}
    return told | {"modality": str(dataset.get("Modality", ""))}, samples.tobytes()


def _check(dataset: Any, frame: int) -> int:
    """The number of frames; raises CannotShowError before anything large is decoded."""
    if "Rows" not in dataset or "Columns" not in dataset:
        raise CannotShowError("it has no pixels")
    frames = int(dataset.get("NumberOfFrames") or 1)
    one = int(dataset.Rows) * int(dataset.Columns) * int(dataset.get("SamplesPerPixel") or 1) * -(-int(dataset.BitsAllocated) // 8)
    if not 0 < one <= MOST_PIXEL_BYTES:
        raise CannotShowError("its header claims too many pixels, or none")
    if not 0 <= frame < frames:
        raise CannotShowError(f"there is no such frame: it has {frames}")
    return frames


def _values(dataset: Any, stored: Any) -> tuple[Any, tuple[float, float] | None, bool]:
    """Values by the modality look-up, as floats; the header's first window, None without one; whether padding was left out."""
    import numpy as np  # noqa: PLC0415
    from pydicom.pixels.processing import apply_modality_lut, apply_voi  # noqa: PLC0415

    values = np.asarray(apply_modality_lut(stored, dataset), np.float32)
    window = None
    if dataset.get("VOILUTSequence"):
        values = np.asarray(apply_voi(np.rint(values).astype(np.int32), dataset), np.float32)
    elif dataset.get("WindowWidth") not in (None, "") and dataset.get("WindowCenter") not in (None, ""):
        window = (_first(dataset.WindowCenter), max(_first(dataset.WindowWidth), 1.0))
    padding = dataset.get("PixelPaddingValue")
    if padding is None:
        return values, window, False
    limit = dataset.get("PixelPaddingRangeLimit", padding)
    pad = (stored >= min(padding, limit)) & (stored <= max(padding, limit))
    if pad.any() and not pad.all():
        dark_is_high = dataset.get("PhotometricInterpretation") == "MONOCHROME1"
        values[pad] = values[~pad].max() if dark_is_high else values[~pad].min()
    return values, window, bool(pad.any())


def _smaller(values: Any) -> Any:
    """Averaged in blocks until the longer side fits."""
    block = -(-max(values.shape) // MOST_SIDE)
    if block == 1:
        return values
    rows, columns = values.shape[0] // block, values.shape[1] // block
    if not rows or not columns:
        raise CannotShowError("it is too long and thin")
    return values[: rows * block, : columns * block].reshape(rows, block, columns, block).mean(axis=(1, 3))


def _first(value: Any) -> float:
    return float(value[0]) if hasattr(value, "__getitem__") and not isinstance(value, str) else float(value)


if __name__ == "__main__":
    try:
        main()
    except (MemoryError, struct.error):
        sys.exit(3)
