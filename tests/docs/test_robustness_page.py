"""Each attack of the page on robustness has a test, or a script, that is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "robustness.md"
ROW = re.compile(r"^\| (?!attack|---)(?P<attack>[^|]+) \|[^|]*\|[^|]*\| (?P<tests>[^|]+) \|$", re.M)
ROWS = [
    (match["attack"], re.findall(r"`([^`]+)`", match["tests"]))
    for match in ROW.finditer(PAGE.read_text("utf-8"))
]


def test_every_row_of_the_page_is_read() -> None:
    text = PAGE.read_text("utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    headings = text.count("| attack | before | now | test |")
    assert len(ROWS) == len(rows) - headings
    assert len(ROWS) > 50


@pytest.mark.parametrize(("attack", "tests"), ROWS)
def test_an_attack_is_kept_by_a_test(attack: str, tests: list[str]) -> None:
    assert tests, attack
    for test in tests:
        name, _, function = test.partition("::")
        (path,) = [one for one in (ROOT / "tests").rglob(name) if "__pycache__" not in one.parts]
        assert re.search(rf"\b(def|class) {function}\b", path.read_text("utf-8")), test
