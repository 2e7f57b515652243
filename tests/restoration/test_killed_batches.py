"""Batches that are killed again and again, and runs that want the same results at once."""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import numpy as np
import pytest
from results_folder import results_in
from suite_clips import file_hashes, walk, walk_settings

from jdsr_cli.restoration import restore
from jdsr_cli.settings import RestoreSettings

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["jdsr_cli.restoration", "torch", "cv2"])
KILLS = 16


class Batch:
    """Clips, settings, and the results of an uninterrupted run."""

    def __init__(self, folder: Path, settings: RestoreSettings, whole: Path) -> None:
        self.folder, self.settings, self.whole = folder, settings, whole

    @property
    def clips(self) -> list[Path]:
        return sorted(self.folder.iterdir())

    def assert_whole(self, out: Path) -> None:
        assert results_in(out) == results_in(self.whole)
        assert file_hashes(out) == file_hashes(self.whole)


@pytest.fixture(scope="module")
def batch(
    tmp_path_factory: pytest.TempPathFactory,
    astronaut: np.ndarray,
    hopper: np.ndarray,
    tiny_weights: Callable[[int], Path],
) -> Batch:
    folder = tmp_path_factory.mktemp("batch")
    clips = folder / "clips"
    clips.mkdir()
    walk(clips / "a.mkv", astronaut, hopper)
    walk(clips / "b.mkv", hopper, astronaut, 20)
    walk(clips / "b.mp4", astronaut, astronaut, 20)
    settings = walk_settings(tiny_weights(64))
    assert restore([clips], folder / "whole", settings).exit_code == 0
    return Batch(clips, settings, folder / "whole")


def _run(inputs: list[Path], out: Path, settings: RestoreSettings, end: str = "") -> None:
    import cv2
    import torch

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    summary = restore(inputs, out, settings)
    if end:
        Path(end).write_text(f"{summary.exit_code} {summary.failed}")


def start(
    inputs: list[Path], out: Path, settings: RestoreSettings, end: str = ""
) -> ForkServerProcess:
    process = _CONTEXT.Process(target=_run, args=(inputs, out, settings, end))
    process.start()
    return process


@pytest.mark.nightly
def test_a_folder_that_is_killed_sixteen_times_resumes_to_the_same_bytes(
    batch: Batch, tmp_path: Path
) -> None:
    again = replace(batch.settings, resume=True)
    chance = random.Random(0)
    kills = 0
    while kills < KILLS:
        process = start([batch.folder], tmp_path / "out", again)
        process.join(chance.uniform(0.3, 3.0))
        if process.is_alive():
            assert process.pid is not None
            os.kill(process.pid, signal.SIGKILL)
            kills += 1
        process.join()
        if process.exitcode == 0:
            batch.assert_whole(tmp_path / "out")
            # The next run has some of them to do again.
            for name in results_in(tmp_path / "out"):
                if chance.random() < 0.7:
                    shutil.rmtree(tmp_path / "out" / name)
    assert restore([batch.folder], tmp_path / "out", again).exit_code == 0
    batch.assert_whole(tmp_path / "out")


def test_a_killed_folder_resumes_to_the_same_bytes(batch: Batch, tmp_path: Path) -> None:
    again = replace(batch.settings, resume=True)
    for seconds in (0.5, 1.5, 2.5):
        process = start([batch.folder], tmp_path / "out", again)
        time.sleep(seconds)
        process.kill()
        process.join()
    assert restore([batch.folder], tmp_path / "out", again).exit_code == 0
    batch.assert_whole(tmp_path / "out")


@pytest.mark.nightly
def test_parallel_runs_of_different_inputs_give_all_results(batch: Batch, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    ends = [tmp_path / f"end{number}" for number in range(3)]
    processes = [
        start([clip], out, batch.settings, str(end))
        for clip, end in zip(batch.clips, ends, strict=True)
    ]
    for process in processes:
        process.join()
    assert [end.read_text() for end in ends] == ["0 ()"] * 3
    contents = {tuple(file_hashes(out / name).items()) for name in results_in(out)}
    assert contents == {
        tuple(file_hashes(batch.whole / name).items()) for name in results_in(batch.whole)
    }


def test_of_two_runs_that_race_for_one_result_one_wins(batch: Batch, tmp_path: Path) -> None:
    out, clip = tmp_path / "out", batch.clips[0]
    ends = [tmp_path / f"end{number}" for number in range(2)]
    processes = [start([clip], out, batch.settings, str(end)) for end in ends]
    for process in processes:
        process.join()
    texts = sorted(end.read_text() for end in ends)
    assert texts[0] == "0 ()"
    assert "another run is writing" in texts[1] or "an earlier result is here" in texts[1]
    assert results_in(out) == ["a"]
    assert file_hashes(out / "a") == file_hashes(batch.whole / "a")
