"""`jdsr report`, the API function `report`, and the list of results."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import run
from fake_results import MakeResult
from pages import assert_self_contained, read_page

from jdsr_cli import RestoreSettings, report, restore
from jdsr_cli.errors import OutputError
from jdsr_cli.reporting import INDEX, REPORT, update_index

Weights = Callable[[int], Path]


def test_a_result_and_a_folder_of_results_are_reported(
    make_result: MakeResult, tmp_path: Path
) -> None:
    for name in ("gate", "yard <b>", "öst 100%"):
        result = make_result(name, source=f"/cameras/{name}.mp4", side=16)
        result.person(1)
        result.write()
    out = tmp_path / "out"
    (out / ".hidden").mkdir()
    done = run("report", out)
    assert done.exit_code == 0
    names = ["gate", "yard <b>", "öst 100%"]
    expected = [*(str(out / name / REPORT) for name in names), str(out / INDEX)]
    assert done.stdout.splitlines() == expected
    page = read_page(out / INDEX)
    assert_self_contained(page)
    links = [one.attributes["href"] for one in page.all("a") if "report" in one.attributes["href"]]
    assert links == [
        "./gate/report.html", "./yard%20%3Cb%3E/report.html", "./%C3%B6st%20100%25/report.html",
    ]  # fmt: skip
    assert "yard <b>.mp4" in page.text
    before = (out / INDEX).read_bytes()
    assert report([out / "gate"]).results[0].page == out / "gate" / REPORT
    assert report([out]).exit_code == 0
    assert (out / INDEX).read_bytes() == before


def test_failures_are_one_line_each_and_the_others_are_done(
    make_result: MakeResult, tmp_path: Path
) -> None:
    make_result("a").write()
    make_result("b").write(schema_version=7)
    (make_result("c").folder / "manifest.json").write_text("{")
    make_result("d").write(command="crop-faces")
    done = run("report", tmp_path / "out")
    assert done.exit_code == 4
    errors = done.stderr.splitlines()
    assert len(errors) == 3
    for line, words in zip(
        errors, ("newer version of jdsr", "is damaged", "only these have a report"), strict=True
    ):
        assert line.startswith(f"error: {tmp_path / 'out'}")
        assert words in line
    page = read_page(tmp_path / "out" / INDEX)
    assert "3 other folders without a report" in page.text


@pytest.mark.parametrize("made", ["nothing", "empty", "file", "broken"])
def test_nothing_usable_is_exit_code_3(tmp_path: Path, made: str) -> None:
    folder = tmp_path / "out"
    if made == "file":
        folder.write_text("x")
    elif made != "nothing":
        (folder / "result").mkdir(parents=True)
    if made == "broken":
        (folder / "result" / "manifest.json").write_text("[]")
    done = run("report", folder)
    assert done.exit_code == 3
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert "Traceback" not in done.output


def test_a_folder_that_is_read_only_is_exit_code_6(
    make_result: MakeResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_result().write()

    def refused(path: Path) -> None:
        raise OutputError("cannot be written: the file system is read-only", where=path)

    monkeypatch.setattr("jdsr_cli.atomic.create_partial", refused)
    assert run("report", folder).exit_code == 6


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "{x}  a.png\n{x}  report.html\n{x}  z.png\n",
            "{x}  a.png\n{r}  report.html\n{x}  z.png\n",
        ),
        ("{x} *report.html\n", "{r}  report.html\n"),
        ("{x}  old-report.html\n", "{x}  old-report.html\n{r}  report.html\n"),
        ("{x}  a.png", "{x}  a.png\n{r}  report.html\n"),
        ("", "{r}  report.html\n"),
    ],
)
def test_the_line_in_sha256sums_is_replaced(
    make_result: MakeResult, before: str, after: str
) -> None:
    folder = make_result().write()
    sums = folder / "SHA256SUMS"
    sums.write_text(before.format(x="0" * 64))
    assert report([folder]).exit_code == 0
    digest = hashlib.sha256((folder / REPORT).read_bytes()).hexdigest()
    assert sums.read_text() == after.format(x="0" * 64, r=digest)


def test_no_sha256sums_is_made(make_result: MakeResult) -> None:
    folder = make_result().write()
    report([folder])
    assert not (folder / "SHA256SUMS").exists()


def test_one_result_gets_no_list(make_result: MakeResult, tmp_path: Path) -> None:
    make_result().write()
    assert update_index(tmp_path / "out") is None
    assert not (tmp_path / "out" / INDEX).exists()


def test_a_foreign_index_is_kept(make_result: MakeResult, tmp_path: Path) -> None:
    make_result("a").write()
    make_result("b").write()
    index = tmp_path / "out" / INDEX
    index.write_text("<p>of somebody else</p>")
    summary = report([tmp_path / "out"])
    assert summary.exit_code == 4
    assert "not a page of jdsr" in str(summary.failed[0].error)
    assert index.read_text() == "<p>of somebody else</p>"
    index.unlink()
    index.symlink_to(tmp_path / "target")
    assert report([tmp_path / "out"]).exit_code == 4
    assert not (tmp_path / "target").exists()


def test_restore_writes_report_and_list_unless_told_otherwise(
    clip: Path, tiny_weights: Weights, tmp_path: Path
) -> None:
    second = tmp_path / "second.mp4"
    second.write_bytes(clip.read_bytes())
    settings = RestoreSettings(weights=str(tiny_weights(32)), detector="centerface", device="cpu")
    out = tmp_path / "out"
    assert restore([clip, second], out, settings).exit_code == 0
    for name in ("street", "second"):
        written = (out / name / REPORT).read_bytes()
        page = read_page(out / name / REPORT)
        assert_self_contained(page)
        assert "Not shown" not in page.text
        assert "differs from the hash" not in page.text
        assert len(page.all("article")) == 2
        assert report([out / name]).exit_code == 0
        assert (out / name / REPORT).read_bytes() == written
    assert_self_contained(read_page(out / INDEX))
    assert json.loads((out / "street" / "manifest.json").read_text())["settings"]["report"] is True


def test_no_report_writes_none(clip: Path, tiny_weights: Weights, tmp_path: Path) -> None:
    done = run(
        "restore", clip, "--out", tmp_path / "out", "--no-report", "--mode", "crops", "--quiet",
        "--weights", tiny_weights(32), "--detector", "centerface", "--device", "cpu",
    )  # fmt: skip
    assert done.exit_code == 0
    assert (tmp_path / "out" / "street" / "manifest.json").exists()
    assert not list((tmp_path / "out").rglob("*.html"))
