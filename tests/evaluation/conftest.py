"""Location of the development networks."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    folder = Path(__file__).parents[3] / "shared"
    if not (folder / "weights").is_dir():
        pytest.skip("../shared/weights does not exist")
    return folder
