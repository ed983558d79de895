"""Prints the tree of the README, one line a file, each with the first sentence that the file says of itself.

``python docs/tree.py --write`` renews the block in README.md; a test holds the two together.
"""

import ast
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
BLOCK = re.compile(r"(?<=## The tree\n\n```\n).*?(?=```\n)", re.DOTALL)

#: What cannot speak for itself.
WORDS = {
    ".ci/": "what a machine of the continuous integration runs",
    ".ci/run": "makes a bare machine ready, then runs the checks and the demo",
    ".dockerignore": "what stays out of an image",
    ".gitignore": "what stays out of the repository",
    "CHANGELOG.md": "what changed, newest first",
    "Dockerfile": "one image a kind of role: a producer's without torch, a worker's without DICOM network",
    "LICENSE": "Apache-2.0",
    "Makefile": "the two commands, and the checks",
    "README.md": "this page",
    "bench/": "figures, as ratios in one run",
    "constraints.txt": "the pinned version of every dependency",
    "docker-compose.yml": "the real thing: one service a role",
    "docs/": "for users and for those who carry this on",
    "docs/decisions/": "question, answer, what was given up, what was measured",
    "ops/": "what stands around the services",
    "ops/autoscaling/": "an example on waiting + leased",
    "ops/grafana/": "Grafana's provisioning and dashboards",
    "ops/rules/": "recording and alert rules, with their unit tests",
    "docs/runbooks/": "what to do, a page an alert",
    "ops/prometheus.yml": "what Prometheus scrapes",
    "ops/targets/": "which hosts and ports Prometheus asks, as files that may be changed while it runs",
    "ops/requirements-producer.txt": "what a producer's image installs",
    "ops/requirements-worker.txt": "what a worker's image installs, torch aside",
    "pyproject.toml": "one distribution; the folders are the import packages",
    "console/reference_ranges.csv": "typical adult reference ranges, in the units of labs.csv, for orientation only",
    "console/static/": "the style sheet, the script and the icon; nothing is fetched from elsewhere",
    "console/templates/": "the pages",
    "stream/labs.csv": "analytes: LOINC codes, unit, molar factor, plausible and physical range",
    "stream/units.csv": "units as hospitals write them, in UCUM, with dimension and scale",
    "stream/locations.csv": "locations that are intensive care units",
    "stream/documents.csv": "document types that are judged",
    "stream/codes.csv": "local result codes, by their LOINC code",
    "models/weights/": "the reference cards with their weights",
    "tests/": "as the tree above, and tests of the whole system",
}

#: Folders that are one line in the README, whatever they hold.
CLOSED = (
    "console/static/",
    "console/templates/",
    "db/migrations/",
    "docs/decisions/",
    "docs/runbooks/",
    "models/weights/",
    "ops/autoscaling/",
    "ops/grafana/",
    "ops/rules/",
    "ops/targets/",
    "tests/",
)


def tracked() -> list[str]:
    """Files that git knows, and those that it would take."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],  # noqa: S607
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return sorted(line for line in listed.stdout.splitlines() if (ROOT / line).exists())


def entries(files: list[str]) -> list[str]:
    """Folders and files of the block: a closed folder stands for all that it holds."""
    shown: set[str] = set()
    for name in files:
        parts = name.split("/")
        folders = ["/".join(parts[:depth]) + "/" for depth in range(1, len(parts))]
        closed = next((folder for folder in folders if folder in CLOSED), None)
        shown.update(folders[: folders.index(closed) + 1] if closed else [*folders, name])
    return sorted(shown)


def says(name: str) -> str:
    """The first sentence of a module, a package or a page."""
    if name in WORDS:
        return WORDS[name]
    path = ROOT / name
    if path.is_dir():
        path = path / "__init__.py"
    if path.suffix == ".py" and path.exists():
        text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    elif path.suffix == ".md":
        text = path.read_text(encoding="utf-8").lstrip("# ").split("\n", 1)[0]
    else:
        text = ""
    return re.split(r"(?<=[.;])\s|\n\n", " ".join(text.split()))[0].rstrip(".:;")


def block() -> str:
    """The lines between the fences."""
    lines = []
    for name in entries(tracked()):
        if name.endswith("__init__.py"):
            continue
        depth = name.rstrip("/").count("/")
        last = name.rstrip("/").rsplit("/", 1)[-1] + ("/" if name.endswith("/") else "")
        lines.append(f"{'  ' * depth + last:34}{says(name)}".rstrip())
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    if "--write" in sys.argv:
        text = README.read_text(encoding="utf-8")
        README.write_text(BLOCK.sub(lambda _: block(), text), encoding="utf-8")
    else:
        sys.stdout.write(block())
