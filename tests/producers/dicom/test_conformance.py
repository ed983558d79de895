import runpy
from pathlib import Path

PAGE = Path(__file__).parents[3] / "docs" / "conformance.py"


def test_the_conformance_statement_says_what_the_code_does() -> None:
    page = runpy.run_path(str(PAGE))
    written = page["STATEMENT"].read_text(encoding="utf-8")
    assert written == page["statement"](), "renew it: python docs/conformance.py --write"


def test_it_names_every_class_syntax_and_status() -> None:
    text = runpy.run_path(str(PAGE))["statement"]()
    for said in ("CT Image Storage", "JPEG 2000", "0xA700", "0xA900", "0xC000", "Storage Commitment is not offered"):
        assert said in text
