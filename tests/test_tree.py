"""The tree that the README prints is the tree on disk, and the wheel holds our packages and nothing else."""

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"

PACKAGES = {"dxstream", "stream", "db", "models", "producers", "worker", "console"}

has_git = pytest.mark.skipif(
    not shutil.which("git") or not (ROOT / ".git").exists(), reason="the tracked tree was not looked at: this is no git checkout"
)
has_readme = pytest.mark.skipif(
    not README.exists(), reason="there is no README.md, so neither its tree nor the wheel was looked at"
)


def git_lists(*arguments: str) -> set[str]:
    listed = subprocess.run(["git", "ls-files", "-z", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return {path for path in listed.stdout.split("\0") if path}


def files() -> set[str]:
    """Every file that is tracked, or new and not ignored, and is there."""
    ignored = git_lists("--cached", "--ignored", "--exclude-standard")
    known = git_lists("--cached", "--others", "--exclude-standard") - ignored
    return {path for path in known if (ROOT / path).is_file()}


def printed_tree() -> dict[str, str]:
    """Path → sentence, from the fenced block under "The tree"; two blanks more are one folder deeper."""
    block = re.search(r"^## The tree\n.*?^```\w*\n(.*?)^```", README.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert block, "README.md has no fenced block under ## The tree"
    tree, folders = {}, []
    for line in filter(str.strip, block[1].splitlines()):
        depth = (len(line) - len(line.lstrip())) // 2
        name, _, sentence = line.strip().partition(" ")
        folders[depth:] = [name]
        tree["".join(folders)] = sentence.strip()
    return tree


def children(folder: str) -> set[str]:
    """What lies directly in a folder (``""`` is the root); folders end with a slash, and speak for their ``__init__.py``."""
    rest = [path.removeprefix(folder) for path in files() if path.startswith(folder) and path != f"{folder}__init__.py"]
    return {folder + path.split("/")[0] + ("/" if "/" in path else "") for path in rest}


@has_git
@has_readme
def test_the_tree_in_the_readme_is_the_tree_on_disk():
    listed = set(printed_tree())
    opened = {""} | {path[: path.rstrip("/").rfind("/") + 1] for path in listed}
    on_disk = set().union(*(children(folder) for folder in opened))
    assert listed == on_disk


@has_readme
def test_the_tree_says_of_every_folder_and_module_what_it_is():
    assert not [path for path, sentence in printed_tree().items() if path.endswith(("/", ".py")) and len(sentence) < 5]


@has_git
def test_nothing_that_is_ignored_is_tracked():
    tracked = git_lists("--cached", "--ignored", "--exclude-standard")
    assert not tracked, f"{len(tracked)} files, for instance {min(tracked)}"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> set[str]:
    """The names of the files in a wheel built from here; pip fetches the pinned hatchling."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        "--wheel-dir",
        folder,
        ROOT,
    ]
    subprocess.run(command, check=True, timeout=200, cwd=folder)
    (built,) = folder.glob("*.whl")
    with zipfile.ZipFile(built) as archive:
        return set(archive.namelist())


@has_readme
def test_the_wheel_holds_our_packages_and_no_other(wheel):
    assert {name.split("/")[0] for name in wheel if ".dist-info/" not in name} == PACKAGES


@has_git
@has_readme
def test_the_wheel_holds_every_file_of_our_packages(wheel):
    wanted = {path for path in files() if path.split("/")[0] in PACKAGES}
    assert wanted <= wheel
