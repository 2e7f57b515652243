from pathlib import Path
from typing import Any

import pytest
from fake_results import FakeResult, MakeResult


@pytest.fixture
def make_result(tmp_path: Path) -> MakeResult:
    """Return a function that starts a folder of results, by name."""

    def make(name: str = "gate", **changes: Any) -> FakeResult:
        return FakeResult(tmp_path / "out" / name, **changes)

    return make
