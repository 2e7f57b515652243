"""A folder with the plan and the recipes of the tests of queues."""

from pathlib import Path

import pytest
from queue_plans import write_plan


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_plan(tmp_path)
    return tmp_path
