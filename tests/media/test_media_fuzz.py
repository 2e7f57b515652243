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
    made = []
    for number, make in enumerate(SEEDS.values()):
        place = folder / str(number)
        place.mkdir()
        made.append(make(place))
    return made


def test_undamaged_files_are_read(seeds: list[Path]) -> None:
    for path in seeds:
        assert read_all(path) in ("whole", "told")


def test_damaged_files_give_frames_or_one_clear_line(seeds: list[Path], tmp_path: Path) -> None:
    data = [path.read_bytes() for path in seeds]
    found: Counter[str] = Counter()
    refusals = {}
    for number in range(COUNT):
        which, bad = mutate(data, number, seed=1)
        path = tmp_path / f"{number}-{seeds[which].name}"
        path.write_bytes(bad)
        try:
            found[read_all(path)] += 1
        except JdsrError as exc:
            refusals[str(path)] = str(exc)
    assert found.total() + len(refusals) == COUNT
    assert min(found["told"], len(refusals)) > 5
    for name, text in refusals.items():
        assert name in text
        assert "\n" not in text
