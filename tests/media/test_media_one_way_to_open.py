from __future__ import annotations

import ast
from pathlib import Path

import jdsr_cli

PACKAGE = Path(jdsr_cli.__file__).parent


def opened_for_reading(source: str) -> list[int]:
    """Lines with a call of `av.open` that does not write."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) == "av.open"
        and not any(keyword.arg == "mode" and ast.unparse(keyword.value) == "'w'"
                    for keyword in node.keywords)
    ]  # fmt: skip


def test_files_are_opened_for_reading_in_one_place() -> None:
    """The lists of demuxers and protocols apply only there."""
    places = [
        path.relative_to(PACKAGE).as_posix()
        for path in sorted(PACKAGE.rglob("*.py"))
        for _ in opened_for_reading(path.read_text("utf-8"))
    ]
    assert places == ["media/containers.py"]
