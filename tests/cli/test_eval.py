"""`jdsr eval` on the command line: the table, the files, and errors in one line."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from command_line import one_line, run
from network_files import write_points_onnx, write_torchscript
from PIL import Image
from typer.testing import Result

from jdsr_cli.cli.figure_cells import share_cell

Weights = Callable[[int], Path]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, write_faces: Callable[..., Path]) -> Path:
    return write_faces(tmp_path_factory.mktemp("faces"), ("train-0.tar", "test-0.tar"))


@pytest.fixture(scope="module")
def evaluated(
    data: Path,
    template_folder: Path,
    tiny_weights: Weights,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, Result]:
    out = tmp_path_factory.mktemp("eval")
    networks = (
        "--identity", write_torchscript(out / "identity.pt"),
        "--landmarks", write_points_onnx(out / "p.onnx", [0.1] * 136, np.linspace(0, 1, 136)),
    )  # fmt: skip
    compared = ("--compare", f"bicubic,{tiny_weights(32)}", "--scale", 4)
    return out, evaluate(data, out, template_folder, *compared, "--limit", 3, *networks)


def evaluate(data: Path, out: Path, masks: Path, *more: object) -> Result:
    fixed = ("--masks", masks, "--out", out, "--device", "cpu", "--quiet")
    return run("eval", "--data", data, *fixed, *more)


def section(result: Result, heading: str) -> list[list[str]]:
    """Return the words of the lines of two methods below a heading of the table."""
    lines = [line.strip() for line in result.stdout.splitlines()]
    first = lines.index(heading) + 1
    return [line.split() for line in lines[first : first + 2]]


def test_the_table_shows_means_intervals_and_differences(evaluated: tuple[Path, Result]) -> None:
    out, result = evaluated
    assert result.exit_code == 0, result.output
    assert "3 faces" in result.stdout
    assert "difference: to bicubic" in result.stdout
    stated = json.loads((out / "results.json").read_text(encoding="utf-8"))["results"]
    for heading, figure, decimals in (
        ("PSNR", "psnr", 2), ("SSIM cropped", "ssim_crop", 4), ("PSNR beside", "psnr_beside", 2),
        ("identity", "identity", 4), ("landmarks, %", "landmark_error", 2),
    ):  # fmt: skip
        bicubic, network = section(result, heading)
        expected = [row["figures"][figure] for row in stated]
        low, high = (f"{end:.{decimals}f}" for end in expected[0]["interval"])
        assert bicubic == ["bicubic", f"{expected[0]['mean']:.{decimals}f}", low, "to", high]
        gain = expected[1]["difference"]
        ends = [f"{end:+.{decimals}f}" for end in gain["interval"]]
        assert network[0] == "tiny-32"
        assert network[5:9] == [f"{gain['mean']:+.{decimals}f}", ends[0], "to", ends[1]]
        share = expected[1].get("better_share")  # not computed for identity and landmarks
        shown = {None: [], 0.0: ["0", "%"], 1.0: ["100", "%"]}
        assert network[9:] == shown.get(share, [f"{100 * (share or 0):.1f}", "%"])
    assert "LPIPS" not in result.stdout
    (_, rate), (_, slower) = section(result, "faces a second")
    assert float(rate) > float(slower) > 0


@pytest.mark.parametrize(
    ("share", "text"),
    [(1, "100 %"), (0.9999, ">99.9 %"), (0.5, "50.0 %"), (0.0001, "<0.1 %"), (0, "0 %")],
)
def test_only_exact_shares_are_shown_as_0_or_100_percent(share: float, text: str) -> None:
    assert share_cell(share) == text


def test_the_test_archives_of_a_folder_are_used(evaluated: tuple[Path, Result]) -> None:
    out, result = evaluated
    stated = json.loads((out / "results.json").read_text(encoding="utf-8"))
    assert stated["data"]["split"] == "test"
    for name in ("results.json", "scores.csv", "sheet.png"):
        assert str(out / name) in result.stdout.replace("\n", "")
        assert (out / name).stat().st_size > 0


def test_camera_degradation_has_no_covered_figure_on_unmasked_faces(
    data: Path, template_folder: Path, tmp_path: Path, tiny_weights: Weights
) -> None:
    compared = ("--compare", tiny_weights(64), "--degradation", "camera", "--limit", 2)
    result = evaluate(data, tmp_path, template_folder, *compared)
    assert result.exit_code == 0, result.output
    masked, unmasked = result.stdout.split("plain faces")
    assert "PSNR covered" in masked
    assert "PSNR covered" not in unmasked
    assert "PSNR beside" in unmasked


def test_inputs_are_written_and_external_results_are_read(
    data: Path, template_folder: Path, tmp_path: Path
) -> None:
    small = ("--scale", 8, "--limit", 2)
    inputs = tmp_path / "inputs"
    first = evaluate(data, tmp_path / "first", template_folder, "--compare", "bicubic", *small,
                     "--write-inputs", inputs)  # fmt: skip
    assert first.exit_code == 0, first.output
    restored = tmp_path / "restored"
    restored.mkdir()
    for path in inputs.iterdir():
        with Image.open(path) as given:
            assert given.size == (16, 16)
            given.resize((128, 128), Image.Resampling.BICUBIC).save(restored / path.name)
    result = evaluate(data, tmp_path / "second", template_folder, "--compare", "bicubic", *small,
                      "--results", f"[b]mine={restored}")  # fmt: skip
    assert result.exit_code == 0, result.output
    bicubic, mine = section(result, "PSNR")
    assert mine[0] == "[b]mine"
    assert mine[1:5] == bicubic[1:]
    assert mine[5] == "+0.00"
    path = next(restored.iterdir())
    path.unlink()
    again = evaluate(data, tmp_path / "third", template_folder, "--compare", "bicubic", *small,
                     "--results", f"mine={restored}")  # fmt: skip
    assert path.name in one_line(again, 3)


def test_invalid_comparisons_are_one_line_errors(
    data: Path, template_folder: Path, tmp_path: Path, tiny_weights: Weights
) -> None:
    def line(*more: object, code: int = 2) -> str:
        return one_line(evaluate(data, tmp_path / "out", template_folder, *more), code)

    both = f"{tiny_weights(16)},{tiny_weights(32)}"
    assert "one input size" in line("--compare", both)
    assert "--scale 8" in line("--compare", tiny_weights(16), "--scale", 4)
    assert "Give 1, 2, 4 or 8" in line("--compare", "bicubic", "--scale", 5)
    assert "'mine' is not allowed. Give NAME=DIR" in line("--results", "mine")
    assert "paper's network" in line("--compare", "paper", "--scale", 2)
    absent = ("--compare", "bicubic", "--identity", tmp_path / "absent.pt")
    assert "absent.pt" in line(*absent, code=5)
    assert not (tmp_path / "out").exists()


def test_groups_have_lines_below_their_method(
    data: Path, template_folder: Path, tmp_path: Path, tiny_weights: Weights
) -> None:
    compared = ("--compare", f"bicubic,{tiny_weights(32)}", "--groups", "lightness")
    result = evaluate(data, tmp_path, template_folder, *compared)
    assert result.exit_code == 0, result.output
    stated = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["groups"]
    lines = [line.split() for line in result.stdout.splitlines()]
    first = lines.index(["SSIM"])
    names = [line[0] for line in lines[first + 1 : first + 9]]
    thirds = ["darkest", "middle", "lightest"]
    assert names == ["bicubic", *thirds, "tiny-32", *thirds]
    darkest = next(one for one in stated if (one["method"], one["group"]) == ("tiny-32", "darkest"))
    ssim, shown = darkest["figures"]["ssim"], lines[first + 6]
    assert shown[1] == f"{ssim['mean']:.4f}"
    assert shown[5] == f"{ssim['difference']['mean']:+.4f}"
    low, high = darkest["limits"]
    assert f"masked, darkest: L* {low:.1f} to {high:.1f}, 2 faces" in result.stdout
    invalid = evaluate(data, tmp_path, template_folder, "--groups", "age")
    assert "grouped by 'age'" in one_line(invalid, 2)


def test_the_table_of_tracks_has_a_column_for_each_number_of_shots(
    data: Path, template_folder: Path, tmp_path: Path, tiny_weights: Weights
) -> None:
    options = ("--burst", "4,2", "--widths", "40", "--limit", 2)
    compared = ("--compare", f"bicubic,{tiny_weights(128)}")
    result = evaluate(data, tmp_path, template_folder, *compared, *options)
    assert result.exit_code == 0, result.output
    assert "2 faces, shots of a track: 1, 2, 4" in result.stdout
    stated = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["results"]
    figures = {
        row["method"]: row["figures"]["psnr"] for row in stated if row["faces"] == "plain 40 px"
    }
    line = next(one.split() for one in result.stdout.splitlines() if "bicubic inputs" in one)
    names = ("bicubic, 1 shot", "bicubic, 2 inputs", "bicubic, 4 inputs")
    gain = figures[names[-1]]["difference"]
    low, high = gain["interval"]
    assert line[:-2] == [
        "40", "px", "bicubic", "inputs", *(f"{figures[name]['mean']:.2f}" for name in names),
        f"{gain['mean']:+.2f}", f"{low:+.2f}", "to", f"{high:+.2f}",
    ]  # fmt: skip
    for text in (
        "plain faces",
        "uncovered faces",
        "PSNR face",
        "shots combined",
        "tiny-128 results",
    ):
        assert text in result.stdout
    assert "PSNR cropped" not in result.stdout
    alone = evaluate(data, tmp_path / "alone", template_folder, *compared[:1], "bicubic", *options)
    assert "  40 px inputs" in alone.stdout
    assert "--widths" in one_line(evaluate(data, tmp_path, template_folder, "--widths", "24"), 2)


def test_the_table_of_videos_shows_means_and_ratios_to_the_reference(
    tmp_path: Path, two_people: list[np.ndarray]
) -> None:
    for name, levels in (("clip", 0), ("bright", 9)):
        (tmp_path / name).mkdir()
        for number, frame in enumerate(two_people):
            flickering = frame // 2 + np.uint8(levels * (number % 2))
            Image.fromarray(flickering).save(tmp_path / name / f"{number}.png")
    points = [[40, 44], [62, 44], [51, 56], [42, 66], [60, 66]]
    records = [
        {"frame": frame, "track": 1, "points": points, "status": "restored", "bridged": False}
        for frame in range(len(two_people))
    ]
    faces = tmp_path / "faces.jsonl"
    faces.write_text("".join(json.dumps(one) + "\n" for one in records))
    result = run(
        "eval", "--data", tmp_path / "clip", "--video", f"bright={tmp_path / 'bright'}",
        "--faces", faces, "--out", tmp_path / "out", "--device", "cpu", "--quiet",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "6 frames, 1 track, 5 pairs of frames" in result.stdout
    assert "intervals over pairs of frames" in result.stdout
    stated = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))["results"]
    for heading, figure, decimals in (
        ("warping error, x 0.001", "warping_error", 3), ("flicker, grey levels", "flicker", 2),
    ):  # fmt: skip
        reference, bright = section(result, heading)
        for words, row in ((reference, stated[0]), (bright, stated[1])):
            mean = row["figures"][figure]["mean"]
            ends = (f"{mean[end]:.{decimals}f}" for end in ("value", "low", "high"))
            value, low, high = ends
            assert words[:5] == [row["video"], value, low, "to", high]
        relative = stated[1]["figures"][figure]["relative"]
        assert bright[5] == f"{relative['value']:.2f}"
    assert "identity distance" not in result.stdout
    assert [Path(line).name for line in result.stdout.splitlines()[-3:]] == [
        "results.json", "scores.csv", "faces.jsonl"
    ]  # fmt: skip


def test_videos_that_do_not_match_are_errors_in_one_line(
    tmp_path: Path, two_people: list[np.ndarray]
) -> None:
    for name, count in (("clip", 3), ("short", 2)):
        (tmp_path / name).mkdir()
        for number, frame in enumerate(two_people[:count]):
            Image.fromarray(frame).save(tmp_path / name / f"{number}.png")
    videos = ("--video", f"short={tmp_path / 'short'}", "--out", tmp_path / "out")
    result = run("eval", "--data", tmp_path / "clip", *videos)
    assert "has no picture of the number 2 (it has 2 frames, expected are 3)" in one_line(result, 2)
    refused = run("eval", "--data", tmp_path / "clip", *videos, "--compare", "bicubic")
    assert "--compare: is for faces" in one_line(refused, 2)
