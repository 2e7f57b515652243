"""Options of `jdsr eval` that exclude each other, and numbers between commas."""

from pathlib import Path
from typing import Any

import pytest

from jdsr_cli.errors import UsageError
from jdsr_cli.settings import EvalSettings
from jdsr_cli.settings.evaluation import parse_counts, parse_widths


@pytest.mark.parametrize(
    ("given", "counts"),
    [("1,2,4,8", (1, 2, 4, 8)), ("8, 2,2", (2, 8)), ([4, 1], (1, 4)), ((3,), (3,)), ((), ())],
)
def test_numbers_of_shots_are_read_in_ascending_order(given: Any, counts: tuple[int, ...]) -> None:
    assert parse_counts(given) == counts
    assert EvalSettings(Path("faces"), burst=given).burst == counts


@pytest.mark.parametrize("given", ["", ",", "0", "9", "1,x", "2.5", [2.5], [True], 4, "-1,2"])
def test_other_numbers_of_shots_are_errors(given: Any) -> None:
    with pytest.raises(UsageError, match=r"--burst.*numbers of shots between commas, each 1 to 8"):
        EvalSettings(Path("faces"), burst=given)


def test_widths_are_those_of_faces_on_a_sensor() -> None:
    assert parse_widths("56,16") == (16, 56)
    for given in ("7", "129", "16px", [24.0]):
        with pytest.raises(UsageError, match=r"--widths.*each 8 to 128"):
            EvalSettings(Path("faces"), burst=(2,), widths=given)  # type: ignore[arg-type]


TABLE = {"table": "3", "checkpoints": Path("runs")}
VIDEO = (("restored", Path("restored.mp4")),)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"widths": (24,)}, r"--widths.*--burst"),
        ({"burst": (2,), "degradation": "paper"}, r"--burst.*camera, not paper"),
        ({"burst": (2,), "degradation": "sharp"}, r"--burst.*camera, not sharp"),
        ({"burst": (2,), "results": (("other", Path("out")),)}, r"--burst.*--results"),
        ({"burst": (2,), "write_inputs": Path("out")}, r"--burst.*--write-inputs"),
        ({"checkpoints": Path("runs")}, r"--checkpoints.*--table"),
        ({"table": "3"}, r"--table.*--checkpoints"),
        ({**TABLE, "methods": ("lite",)}, r"--table.*Leave --compare out"),
        ({**TABLE, "burst": (2,), "widths": (24,)}, r"--table.*Leave --burst and --widths out"),
        ({**TABLE, "results": (("other", Path("out")),)}, r"--table.*Leave --results out"),
        ({**TABLE, "write_inputs": Path("out")}, r"--table.*Leave --write-inputs out"),
        ({**TABLE, "degradation": "camera"}, r"--table.*Leave --degradation camera out"),
        ({"burst": (2,), "ffhq_results": (("other", Path("out")),)}, r"--burst.*--ffhq-results"),
        ({"inputs_size": 512}, r"--inputs-size.*--write-inputs"),
        ({"faces": Path("faces.jsonl")}, r"--faces.*--video"),
        ({"video": VIDEO, "methods": ("bicubic",)}, r"--compare.*--video"),
        ({"video": VIDEO, "results": (("other", Path("out")),)}, r"--results.*--video"),
        ({"video": VIDEO, "burst": (2,)}, r"--burst.*--video"),
        ({"video": VIDEO, "limit": 5}, r"--limit.*--video"),
        ({"video": VIDEO, "batch": 8}, r"--batch.*--video"),
        ({"video": VIDEO, "lpips": "download"}, r"--lpips.*--video"),
        ({"video": VIDEO, "write_inputs": Path("out")}, r"--write-inputs.*--video"),
        ({"inputs_template": "ffhq"}, r"--inputs-template.*--write-inputs"),
        ({"write_inputs": Path("out"), "inputs_size": 500}, r"--inputs-size: 500"),
    ],
)
def test_options_that_do_not_go_together_are_errors(options: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        EvalSettings(Path("faces"), **options)


@pytest.mark.parametrize(
    ("options", "inputs"),
    [
        ({}, "paper"), ({"burst": (4,)}, "camera"), ({"degradation": "sharp"}, "sharp"),
        ({"degradation": "camera", "burst": (4,)}, "camera"), (TABLE, "paper"),
        ({**TABLE, "degradation": "paper"}, "paper"),
    ],
)  # fmt: skip
def test_tracks_are_those_of_a_camera_and_tables_those_of_the_paper(
    options: Any, inputs: str
) -> None:
    assert EvalSettings(Path("faces"), **options).inputs == inputs


def test_restored_videos_take_networks_faces_and_a_device() -> None:
    settings = EvalSettings(
        Path("clip.mp4"), video=VIDEO, faces=Path("f"), identity=Path("i"), landmarks=Path("l"),
        out=Path("o"), device="cpu",
    )  # fmt: skip
    assert settings.video == VIDEO
    assert EvalSettings(Path("clip.mp4"), video=["a=b.mp4"]).video == (("a", Path("b.mp4")),)  # type: ignore[arg-type]
