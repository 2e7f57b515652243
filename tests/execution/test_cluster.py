"""Runs on a Ray cluster of two nodes on this machine."""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from reference_run import AtFrame, Reference
from restoration.suite_clips import file_hashes

from jdsr_cli.errors import InputMissingError, OutputError, UsageError
from jdsr_cli.execution import cluster as tasks
from jdsr_cli.execution.units import Unit, Work
from jdsr_cli.restoration import restore
from jdsr_cli.settings import ExecutionSettings, RestoreSettings

RAY = ExecutionSettings(engine="ray")


@pytest.fixture(scope="module")
def ray() -> Any:
    return pytest.importorskip("ray", reason="the package ray is not installed")


@pytest.fixture
def nodes(ray: Any) -> Iterator[Any]:
    """A cluster of two nodes with one CPU each; the driver belongs to the first."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    ray.init(address=cluster.address, log_to_driver=False)
    yield cluster
    ray.shutdown()
    cluster.shutdown()


@pytest.mark.cluster
@pytest.mark.filterwarnings("default")
def test_a_run_that_loses_a_node_gives_the_results_of_one_process(
    reference: Reference, nodes: Any, tmp_path: Path
) -> None:
    (second,) = [node for node in nodes.list_all_nodes() if not node.head]
    progress = AtFrame(6, lambda: nodes.remove_node(second, allow_graceful=False))
    summary = reference.run(tmp_path, RAY, progress)
    assert [one.failed for one in summary.results] == [False, True, False]
    assert any("its Ray task was lost" in note for note in progress.notes), progress.notes
    reference.assert_same(tmp_path)
    assert nodes.list_all_nodes() == [nodes.head_node]


@pytest.mark.cluster
@pytest.mark.filterwarnings("default")
def test_segments_of_one_input_are_tasks_and_a_lost_node_changes_nothing(
    reference: Reference, ray: Any, nodes: Any, tmp_path: Path
) -> None:
    (second,) = [node for node in nodes.list_all_nodes() if not node.head]
    cpus_in_use: list[float] = []

    def lose_node() -> None:
        cpus_in_use.append(2.0 - ray.available_resources().get("CPU", 0.0))
        nodes.remove_node(second, allow_graceful=False)

    progress = AtFrame(9, lose_node)
    (result,) = restore(reference.inputs[:1], tmp_path, reference.settings, progress, RAY).results
    assert result.error is None
    # That of the process that writes the input, and that of its assistant.
    assert cpus_in_use == [2.0]
    assert file_hashes(tmp_path / "walk") == file_hashes(reference.whole / "a-walk.mkv")


@pytest.mark.cluster
@pytest.mark.filterwarnings("default")
def test_an_interrupted_run_on_a_cluster_resumes(
    reference: Reference, nodes: Any, tmp_path: Path
) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reference.run(tmp_path, RAY, AtFrame(30, interrupt))
    assert list(tmp_path.glob(".jdsr-cluster-*")) == []
    restore(reference.inputs, tmp_path, replace(reference.settings, resume=True))
    reference.assert_same(tmp_path)


def test_without_ray_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(UsageError, match=r"pip install 'jdsr\[cluster\]'"):
        tasks.RayPool(RestoreSettings(), RAY, tmp_path)


class Store:
    """Stands for Ray's object store."""

    def __init__(self, array: Any) -> None:
        self.fetched = 0
        self._array = array

    def get(self, _: object) -> Any:
        self.fetched += 1
        return self._array


def test_a_node_fetches_the_weights_once_and_only_if_it_has_none(
    reference: Reference, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import numpy as np

    path = Path(reference.settings.weights)
    store = Store(np.frombuffer(path.read_bytes(), np.uint8))
    monkeypatch.setitem(__import__("sys").modules, "ray", store)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    located, sha256 = tasks._locate(str(path))
    there = tasks.SharedWeights(str(path), located.name, sha256, {"bytes": "reference"})
    assert there.path() == str(path)
    assert store.fetched == 0
    absent = replace(there, given="/absent/own.safetensors")
    copies = {absent.path(), absent.path()}
    assert store.fetched == 1
    assert [Path(one).read_bytes() for one in copies] == [path.read_bytes()]


@pytest.mark.parametrize(
    ("source", "marker", "kind"),
    [("absent.mp4", "marker", InputMissingError), ("clip.mp4", "absent", OutputError)],
)
def test_a_node_that_does_not_share_the_folders_says_so(
    tmp_path: Path, source: str, marker: str, kind: type[Exception]
) -> None:
    for name in ("clip.mp4", "marker"):
        (tmp_path / name).write_bytes(b"x")
    unit = Unit(0, tmp_path / source, tmp_path, "clip")
    task = tasks.Task(RestoreSettings(), None, tmp_path / marker)
    finished = tasks.run_task(Work(unit, "start"), task, None)
    assert isinstance(finished, tasks.Finished)
    assert isinstance(finished.result.error, kind)
    assert "all nodes share" in str(finished.result.error)


def test_a_continued_unit_waits_until_the_lost_process_gives_up_the_journal(
    tmp_path: Path,
) -> None:
    from jdsr_cli.execution.units import wait_for_journal
    from jdsr_cli.restoration.journal import Journal
    from jdsr_cli.restoration.request import Request
    from jdsr_cli.restoration.workspace import Workspace

    workspace = Workspace(tmp_path, "clip", tmp_path / "clip.mp4")
    workspace.open(Request({}, {}), force=False, resume=False)
    assert (workspace.work / Journal.NAME).exists()
    start = time.monotonic()
    wait_for_journal(workspace, seconds=0.5)
    assert time.monotonic() - start >= 0.5
    threading.Timer(0.3, workspace.close).start()
    wait_for_journal(workspace, seconds=30.0)
    assert 0.8 <= time.monotonic() - start < 20.0
