"""Our own modules as processes of their own."""

import subprocess
from pathlib import Path

from stream.modules import module_command


def test_what_lies_in_the_working_folder_is_not_run(tmp_path: Path) -> None:
    (tmp_path / "stream").mkdir()
    (tmp_path / "stream" / "__init__.py").write_text("raise SystemExit(3)\n")
    assert subprocess.run(module_command("stream.errors"), cwd=tmp_path, check=False).returncode == 0
