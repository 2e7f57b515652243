from pathlib import Path

import pytest

from jdsr_cli.errors import MediaError, OutputError
from jdsr_cli.restoration.places import MANIFEST, name_outputs, prepare_folder, whole_folder

SOURCE = Path("somewhere/clip.mp4")


def test_names_of_the_same_stem_are_told_apart() -> None:
    paths = [Path(name) for name in ("a/x.mp4", "b/x.mp4", "c/X.gif", "x-2.png", ".hidden")]
    assert name_outputs(paths) == ["x", "x-2", "X-3", "x-2-2", "hidden"]


def test_folder_appears_whole(tmp_path: Path) -> None:
    with whole_folder(tmp_path, "clip", SOURCE, force=False) as folder:
        (folder / "a").write_text("a")
        assert not (tmp_path / "clip").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["clip"]
    assert (tmp_path / "clip" / "a").read_text() == "a"


def fill_and_raise(out: Path, error: BaseException) -> None:
    with whole_folder(out, "clip", SOURCE, force=False) as folder:
        (folder / "a").write_text("a")
        raise error


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt("x"), MediaError("x")])
def test_nothing_is_left_after_an_exception(tmp_path: Path, error: BaseException) -> None:
    with pytest.raises(type(error), match="x"):
        fill_and_raise(tmp_path, error)
    assert list(tmp_path.iterdir()) == []


def test_operating_system_errors_become_output_errors(tmp_path: Path) -> None:
    with (
        pytest.raises(OutputError, match="No space left"),
        whole_folder(tmp_path, "clip", SOURCE, force=False),
    ):
        raise OSError(28, "No space left on device")


def test_leftovers_of_a_killed_run_are_cleared(tmp_path: Path) -> None:
    (tmp_path / ".clip.partial").mkdir()
    (tmp_path / ".clip.partial" / "old").write_text("old")
    with whole_folder(tmp_path, "clip", SOURCE, force=False) as folder:
        assert list(folder.iterdir()) == []


def earlier(out: Path) -> Path:
    (out / "clip").mkdir()
    (out / "clip" / MANIFEST).write_text("{}")
    return out / "clip"


def test_an_earlier_result_is_kept_without_force(tmp_path: Path) -> None:
    earlier(tmp_path)
    with (
        pytest.raises(OutputError, match="--force"),
        whole_folder(tmp_path, "clip", SOURCE, force=False),
    ):
        pass
    assert (tmp_path / "clip" / MANIFEST).exists()


def test_an_earlier_result_is_replaced_with_force(tmp_path: Path) -> None:
    earlier(tmp_path)
    with whole_folder(tmp_path, "clip", SOURCE, force=True) as folder:
        (folder / "new").write_text("new")
    assert [path.name for path in (tmp_path / "clip").iterdir()] == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == ["clip"]


def test_an_earlier_result_survives_a_failed_replacement(tmp_path: Path) -> None:
    earlier(tmp_path)
    with (
        pytest.raises(MediaError),
        whole_folder(tmp_path, "clip", SOURCE, force=True),
    ):
        raise MediaError("bad")
    assert (tmp_path / "clip" / MANIFEST).exists()


def test_what_is_no_result_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "clip").mkdir()
    (tmp_path / "clip" / "holiday.jpg").write_text("mine")
    with (
        pytest.raises(OutputError, match="not a result"),
        whole_folder(tmp_path, "clip", SOURCE, force=True),
    ):
        pass
    assert (tmp_path / "clip" / "holiday.jpg").read_text() == "mine"


def test_an_input_inside_the_result_is_never_replaced(tmp_path: Path) -> None:
    source = earlier(tmp_path) / "clip.mp4"
    source.write_text("video")
    with (
        pytest.raises(OutputError, match="the input lies in"),
        whole_folder(tmp_path, "clip", source, force=True),
    ):
        pass
    assert source.read_text() == "video"


def test_a_place_that_cannot_be_written_is_told_at_once(tmp_path: Path) -> None:
    taken = tmp_path / "file"
    taken.write_text("x")
    for place in (taken, taken / "below"):
        with pytest.raises(OutputError, match="--out"):
            prepare_folder(place)
    assert prepare_folder(tmp_path / "a" / "b").is_dir()
