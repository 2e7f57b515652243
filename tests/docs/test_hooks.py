"""The tables that are generated when the site is built."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

DOCS = Path(__file__).parents[2] / "docs"
HEADER = re.compile(r"^\| ?---", re.MULTILINE)


@pytest.fixture(scope="module")
def hooks() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_hooks", DOCS / "hooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=lambda page: page.stem)
def test_every_marker_of_a_page_is_replaced_by_a_table(hooks: ModuleType, page: Path) -> None:
    text = page.read_text("utf-8")
    markers = list(hooks.MARKER.finditer(text))
    assert len(markers) == text.count("<!--")
    built = hooks.on_page_markdown(text)
    assert "<!--" not in built
    assert len(HEADER.findall(built)) >= len(markers)


def test_the_options_table_lists_the_options_of_the_command(hooks: ModuleType) -> None:
    table = hooks.options_table("restore")
    for option in ("--out", "--detect-every", "--no-stabilise", "--resume"):
        assert option in table
    assert "--lpips" not in table
    assert "--precision" in hooks.options_table("weights export")


def test_every_row_has_as_many_cells_as_the_header(hooks: ModuleType) -> None:
    for table in (hooks.options_table("restore"), hooks.schema_table("faces")):
        cells = [re.sub(r"`[^`]*`", "", row).count("|") for row in table.splitlines()]
        assert len(set(cells)) == 1


def test_a_schema_table_shows_fields_and_their_types(hooks: ModuleType) -> None:
    assert "| `frame` | integer |" in hooks.schema_table("faces")
    assert "`faces_bridged`" in hooks.schema_table("manifest counts")


def test_links_outside_the_docs_become_paths(hooks: ModuleType) -> None:
    page = "See [the runbook](../train/gpu/README.md#calls) and [weights](weights.md)."
    assert hooks.on_page_markdown(page) == "See `train/gpu/README.md` and [weights](weights.md)."
