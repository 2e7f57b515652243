"""`jdsr eval --video` and its output folder: what is searched there, kept and refused."""

from pathlib import Path
from typing import Any

import pytest

from jdsr_cli.errors import DatasetError, OutputError
from jdsr_cli.evaluation.videos import compare_videos
from jdsr_cli.settings import EvalSettings


def compare(tmp_path: Path, video: Path, faces: Path | None = None) -> None:
    """Compare a video with itself."""
    out = tmp_path / "out"
    compare_videos(
        EvalSettings(video, out=out, video=(("copy", video),), faces=faces, device="cpu")
    )


@pytest.fixture
def own_files(tmp_path: Path) -> list[Path]:
    """Files of the user in the output folder, in a folder of the name of a step."""
    folder = tmp_path / "out" / "search"
    folder.mkdir(parents=True)
    files = [folder / "notes.txt", tmp_path / "out" / "letter.txt"]
    for path in files:
        path.write_text("mine")
    return files


def test_a_search_keeps_the_folders_of_the_user(
    tmp_path: Path, clip: Path, own_files: list[Path]
) -> None:
    compare(tmp_path, clip)
    assert [path.read_text() for path in own_files] == ["mine", "mine"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "faces.jsonl", "letter.txt", "results.json", "scores.csv", "search",
    ]  # fmt: skip


@pytest.mark.parametrize("fault", [DatasetError("no face"), KeyboardInterrupt(), OSError(28, "x")])
def test_a_search_that_fails_leaves_nothing_behind(
    tmp_path: Path,
    clip: Path,
    own_files: list[Path],
    monkeypatch: pytest.MonkeyPatch,
    fault: BaseException,
) -> None:
    def fail(_: Any, folder: Path, *__: Any) -> None:
        (folder / "half").mkdir()
        raise fault

    monkeypatch.setattr("jdsr_cli.evaluation.video_faces.crop_faces", fail)
    expected = OutputError if isinstance(fault, OSError) and fault.errno == 28 else type(fault)
    with pytest.raises(expected):
        compare(tmp_path, clip)
    assert all(path.read_text() == "mine" for path in own_files)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["letter.txt", "search"]


@pytest.mark.parametrize("mark", ["manifest.json", "SHA256SUMS"])
@pytest.mark.parametrize("given", [True, False])
def test_the_folder_of_a_result_is_refused_before_any_work(
    tmp_path: Path, mark: str, given: bool
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for name in (mark, "faces.jsonl"):
        (out / name).write_text("{}")
    absent = tmp_path / "absent.mp4"  # an error of its own, once work begins
    with pytest.raises(OutputError, match=r"out: is a result of jdsr.*--out"):
        compare(tmp_path, absent, out / "faces.jsonl" if given else None)
    assert sorted(path.name for path in out.iterdir()) == sorted([mark, "faces.jsonl"])
    assert (out / "faces.jsonl").read_text() == "{}"
