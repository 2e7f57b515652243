"""Who makes a result of a segment: one process at a time, and none if it is there."""

import threading
import time
from pathlib import Path

import pytest

from jdsr_cli.errors import OutputError
from jdsr_cli.restoration.shared_segments import SharedResults
from jdsr_cli.restoration.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    one = Workspace(tmp_path, "clip", tmp_path / "clip.mp4")
    one.work.mkdir(parents=True)
    return one


def test_one_process_makes_a_result_and_the_others_find_it(workspace: Workspace) -> None:
    ours, theirs = SharedResults(workspace, ".x"), SharedResults(workspace, ".x")
    assert ours.claim(3) == "ours"
    assert theirs.claim(3) == "elsewhere"
    assert theirs.claim(4) == "ours"
    ours.path(3).write_text("made")
    ours.release(3)
    assert theirs.claim(3) == "there"


def test_a_claim_that_was_given_up_is_free(workspace: Workspace) -> None:
    ours, theirs = SharedResults(workspace, ".x"), SharedResults(workspace, ".x")
    for number in (0, 1, 2):
        ours.claim(number)
    ours.release_before(2)
    assert [theirs.claim(number) for number in (0, 1, 2)] == ["ours", "ours", "elsewhere"]
    ours.release_all()
    assert theirs.claim(2) == "ours"


def test_results_of_different_kinds_have_claims_of_their_own(workspace: Workspace) -> None:
    assert SharedResults(workspace, ".x").claim(0) == "ours"
    assert SharedResults(workspace, ".y").claim(0) == "ours"


def test_waiting_ends_when_the_result_is_there(workspace: Workspace) -> None:
    ours, theirs = SharedResults(workspace, ".x"), SharedResults(workspace, ".x")
    ours.claim(0)

    def finish() -> None:
        ours.path(0).write_text("made")
        ours.release(0)

    threading.Timer(0.2, finish).start()
    assert theirs.await_claim(0, lambda: False) == "there"


def test_waiting_ends_when_the_other_process_is_lost(workspace: Workspace) -> None:
    ours, theirs = SharedResults(workspace, ".x"), SharedResults(workspace, ".x")
    ours.claim(0)
    threading.Timer(0.2, ours.release, (0,)).start()
    assert theirs.await_claim(0, lambda: False) == "ours"


def test_waiting_ends_when_the_result_is_not_needed(workspace: Workspace) -> None:
    ours, theirs = SharedResults(workspace, ".x"), SharedResults(workspace, ".x")
    ours.claim(0)
    end = time.monotonic() + 0.2
    assert theirs.await_claim(0, lambda: time.monotonic() > end) == "elsewhere"


def test_a_folder_that_is_gone_is_an_error(tmp_path: Path) -> None:
    (tmp_path / ".clip.partial").write_text("a file")
    gone = SharedResults(Workspace(tmp_path, "clip", tmp_path / "clip.mp4"), ".x")
    with pytest.raises(OutputError):
        gone.claim(0)
