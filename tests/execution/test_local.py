"""Runs in worker processes: the bytes of one process, also after a loss or an interruption."""

import multiprocessing
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
from nightly_cases import mostly_nightly
from reference_run import AtFrame, Reference, StrictProgress
from restoration.suite_clips import file_hashes

from jdsr_cli.errors import InputMissingError, MediaError, OutputError, WeightsMissingError
from jdsr_cli.execution import runs
from jdsr_cli.execution.local import LocalPool
from jdsr_cli.progress import Silent
from jdsr_cli.restoration import restore
from jdsr_cli.settings import ExecutionSettings

TWO = ExecutionSettings(devices=("cpu", "cpu"))


def kill_a_worker() -> None:
    multiprocessing.active_children()[0].kill()


def interrupt() -> None:
    raise KeyboardInterrupt


def test_two_processes_give_the_results_of_one(reference: Reference, tmp_path: Path) -> None:
    progress = StrictProgress()
    summary = reference.run(tmp_path, TWO, progress)
    progress.check_ended()
    reference.assert_same(tmp_path)
    for one in summary.done:
        assert one.counts is not None
        task = str(one.output)
        assert progress.done[task] == one.counts.frames_read
        assert progress.done[f"{task}: input.framemd5"] == one.counts.frames_read
    assert [one.source for one in summary.results] == reference.inputs
    assert [str(one.error) for one in summary.results] == [
        str(one.error) for one in reference.summary.results
    ]
    assert [one.counts for one in summary.results] == [
        one.counts for one in reference.summary.results
    ]
    assert summary.exit_code == 4
    assert multiprocessing.active_children() == []


@pytest.fixture
def short_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Further processes also for inputs with few segments."""
    monkeypatch.setattr(runs, "SEGMENTS_EACH", 1)


@pytest.mark.usefixtures("short_parts")
def test_one_input_is_restored_by_two_processes(reference: Reference, tmp_path: Path) -> None:
    seen: list[int] = []
    progress = AtFrame(20, lambda: seen.append(len(multiprocessing.active_children())))
    settings = replace(reference.settings, segment=8)
    (result,) = restore(reference.inputs[:1], tmp_path, settings, progress, TWO).results
    assert result.error is None
    assert seen == [2]
    assert file_hashes(tmp_path / "walk") == file_hashes(reference.whole / "a-walk.mkv")


@pytest.mark.usefixtures("short_parts")
@pytest.mark.parametrize(
    "which", mostly_nightly([0, 1], [0]), ids=["the process that writes", "the assistant"]
)
def test_one_input_survives_the_loss_of_either_process(
    reference: Reference, tmp_path: Path, which: int
) -> None:
    def kill() -> None:
        sorted(multiprocessing.active_children(), key=lambda one: one.pid or 0)[which].kill()

    progress = AtFrame(9, kill)
    (result,) = restore(reference.inputs[:1], tmp_path, reference.settings, progress, TWO).results
    assert result.error is None
    assert file_hashes(tmp_path / "walk") == file_hashes(reference.whole / "a-walk.mkv")
    assert multiprocessing.active_children() == []


def test_the_unit_of_a_killed_process_is_finished_by_another(
    reference: Reference, tmp_path: Path
) -> None:
    progress = AtFrame(12, kill_a_worker)
    summary = reference.run(tmp_path, ExecutionSettings(devices=("cpu",)), progress)
    assert [one.failed for one in summary.results] == [False, True, False]
    reference.assert_same(tmp_path)
    (lost,) = [note for note in progress.notes if "signal 9" in note]
    assert lost.startswith(f"{reference.inputs[0]}: ")
    assert lost.endswith("repeated (1 of 2)")


def test_an_interrupted_run_keeps_finished_segments_and_resumes(
    reference: Reference, tmp_path: Path
) -> None:
    progress = AtFrame(20, interrupt)
    with pytest.raises(KeyboardInterrupt):
        reference.run(tmp_path, ExecutionSettings(devices=("cpu",)), progress)
    assert multiprocessing.active_children() == []
    kept = [note for note in progress.notes if note.endswith("frames are kept for --resume")]
    assert len(kept) == 1
    summary = restore(reference.inputs, tmp_path, replace(reference.settings, resume=True))
    assert summary.results[0].notes[0].startswith("resumed after")
    reference.assert_same(tmp_path)


def test_missing_weights_are_an_error_of_the_run(reference: Reference, tmp_path: Path) -> None:
    settings = replace(reference.settings, weights="absent.safetensors")
    with pytest.raises(WeightsMissingError, match=r"absent\.safetensors"):
        restore(reference.inputs[:1], tmp_path, settings, Silent(), TWO)
    assert multiprocessing.active_children() == []


def test_inputs_that_are_missing_need_no_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LocalPool, "submit", lambda *_, **__: pytest.fail("a process started"))
    summary = restore([tmp_path / "absent.mp4"], tmp_path / "out", execution=TWO)
    assert summary.exit_code == 3
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", [MediaError, InputMissingError, OutputError, WeightsMissingError])
def test_errors_survive_the_way_between_processes(kind: type[Exception]) -> None:
    error = kind("what", where="where", hint="hint")  # type: ignore[call-arg]
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), vars(copy)) == (str(error), vars(error))
    assert isinstance(copy, kind)
