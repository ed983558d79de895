"""Whether many images grow slower: 10,000 small ones over one association, and CT series of 500 slices over ten at once.

``python bench/cstore_long.py [--small 10000] [--slices 500]``. Rates of the first and the last tenth, by the ledger's times.
"""

import argparse
import shutil
import sqlite3
import tempfile
from datetime import datetime
from pathlib import Path

from cstore import send
from cstore_images import write_images
from cstore_peers import ours
from pydicom.uid import generate_uid

from dxstream.show import print_table


def main() -> None:
    """Both, each with a fresh ledger; a table at the end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", type=int, default=10_000)
    parser.add_argument("--slices", type=int, default=500)
    options = parser.parse_args()
    small = measure("10 kB, one association", options.small, 10_000, associations=1, series="")
    slices = measure(
        "0.5 MB slices of one series, ten associations", options.slices, 500_000, associations=10, series=generate_uid()
    )
    print_table("C-STORE, images per second", ("what", "images", "first tenth", "last tenth", "ratio"), [small, slices])


def measure(what: str, count: int, size: int, *, associations: int, series: str) -> tuple[str, ...]:
    """A row of the table."""
    place = Path(tempfile.mkdtemp(prefix="cstore-", dir="build"))
    try:
        folders = write_images(place / "images", count=count, size=size, folders=associations, series=series)
        with ours(place) as port:
            send(port, folders)
        first, last = rates(place / "home" / "dxstream.sqlite", count)
    finally:
        shutil.rmtree(place)
    return what, str(count), f"{first:.0f}", f"{last:.0f}", f"{last / first:.2f}"


def rates(ledger: Path, count: int) -> tuple[float, float]:
    """Inputs per second of the first and of the last tenth; raises when one is missing."""
    with sqlite3.connect(ledger) as connection:
        times = [datetime.fromisoformat(at) for (at,) in connection.execute("SELECT accepted_at FROM inputs ORDER BY id")]
    if len(times) != count:
        raise RuntimeError(f"{count} were sent, {len(times)} are in the ledger")
    tenth = count // 10
    return (
        tenth / (times[tenth] - times[0]).total_seconds(),
        tenth / (times[-1] - times[-tenth - 1]).total_seconds(),
    )


if __name__ == "__main__":
    main()
