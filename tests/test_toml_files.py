"""TOML files that anybody may have written are read in bounded time, or refused in one line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jdsr_cli.errors import UsageError, WeightsCorruptError
from jdsr_cli.faces.identity_levels import read_levels
from jdsr_cli.settings import RestoreSettings
from jdsr_cli.settings.config import read_config
from jdsr_cli.toml_files import read_toml
from jdsr_cli.weights import read_manifest
from jdsr_train import recipe_files
from jdsr_train.lease.plan import read_plan

HOSTILE = {
    "nested lists": "a = " + "[" * 100_000 + "]" * 100_000,
    "nested tables": "a = " + "{a=" * 100_000 + "1" + "}" * 100_000,
    "dotted key": "a" + ".a" * 100_000 + " = 1",
    "dotted quoted key": '"a b"' + '."a b"' * 50_000 + " = 1",
    "dotted table": "[a" + ".a" * 100_000 + "]",
    "digits": "a = " + "9" * 5000,
    "twice": "a = 1\na = 2",
    "size": "#" * 2_000_000,
    "zeros": "\0\0",
}
READERS = {
    "manifest": (read_manifest, WeightsCorruptError),
    "levels": (read_levels, WeightsCorruptError),
    "configuration": (lambda path: read_config(path, RestoreSettings), UsageError),
    "recipe": (recipe_files.read_table, UsageError),
    "plan": (read_plan, UsageError),
}


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("reader", READERS)
def test_hostile_toml_is_refused_in_one_line(tmp_path: Path, kind: str, reader: str) -> None:
    path = tmp_path / "a.toml"
    path.write_text(HOSTILE[kind], encoding="utf-8")
    read, error = READERS[reader]
    with pytest.raises(error) as raised:
        read(path)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 1000


def test_a_named_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.toml")
    with pytest.raises(ValueError, match="named pipe"):
        read_toml(tmp_path / "a.toml")


def test_usual_files_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text("a.b.c = [1.5, 2.5]\n" * 1 + 'd = "x.y"\n', encoding="utf-8")
    assert read_toml(path) == {"a": {"b": {"c": [1.5, 2.5]}}, "d": "x.y"}
