"""What the functional groups of an enhanced image say of one frame (PS3.3 C.7.6.16): its rescale and its window.

Knows no DICOM library: a dataset is whatever has its elements as attributes.
"""

from typing import Any

#: Functional group → the keywords that a plain image has in its place. A group that says any of them says all of them.
_GROUPS = {
    "PixelValueTransformationSequence": ("RescaleSlope", "RescaleIntercept", "ModalityLUTSequence"),
    "FrameVOILUTSequence": ("WindowCenter", "WindowWidth", "VOILUTFunction", "VOILUTSequence"),
}


def apply_groups(dataset: Any, frame: int) -> None:
    """Write what holds for the frame, counted from 0, to where a plain image has it: its own group, else the shared one."""
    for name, keywords in _GROUPS.items():
        group = _group(dataset, name, frame)
        if not any(keyword in group for keyword in keywords):
            continue
        for keyword in keywords:
            if keyword in group:
                setattr(dataset, keyword, getattr(group, keyword))
            elif keyword in dataset:
                delattr(dataset, keyword)


def _group(dataset: Any, name: str, frame: int) -> Any:
    """The group's one item; empty where neither the frame nor all frames together have it."""
    own = (dataset.get("PerFrameFunctionalGroupsSequence") or ())[frame : frame + 1]
    shared = (dataset.get("SharedFunctionalGroupsSequence") or ())[:1]
    return next((groups.get(name)[0] for groups in (*own, *shared) if groups.get(name)), {})
