"""An empty home for weights, cut off from those of the machine."""

from __future__ import annotations

from pathlib import Path

import pytest
from weights_home import Home

from jdsr_cli.weights import places


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    room = tmp_path / "site-packages" / "jdsr_cli" / "weights"
    monkeypatch.setattr(places, "ROOM", room)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("JDSR_WEIGHTS", str(tmp_path / "override"))
    return Home(tmp_path)
