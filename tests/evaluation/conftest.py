"""The development networks, where they are."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    folder = Path(__file__).parents[3] / "shared"
    if not (folder / "weights").is_dir():
        pytest.skip("../shared/weights is not here")
    return folder
