"""`jdsr watch`: each recording once, restarts, growth, failures, and the end by a signal."""

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from restoration.suite_clips import file_hashes, walk

from jdsr_cli.errors import InputMissingError
from jdsr_cli.progress import Silent
from jdsr_cli.restoration import InputResult, RunSummary, restore
from jdsr_cli.restoration.journal import Journal
from jdsr_cli.settings import RestoreSettings, WatchOptions
from jdsr_cli.watching import watch
from jdsr_cli.watching.log import LOG

Weights = Callable[[int], Path]


class Watched:
    """A watched folder with its folder of results."""

    def __init__(self, root: Path, settings: RestoreSettings) -> None:
        self.folder, self.out = root / "recordings", root / "out"
        self.folder.mkdir()
        self.settings = settings
        self.options = WatchOptions(out=self.out, settle=0.0, once=True)

    def add(self, name: str, content: bytes) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def once(self, **changes: Any) -> dict[str, InputResult]:
        """Process what is finished; return the results by file."""
        results = list(watch(self.folder, self.options, replace(self.settings, **changes)))
        return {one.source.relative_to(self.folder).as_posix(): one for one in results}

    def states(self) -> list[tuple[str, str]]:
        lines = (self.out / LOG).read_text().splitlines()
        return [(one["recording"]["file"], one["state"]) for one in map(json.loads, lines)]


@pytest.fixture
def watched(tmp_path: Path, tiny_weights: Weights) -> Watched:
    settings = RestoreSettings(
        weights=str(tiny_weights(64)), detector="centerface", detection_scale=0.5, device="cpu",
        frame_scale=1, mode="crops",
    )  # fmt: skip
    return Watched(tmp_path, settings)


@pytest.fixture(scope="session")
def recorded(clip: Path) -> bytes:
    return clip.read_bytes()


def test_each_recording_is_restored_once_in_a_folder_of_its_own(
    watched: Watched, recorded: bytes
) -> None:
    watched.add("gate.mp4", recorded)
    watched.add("yard/gate.mp4", recorded)
    assert {name: one.output for name, one in watched.once().items()} == {
        "gate.mp4": watched.out / "gate",
        "yard/gate.mp4": watched.out / "yard" / "gate",
    }
    assert watched.once() == {}
    watched.add("yard/new/late.mp4", recorded)
    assert list(watched.once()) == ["yard/new/late.mp4"]
    alone = restore([watched.folder / "gate.mp4"], watched.out / "alone", watched.settings)
    assert alone.results[0].output is not None
    assert file_hashes(alone.results[0].output) == file_hashes(watched.out / "gate")


@pytest.mark.parametrize("name", [b"\xff.mp4", b"caf\xe9/gate.mp4", b"a\nb\x1b[31m.mp4"])
def test_a_name_that_is_no_text_is_logged(watched: Watched, recorded: bytes, name: bytes) -> None:
    file = os.fsdecode(name)
    watched.add(file, recorded)
    found = watched.once()
    assert list(found) == [file]
    assert found[file].error is None
    assert watched.once() == {}


def test_recordings_with_the_same_stem_keep_their_results_apart(
    watched: Watched, recorded: bytes
) -> None:
    watched.add("gate.mp4", recorded)
    watched.once()
    watched.add("gate.mkv", recorded)
    (result,) = watched.once().values()
    assert result.output == watched.out / "gate.mkv"
    assert watched.once() == {}


def test_a_recording_that_grew_is_reported_once_and_restored_again_with_force(
    watched: Watched, recorded: bytes
) -> None:
    path = watched.add("gate.mp4", recorded)
    watched.once()
    path.write_bytes(recorded + b"\0" * 16)
    (grown,) = watched.once().values()
    size = len(recorded)
    assert f"grew after it was restored ({size} bytes, now {size + 16})" in str(grown.error)
    assert "--force" in str(grown.error)
    assert watched.once() == {}
    (again,) = watched.once(force=True).values()
    assert again.error is None
    manifest = json.loads((watched.out / "gate" / "manifest.json").read_text())
    assert manifest["input"]["bytes"] == size + 16
    assert watched.once(force=True) == {}


def test_a_new_modification_time_of_the_same_content_changes_nothing(
    watched: Watched, recorded: bytes
) -> None:
    path = watched.add("gate.mp4", recorded)
    watched.once()
    os.utime(path, ns=(1, 1))
    assert watched.once() == {}
    assert watched.states()[-1] == ("gate.mp4", "restored")


