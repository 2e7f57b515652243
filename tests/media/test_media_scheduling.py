"""Encoders do not change the scheduling of this process."""

import os
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from clips import encode

from jdsr_cli.media import SegmentWriter, probe
from jdsr_cli.media.writing import scheduling
from jdsr_cli.media.writing.scheduling import unchanged_scheduling

pytestmark = pytest.mark.skipif(
    not hasattr(os, "sched_getscheduler"), reason="scheduling policies exist on Linux only"
)


def policies() -> set[int]:
    """Policies of all threads of this process."""
    return {os.sched_getscheduler(int(task.name)) for task in Path("/proc/self/task").iterdir()}


def set_batch() -> None:
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def in_thread(run: Callable[[], None]) -> None:
    """Run in a thread of its own, so that a failure leaves this process as it was."""
    errors: list[BaseException] = []

    def catch() -> None:
        try:
            run()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=catch)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]


@pytest.mark.parametrize("codec", ["av1", "hevc", "h264"])
def test_an_open_encoder_has_no_priority_over_other_processes(tmp_path: Path, codec: str) -> None:
    """For the superuser SVT-AV1 selects the highest real-time priority, also in this thread."""
    info = probe(encode(tmp_path / "a.mp4"))
    before = policies()
    picture = np.zeros((48, 64, 3), np.uint8)

    def write() -> None:
        with SegmentWriter(tmp_path / "x.nut", info, 64, 48, codec=codec) as writer:
            for pts in range(12):
                writer.write(picture, pts)
                assert policies() == before
        assert policies() == before

    in_thread(write)


def test_the_policies_of_the_caller_and_of_new_threads_are_restored() -> None:
    go_on = threading.Event()
    before = os.sched_getscheduler(0)

    def wait() -> None:
        set_batch()
        started.set()
        go_on.wait(600)

    def change() -> None:
        with unchanged_scheduling():
            set_batch()
            thread.start()
            started.wait(600)
            assert os.SCHED_BATCH in policies()
        assert os.sched_getscheduler(0) == before
        assert os.sched_getscheduler(thread.native_id or 0) == before

    started = threading.Event()
    thread = threading.Thread(target=wait)
    try:
        in_thread(change)
    finally:
        go_on.set()
        thread.join()


def test_without_proc_the_calling_thread_is_restored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduling, "_TASKS", tmp_path / "missing")
    before = os.sched_getscheduler(0)

    def change() -> None:
        with unchanged_scheduling():
            set_batch()
        assert os.sched_getscheduler(0) == before

    in_thread(change)


def test_a_forbidden_change_of_policy_is_not_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbid(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    def change() -> None:
        with unchanged_scheduling():
            set_batch()
            monkeypatch.setattr(os, "sched_setscheduler", forbid)
        monkeypatch.undo()
        assert os.sched_getscheduler(0) == os.SCHED_BATCH

    in_thread(change)


def test_a_thread_that_had_another_policy_keeps_it_also_after_an_error() -> None:
    @unchanged_scheduling()
    def fail() -> None:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        raise ValueError("encoder")

    def change() -> None:
        set_batch()
        with pytest.raises(ValueError, match="encoder"):
            fail()
        assert os.sched_getscheduler(0) == os.SCHED_BATCH

    in_thread(change)
