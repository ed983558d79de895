"""Whether torch can use a device here, tried at once: a training of hours should not end at its first step."""

import torch

from stream.errors import Refused


def check_device(name: str) -> None:
    """Raises Refused, with what torch says, for a device that it cannot use here."""
    try:
        torch.zeros(1, device=name).cpu()
    except (AssertionError, RuntimeError) as error:
        raise Refused(f"{name} cannot be used here: {str(error).splitlines()[0]}") from error
