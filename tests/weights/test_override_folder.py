"""A value of JDSR_WEIGHTS that is no folder is an error that names the variable, everywhere."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import run
from weight_folders import Folders

from jdsr_cli.diagnosis import diagnose
from jdsr_cli.errors import UsageError
from jdsr_cli.inference.loading import open_generator
from jdsr_cli.weights import (
    auxiliary,
    default_weights,
    entries,
    fetch,
    load_generator,
    locations,
    search_directories,
    weight_status,
)

MISTYPED: dict[str, Callable[[Path], str]] = {
    "missing": lambda folder: str(folder / "weigths"),
    "file": lambda folder: str(folder / "a.txt"),
    "below a file": lambda folder: str(folder / "a.txt" / "weights"),
    "empty": lambda _: "",
    "spaces": lambda _: "  ",
    "two folders": lambda folder: f"{folder}:{folder}",
    "dangling link": lambda folder: str(folder / "link"),
}


@pytest.fixture(params=MISTYPED)
def mistyped(
    request: pytest.FixtureRequest, folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> str:
    folders.add("tiny")
    (folders.root / "a.txt").write_text("")
    (folders.root / "link").symlink_to(folders.root / "nothing")
    value = MISTYPED[request.param](folders.root)
    monkeypatch.setenv("JDSR_WEIGHTS", value)
    return value


def test_every_search_for_weights_names_the_variable(mistyped: str, tmp_path: Path) -> None:
    (tmp_path / "own.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    for search in (
        search_directories,
        entries,
        lambda: fetch("retinaface-mobile", str(tmp_path)),
        lambda: auxiliary("retinaface-mobile"),
        lambda: weight_status(hashed=False),
        lambda: default_weights("cuda"),
        lambda: load_generator("tiny", "cpu"),
        lambda: load_generator(tmp_path / "own.safetensors", "cpu"),
        lambda: open_generator("tiny"),
    ):
        with pytest.raises(UsageError, match="environment variable JDSR_WEIGHTS") as raised:
            search()
        assert "unset it" in str(raised.value)


def test_the_diagnosis_names_the_variable(mistyped: str) -> None:
    faults = [one for one in diagnose().findings if one.state == "fault" and one.needed]
    assert any("environment variable JDSR_WEIGHTS" in one.detail for one in faults)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
def test_a_folder_that_cannot_be_read_is_named(
    folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders.override.mkdir()
    folders.override.chmod(0)
    with pytest.raises(UsageError, match="cannot be read"):
        search_directories()


@pytest.mark.parametrize(
    "words",
    [
        ("restore", "{clip}", "--out", "{out}"),
        ("crop-faces", "{clip}", "--out", "{out}", "--detector", "retinaface-mobile"),
        ("weights", "list"),
        ("weights", "verify", "lite-camera"),
        ("weights", "fetch", "lite-x8", "--from", "{folder}"),
        ("weights", "chain", "lite-x4", "lite-x4"),
    ],
    ids=" ".join,
)
def test_commands_name_the_variable(
    words: tuple[str, ...], tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JDSR_WEIGHTS", str(tmp_path / "weigths"))
    given = (one.format(clip=clip, out=tmp_path / "out", folder=tmp_path) for one in words)
    result = run(*given)
    assert result.exit_code == 2
    assert "JDSR_WEIGHTS" in result.output
    assert locations.OVERRIDE_VARIABLE == "JDSR_WEIGHTS"
