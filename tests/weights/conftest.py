"""Empty folders for weights, separate from those of the machine, and sources to fetch from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from file_server import FileServer
from weight_folders import DATA, Folders, Install

from jdsr_cli.weights import AuxiliaryFile, locations


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folders:
    package_folder = tmp_path / "site-packages" / "jdsr_cli" / "weights"
    monkeypatch.setattr(locations, "PACKAGE_FOLDER", package_folder)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "override").mkdir()
    monkeypatch.setenv("JDSR_WEIGHTS", str(tmp_path / "override"))
    monkeypatch.delenv("JDSR_WEIGHTS_SOURCE", raising=False)
    return Folders(tmp_path)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    """A local server, reached without a proxy."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with FileServer() as running:
        yield running


@pytest.fixture
def install(folders: Folders, server: FileServer, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Return a function that registers one auxiliary file, whose release is on the server."""
    server.files["/v0.1.0/net.pth"] = DATA

    def register(**changes: object) -> AuxiliaryFile:
        digest = hashlib.sha256(DATA).hexdigest()
        url = f"{server.address}/v0.1.0/net.pth"
        auxiliary = AuxiliaryFile("net", "net.pth", url, digest, len(DATA), "a test")
        changed = replace(auxiliary, **changes)  # type: ignore[arg-type]
        for module in ("inventory",):
            monkeypatch.setattr(f"jdsr_cli.weights.{module}.AUXILIARY", (changed,))
        return changed

    return register
