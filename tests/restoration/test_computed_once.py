"""Crops, thumbnails and motion are computed once and carried from stage to stage."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jdsr_cli.evaluation.metrics import temporal
from jdsr_cli.faces import temporal_smoothing
from jdsr_cli.restoration import restore, scene_search
from jdsr_cli.restoration.stages import alignment, compositing
from jdsr_cli.settings import RestoreSettings

COUNTED = {
    "aligned crops": (alignment, "crop"),
    "crops of another size": (compositing, "crop"),
    "thumbnails": (scene_search, "thumbnail"),
    "motion for smoothing": (temporal_smoothing, "estimate_motion"),
    "motion for flicker": (temporal, "estimate_motion"),
}


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Number of calls of each function of `COUNTED`."""
    counts: Counter[str] = Counter()

    def count(name: str, module: Any, function: str) -> None:
        original = getattr(module, function)

        def counted(*args: Any) -> Any:
            counts[name] += 1
            return original(*args)

        monkeypatch.setattr(module, function, counted)

    for name, (module, function) in COUNTED.items():
        count(name, module, function)
    return counts


def test_nothing_is_computed_twice(
    clip: Path, tiny_weights: Callable[[int], Path], tmp_path: Path, calls: Counter[str]
) -> None:
    """The clip has 6 frames with two people."""
    settings = RestoreSettings(
        weights=str(tiny_weights(128)), detector="centerface", device="cpu", frame_scale=1
    )
    (result,) = restore([clip], tmp_path, settings).results
    assert result.counts is not None
    assert result.counts.faces_restored == 12
    assert calls == {
        "aligned crops": 12,
        "thumbnails": 6,
        "motion for smoothing": 10,
        "motion for flicker": 10,
    }
