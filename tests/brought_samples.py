"""Cards that bring their own network, made by the very code that docs/bring-a-model.md prints."""

import json
import re
import warnings
from pathlib import Path

from models.pin import pin

PAGE = Path(__file__).parents[1] / "docs" / "bring-a-model.md"


def block(language: str) -> str:
    """The page's block of one language."""
    return re.search(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[1]


def follow_the_page(folder: Path, monkeypatch) -> Path:
    """Runs the page's example in ``folder``; gives the folder of its two cards."""
    monkeypatch.chdir(folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's exporters warn of their own
        exec(compile(block("python"), str(PAGE), "exec"), {})
    card = json.loads(block("json"))
    for name, architecture in (("my-export", "torch-export"), ("my-onnx", "onnx")):
        content = {**card, "name": name, "architecture": architecture}
        (folder / "my-models" / name / "card.json").write_text(json.dumps(content))
        pin(folder / "my-models" / name)
    return folder / "my-models"
