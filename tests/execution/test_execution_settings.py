"""Options of execution: what they mean, and which contradict each other."""

from pathlib import Path

import numpy as np
import pytest
from media.clips import encode

from jdsr_cli.errors import DeviceError, UsageError
from jdsr_cli.execution.local import threads_each
from jdsr_cli.execution.runs import count_parts, worker_settings
from jdsr_cli.media import write_image
from jdsr_cli.settings import ExecutionSettings, RestoreSettings


@pytest.mark.parametrize(
    ("execution", "processes", "in_process"),
    [
        (ExecutionSettings(), 1, True),
        (ExecutionSettings(jobs=1), 1, True),
        (ExecutionSettings(jobs=3), 3, False),
        (ExecutionSettings(devices=("cuda:0", "cuda:1")), 2, False),
        (ExecutionSettings(devices="cuda:0, cuda:1", jobs=4), 4, False),  # type: ignore[arg-type]
        (ExecutionSettings(engine="ray"), 1, False),
    ],
)
def test_number_of_processes(
    execution: ExecutionSettings, processes: int, in_process: bool
) -> None:
    assert execution.processes == processes
    assert execution.in_process == in_process


@pytest.mark.parametrize(
    ("execution", "device", "message"),
    [
        (ExecutionSettings(devices=("cpu",)), "cpu", "both --device and --devices"),
        (ExecutionSettings(devices=("cpu",), engine="ray"), "auto", "--devices"),
        (ExecutionSettings(address="head"), "auto", "Add --engine ray"),
    ],
)
def test_options_that_contradict_each_other(
    execution: ExecutionSettings, device: str, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        execution.check(RestoreSettings(device=device))


@pytest.mark.parametrize("value", ["", "cpu,,cpu", []])
def test_an_empty_name_of_a_device_is_refused(value: object) -> None:
    with pytest.raises(UsageError, match="--devices"):
        ExecutionSettings(devices=value)  # type: ignore[arg-type]


def test_devices_take_turns() -> None:
    execution = ExecutionSettings(devices=("cpu", "auto"), jobs=3)
    workers = worker_settings(RestoreSettings(), execution)
    assert [one.device for one in workers] == ["cpu", "auto", "cpu"]


def test_there_are_no_more_workers_than_parts() -> None:
    execution = ExecutionSettings(jobs=4)
    counts = [len(worker_settings(RestoreSettings(), execution, n)) for n in (1, 3, 9, None)]
    assert counts == [1, 3, 4, 4]


def test_a_device_that_is_missing_is_an_error_before_anything_starts() -> None:
    with pytest.raises(DeviceError, match="cuda:99"):
        worker_settings(RestoreSettings(), ExecutionSettings(devices=("cpu", "cuda:99")))


def test_processes_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jdsr_cli.execution.local.usable_cores", lambda: 8)
    assert [threads_each(number) for number in (1, 2, 3, 16)] == [8, 4, 2, 1]


@pytest.mark.parametrize(
    ("names", "enough", "parts"),
    [
        (["long"], 8, 3),
        (["long"], 2, 2),
        (["long", "long"], 8, 6),
        (["short"], 8, 1),
        (["absent"], 8, 1),
        (["absent", "long", "picture"], 8, 5),
        (["picture"] * 5, 2, 5),
    ],
)
def test_parts_of_a_run(tmp_path: Path, names: list[str], enough: int, parts: int) -> None:
    """A clip has a part for each four segments of 8; what cannot be read is one part."""
    encode(tmp_path / "long.mkv", range(9 * 8))
    encode(tmp_path / "short.mkv", range(4 * 8))
    write_image(tmp_path / "picture.png", np.zeros((32, 32, 3), np.uint8))
    suffixes = {"long": ".mkv", "short": ".mkv", "picture": ".png", "absent": ".mp4"}
    paths = [tmp_path / f"{name}{suffixes[name]}" for name in names]
    assert count_parts(paths, RestoreSettings(segment=8), enough) == parts
