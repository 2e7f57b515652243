"""`jdsr eval --table` on the command line."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import one_line, run
from recipe_checkpoints import alter, write_checkpoint


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, write_faces: Callable[..., Path]) -> Path:
    return write_faces(tmp_path_factory.mktemp("faces"), ("test-0.tar",))


def test_a_table_is_printed_beside_the_figures_of_the_paper(
    data: Path, template_folder: Path, tmp_path: Path
) -> None:
    runs, out = tmp_path / "runs", tmp_path / "out"
    write_checkpoint(runs / "full" / "weights", "paper_x4", steps="500", batch="16")
    write_checkpoint(runs / "style" / "weights", "without_style", seed=1)
    options = (
        "--data", data, "--masks", template_folder, "--out", out, "--table", "2",
        "--checkpoints", runs, "--limit", 3, "--device", "cpu",
    )  # fmt: skip
    result = run("eval", *options)
    assert result.exit_code == 0, result.output
    lines = [line.split() for line in result.stdout.splitlines()]
    first = lines.index(["PSNR"]) + 1
    stated = json.loads((out / "table.json").read_text(encoding="utf-8"))["rows"]
    psnr = stated[0]["figures"]["psnr"]
    low, high = psnr["difference"]["interval"]
    assert lines[first] == [
        "without", "style", f"{psnr['mean']:.2f}",
        f"{psnr['interval'][0]:.2f}", "to", f"{psnr['interval'][1]:.2f}", "25.85",
        f"{psnr['difference']['mean']:+.2f}", f"{low:+.2f}", "to", f"{high:+.2f}",
    ]  # fmt: skip
    assert lines[first + 1] == ["without", "perceptual", "missing", "25.86"]
    assert lines[first + 5][0] == "JDSR-GAN"
    assert lines[first + 5][-1] == "26.28"
    covered = lines.index(["PSNR", "covered"])
    assert [line[0] for line in lines[covered + 1 : covered + 4]] == ["without", "JDSR-GAN", "SSIM"]
    steps = lines.index(["steps", "x", "faces"])
    assert lines[steps + 1] == ["JDSR-GAN", "500", "x", "16"]
    assert "cannot be compared" in " ".join(result.stdout.split())
    for name in ("table.json", "table.md", "results.json", "scores.csv", "sheet.png"):
        assert str(out / name) in result.stdout
        assert (out / name).stat().st_size > 0

    alter(runs / "style" / "weights" / "without_style.safetensors")
    result = run("eval", *options)
    assert result.exit_code == 4
    assert "without style        unusable" in result.stdout
    error = next(line for line in result.stderr.splitlines() if "SHA-256" in line)
    assert error.startswith(
        f"error: {runs / 'style' / 'weights' / 'without_style.safetensors'}: SHA-256"
    )


def test_options_that_a_table_does_not_have_are_one_line_errors(data: Path, tmp_path: Path) -> None:
    table = ("eval", "--data", data, "--out", tmp_path / "out", "--table", "3")
    assert "Give --checkpoints DIR" in one_line(run(*table), 2)
    folder = (*table, "--checkpoints", tmp_path)
    assert "Leave --compare out" in one_line(run(*folder, "--compare", "bicubic"), 2)
    assert "no manifest.toml" in one_line(run(*folder), 5)
    assert "no such folder" in one_line(run(*table, "--checkpoints", tmp_path / "absent"), 3)
    assert not (tmp_path / "out").exists()
