"""C-STORE per second, side by side and interleaved: ours (durable), DCMTK's storescp (no fsync), a bare pynetdicom handler (fsync).

``python bench/cstore.py [--images 1000] [--rounds 3] [--only dxstream] [--out build/cstore.json]``. The sender is DCMTK's dcmsend.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from cstore_images import write_images
from cstore_peers import RECEIVERS

from dxstream.show import print_table

SIZES = {"0.5 MB": 500_000, "10 kB": 10_000}
ASSOCIATIONS = (1, 10)

#: Size, associations, receiver → images per second, a figure a round.
Measured = dict[tuple[str, int, str], list[float]]


def main() -> None:
    """Rounds of every receiver in turn; medians at the end."""
    options = arguments()
    place = Path(tempfile.mkdtemp(prefix="cstore-", dir=options.out.parent))
    measured: Measured = {}
    try:
        for size, associations in ((size, number) for size in SIZES for number in ASSOCIATIONS):
            for round_ in range(options.rounds):
                images = place / "images"
                folders = write_images(images, count=options.images, size=SIZES[size], folders=associations)
                for name in options.only or RECEIVERS:
                    rate = measure(name, folders, options.images, place / f"{name}{round_}")
                    measured.setdefault((size, associations, name), []).append(rate)
                shutil.rmtree(images)
            write(measured, options)
    finally:
        shutil.rmtree(place)
    show(measured)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", action="append", choices=list(RECEIVERS))
    parser.add_argument("--out", type=Path, default=Path("build/cstore.json"))
    return parser.parse_args()


def measure(name: str, folders: list[Path], images: int, place: Path) -> float:
    """Images per second, from the start of the senders to the end of the last; a failed one raises."""
    place.mkdir()
    with RECEIVERS[name](place) as port:
        rate = images / send(port, folders)
    shutil.rmtree(place)
    return rate


def send(port: int, folders: list[Path]) -> float:
    """Seconds that dcmsend needs, one process and one association a folder."""
    environment = os.environ | {"TCP_NODELAY": "1"}
    command = ["dcmsend", "--scan-directories", "-aec", "DXSTREAM", "127.0.0.1", str(port)]
    began = time.perf_counter()
    senders = [subprocess.Popen([*command, str(folder)], env=environment, stdout=subprocess.DEVNULL) for folder in folders]
    codes = [sender.wait() for sender in senders]
    taken = time.perf_counter() - began
    if any(codes):
        raise RuntimeError(f"dcmsend failed: {codes}")
    return taken


def write(measured: Measured, options: argparse.Namespace) -> None:
    """The JSON file, after each kind of image so that an interruption leaves what there is."""
    found: list[dict[str, Any]] = [
        {"image": size, "associations": number, "receiver": name, "per_second": statistics.median(rates), "rounds": rates}
        for (size, number, name), rates in measured.items()
    ]
    load = os.getloadavg()[0]
    options.out.write_text(
        json.dumps({"images": options.images, "cores": os.cpu_count(), "load": load, "measured": found}, indent=1)
    )


def show(measured: Measured) -> None:
    """A table."""
    names = list(dict.fromkeys(name for _, _, name in measured))
    rows = [
        (size, str(number), *(shown(measured[size, number, name]) for name in names))
        for size, number in dict.fromkeys((size, number) for size, number, _ in measured)
    ]
    print_table("C-STORE, images per second: median (lowest to highest)", ("image", "associations", *names), rows)


def shown(rates: list[float]) -> str:
    """Median and spread."""
    return f"{statistics.median(rates):.0f} ({min(rates):.0f} to {max(rates):.0f})"


if __name__ == "__main__":
    main()
