from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from mutations import SEEDS, mutate, read_all

from jdsr_cli.errors import JdsrError

COUNT = 60


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("seeds")
    files = []
    for number, make in enumerate(SEEDS.values()):
        subfolder = folder / str(number)
        subfolder.mkdir()
        files.append(make(subfolder))
    return files


def test_undamaged_files_are_read(seeds: list[Path]) -> None:
    for name, path in zip(SEEDS, seeds, strict=True):
        if name != "playlist":
            assert read_all(path) in ("clean", "warned")


def test_damaged_files_give_frames_or_a_one_line_error(seeds: list[Path], tmp_path: Path) -> None:
    data = [path.read_bytes() for path in seeds]
    outcomes: Counter[str] = Counter()
    refusals = {}
    for number in range(COUNT):
        index, damaged = mutate(data, number, seed=1)
        path = tmp_path / f"{number}-{seeds[index].name}"
        path.write_bytes(damaged)
        try:
            outcomes[read_all(path)] += 1
        except JdsrError as exc:
            refusals[str(path)] = str(exc)
    assert outcomes.total() + len(refusals) == COUNT
    assert min(outcomes["warned"], len(refusals)) > 5
    for name, text in refusals.items():
        assert name in text
        assert "\n" not in text
