"""MkDocs hooks: tables of options, settings and file formats, and links to repository files.

* `<!-- options: COMMAND -->` becomes a table of the options of a command.
* `<!-- settings: CLASS -->` becomes a table of the fields of a settings class.
* `<!-- schema: NAME PROPERTY ... -->` becomes a table of the fields of `NAME.schema.json`, or of
  one of its properties or definitions.

The first two come from `jdsr_cli.settings`, where options are declared, and the schemas from
`jdsr_cli/schemas`; the site contains copies of the latter.

Links to files outside `docs/` work where the repository is browsed. The site does not contain
these files, so there the link becomes the path of the file.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable
from dataclasses import MISSING
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jdsr_cli.settings

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

SCHEMAS = Path(__file__).parents[1] / "jdsr_cli" / "schemas"
MARKER = re.compile(r"<!-- (?P<kind>options|settings|schema): (?P<name>[\w -]+?) -->")
"""Where a table is inserted; the name is a command, a class, or a schema and a property of it."""
REPOSITORY_LINK = re.compile(
    r"\[[^\]]+\]\((?:\.\./)+(?P<path>(?:weights|train|tests)/[^)#]+)[^)]*\)"
)
"""A link from a page to a file outside `docs/`."""
SCHEMA_LINK = re.compile(r"\.\./(?P<up>(?:\.\./)*)jdsr_cli/schemas/")
"""The start of a link from a page to a schema, of which the site contains a copy."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the JSON schemas to the site."""
    from mkdocs.structure.files import File

    for schema in sorted(SCHEMAS.glob("*.json")):
        name = f"schemas/{schema.name}"
        files.append(File.generated(config, name, abs_src_path=str(schema)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Prepare the source of a page."""
    tables = {"options": options_table, "settings": settings_table, "schema": schema_table}
    markdown = REPOSITORY_LINK.sub(r"`\g<path>`", markdown)
    markdown = SCHEMA_LINK.sub(r"\g<up>schemas/", markdown)
    return MARKER.sub(lambda match: tables[match["kind"]](match["name"]), markdown)


def options_table(name: str) -> str:
    """Return a Markdown table of the options of a command, in the order of its help.

    Raises:
        KeyError: There is no such command.

    """
    rows = []
    for one in jdsr_cli.settings.options_of(name):
        value = "" if one.type == "flag" else f" {one.type}"
        limits = f" ({one.range} {one.unit})".replace(" )", ")") if one.range else ""
        rows.append((_code(one.option + value), one.default, one.help.rstrip(".") + limits + "."))
    return _table(("option", "default", "meaning"), rows)


def settings_table(name: str) -> str:
    """Return a Markdown table of the fields of a settings class, nested ones with their path."""
    rows = (
        (
            _code(".".join(one.path)),
            "required" if one.default is MISSING else _code(repr(one.default)),
            f"{one.option.help} Allowed: {one.allowed}.",
        )
        for one in jdsr_cli.settings.declared(getattr(jdsr_cli.settings, name))
    )
    return _table(("field", "default", "meaning"), rows)


def schema_table(name: str) -> str:
    """Return a Markdown table of the fields that a JSON schema describes.

    Args:
        name: Of the schema, followed by the property or definition of interest if it is not the
            whole.

    """
    stem, *properties = name.split()
    schema = json.loads((SCHEMAS / f"{stem}.schema.json").read_text(encoding="utf-8"))
    for part in properties:
        schema = schema["$defs" if part in schema.get("$defs", {}) else "properties"][part]
    rows = (
        (_code(field), _type(one), one.get("description", ""))
        for field, one in schema["properties"].items()
    )
    return _table(("field", "type", "meaning"), rows)


def _type(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return ", ".join("null" if one is None else str(one) for one in schema["enum"])
    kinds = schema.get("type", "object or null" if "oneOf" in schema else "object")
    return kinds if isinstance(kinds, str) else " or ".join(kinds)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in row)} |" for row in lines)


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _cell(text: str) -> str:
    """Escape what is Markdown or HTML in a cell that is not code."""
    if text.startswith("`"):
        return text
    return html.escape(" ".join(text.split()), quote=False).replace("|", "&#124;")