def test_a_bad_file_is_reported_once_and_tried_again_if_it_changes(
    watched: Watched, recorded: bytes
) -> None:
    path = watched.add("gate.mp4", b"no media")
    assert watched.once()["gate.mp4"].failed
    assert watched.once() == {}
    path.write_bytes(recorded)
    assert not watched.once()["gate.mp4"].failed
    assert path.exists()


def test_a_removed_result_is_made_again(watched: Watched, recorded: bytes) -> None:
    watched.add("gate.mp4", recorded)
    watched.once()
    (watched.out / "gate").rename(watched.out / "moved")
    assert watched.once()["gate.mp4"].output == watched.out / "gate"


def test_a_log_with_a_line_that_was_cut_off_is_read_and_continued(
    watched: Watched, recorded: bytes
) -> None:
    watched.add("gate.mp4", recorded)
    watched.once()
    log = watched.out / LOG
    log.write_bytes(log.read_bytes() + b'{"recording": {"fi')
    watched.add("yard.mp4", recorded)
    assert list(watched.once()) == ["yard.mp4"]
    assert watched.once() == {}


def test_an_interrupted_recording_continues_after_a_restart(
    watched: Watched, recorded: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched.add("gate.mp4", recorded)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Silent, "advance", interrupt)
        with pytest.raises(KeyboardInterrupt):
            watched.once()
    assert watched.states() == [("gate.mp4", "begun")]
    assert not watched.once()["gate.mp4"].failed


def test_what_was_begun_with_other_content_is_begun_anew(
    watched: Watched, astronaut: np.ndarray, hopper: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = walk(watched.folder / "gate.mkv", astronaut, hopper, 12)
    add = Journal.add

    def interrupt(*given: Any) -> None:
        add(*given)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "add", interrupt)
        with pytest.raises(KeyboardInterrupt):
            watched.once(segment=8)
    assert (watched.out / ".gate.partial").exists()
    walk(path, hopper, astronaut, 12)
    (result,) = watched.once(segment=8).values()
    assert result.error is None
    assert not any(note.startswith("resumed") for note in result.notes)


def test_a_recorder_at_work_is_waited_for(
    watched: Watched, recorded: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without `once` the folder is listed again and again until the caller stops."""
    path = watched.add("gate.mp4", recorded[:1000])
    clock = itertools.count(0.0, 10.0)
    looks = 0

    def sleep(_: float) -> None:
        nonlocal looks
        looks += 1
        if looks < 3:
            path.write_bytes(recorded[: 1000 * (looks + 1)] if looks == 1 else recorded)

    monkeypatch.setattr("jdsr_cli.watching.loop.time.monotonic", lambda: next(clock))
    monkeypatch.setattr("jdsr_cli.watching.loop.time.sleep", sleep)
    options = replace(watched.options, once=False, settle=15.0)
    results: Iterator[InputResult] = watch(watched.folder, options, watched.settings)
    first = next(results)
    assert not first.failed
    assert looks == 4


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputMissingError, match="no such folder"):
        next(watch(tmp_path / "absent"))
    assert list(tmp_path.iterdir()) == []


def command(watched: Watched, *more: str) -> list[str]:
    run = "import sys; from jdsr_cli.cli.app import main; main()"
    settings = ("--weights", watched.settings.weights, "--detector", "centerface")
    fixed = ("--out", str(watched.out), "--device", "cpu", "--mode", "crops", *settings)
    return [sys.executable, "-c", run, "watch", str(watched.folder), *fixed, *more]


def test_once_exits_with_the_code_of_its_results(watched: Watched, recorded: bytes) -> None:
    watched.add("gate.mp4", recorded)
    watched.add("bad.mp4", b"no media")
    given = command(watched, "--once", "--settle", "0")
    done = subprocess.run(given, capture_output=True, text=True, check=False)
    assert done.returncode == 4, done.stderr
    (line,) = done.stdout.splitlines()
    assert line.startswith(f"{watched.folder / 'gate.mp4'} -> {watched.out / 'gate'}: 6 frames")
    assert f"error: {watched.folder / 'bad.mp4'}: " in done.stderr


def test_sigterm_ends_the_loop_cleanly(watched: Watched, recorded: bytes) -> None:
    watched.add("gate.mp4", recorded)
    given = command(watched, "--settle", "0", "--poll", "0.1")
    with subprocess.Popen(
        given, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert "gate" in process.stdout.readline()
        time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        assert process.wait(600) == 130
        assert "interrupted: finished work is kept" in process.stderr.read()
    assert watched.states()[-1] == ("gate.mp4", "restored")
    assert RunSummary(tuple(watched.once().values())).exit_code == 0
