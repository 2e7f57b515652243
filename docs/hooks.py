"""MkDocs hooks: tables of options and of file formats, and links to files of the repository.

`<!-- options: COMMAND -->` becomes a table of the command's options. The tables come from the
command line itself, so that the documentation cannot differ from `jdsr COMMAND --help`.

`<!-- schema: NAME PROPERTY ... -->` becomes a table of the fields of `schemas/NAME.schema.json`, or
of one of its properties.

Links to files outside `docs/` work where the repository is browsed. The site does not contain
these files, so there the link becomes the path of the file.
"""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import Any

import typer
from typer.main import get_command

from jdsr_cli.cli.app import app

SCHEMAS = Path(__file__).parent / "schemas"
MARKER = re.compile(r"<!-- (?P<kind>options|schema): (?P<name>[a-z -]+?) -->")
"""Where a table is inserted; the name is a command or a schema, such as `weights fetch`."""
REPOSITORY_LINK = re.compile(
    r"\[[^\]]+\]\((?:\.\./)+(?P<path>(?:weights|train|tests)/[^)#]+)[^)]*\)"
)
"""A link from a page to a file outside `docs/`."""


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Prepare the source of a page."""
    markdown = REPOSITORY_LINK.sub(r"`\g<path>`", markdown)
    tables = {"options": options_table, "schema": schema_table}
    return MARKER.sub(lambda match: tables[match["kind"]](match["name"]), markdown)


def options_table(name: str) -> str:
    """Return a Markdown table of the arguments and options of a command, in help order.

    Raises:
        KeyError: There is no such command.

    """
    command: Any = get_command(app)
    for part in name.split():
        command = command.commands[part]
    context = typer.Context(command)
    records = (parameter.get_help_record(context) for parameter in command.params)
    rows = (f"| {_code(usage)} | {_cell(text)} |" for usage, text in filter(None, records))
    return "\n".join(("| option | meaning |", "|---|---|", *rows))


def schema_table(name: str) -> str:
    """Return a Markdown table of the fields that a JSON schema describes.

    Args:
        name: Of the schema, followed by the property of interest if it is not the whole.

    """
    stem, *properties = name.split()
    schema = json.loads((SCHEMAS / f"{stem}.schema.json").read_text(encoding="utf-8"))
    for part in properties:
        schema = schema["properties"][part]
    rows = (
        f"| `{field}` | {_type(one)} | {one.get('description', '')} |"
        for field, one in schema["properties"].items()
    )
    return "\n".join(("| field | type | meaning |", "|---|---|---|", *rows))


def _type(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return ", ".join("null" if one is None else f"`{one}`" for one in schema["enum"])
    kinds = schema.get("type", "object or null" if "oneOf" in schema else "object")
    return kinds if isinstance(kinds, str) else " or ".join(kinds)


def _code(text: str) -> str:
    return f"<code>{_cell(text)}</code>"


def _cell(text: str) -> str:
    return html.escape(text, quote=False).replace("|", "&#124;").replace("*", "&#42;")
