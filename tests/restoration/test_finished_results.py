"""Finished results are compared with what was recorded; what is damaged is made again."""

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from stored_manifest import write_result

from jdsr_cli.errors import UsageError
from jdsr_cli.evidence import MANIFEST, SUMS, read_manifest, write_sums
from jdsr_cli.media import write_image
from jdsr_cli.restoration import crop_faces, plan_crops
from jdsr_cli.restoration.finished_result import damaged_files
from jdsr_cli.settings import CropSettings


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    folder = write_result(tmp_path / "clip", restored__mp4=b"video", faces__jsonl=b"{}\n")
    (folder / "faces").mkdir()
    (folder / "faces" / "a.png").write_bytes(b"picture")
    (folder / "report.html").write_bytes(b"report")
    write_sums(folder)
    return folder


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


SEEN_BY_SIZE: list[tuple[Callable[[Path], object], str]] = [
    (lambda folder: (folder / "restored.mp4").unlink(), "restored.mp4 is missing"),
    (lambda folder: (folder / "restored.mp4").write_bytes(b"12"), "2 bytes, recorded are 5"),
    (lambda folder: (folder / "faces" / "a.png").unlink(), "faces/a.png is missing"),
    (lambda folder: (folder / "faces" / "a.png").write_bytes(b""), "faces/a.png is empty"),
    (lambda folder: shutil.rmtree(folder / "faces"), "faces/a.png is missing"),
    (lambda folder: (folder / "restored.mp4").rename(folder / "x"), "restored.mp4 is missing"),
    (lambda folder: (folder / SUMS).unlink(), f"{SUMS} is missing"),
    (lambda folder: (folder / SUMS).write_bytes(b""), f"{SUMS} is damaged"),
    (lambda folder: os.truncate(folder / SUMS, 100), f"{SUMS} is damaged"),
]
SEEN_BY_HASH: list[tuple[Callable[[Path], object], str]] = [
    (lambda folder: flip(folder / "restored.mp4"), "restored.mp4 was changed"),
    (lambda folder: flip(folder / "faces" / "a.png"), "faces/a.png was changed"),
    (lambda folder: (folder / "faces" / "a.png").write_bytes(b"1"), "faces/a.png was changed"),
    (lambda folder: (folder / MANIFEST).open("a").close(), ""),
    (lambda folder: flip(folder / MANIFEST), f"{MANIFEST} was changed"),
]


@pytest.mark.parametrize(("damage", "words"), SEEN_BY_SIZE)
def test_missing_and_shortened_files_are_found_by_size(
    stored: Path, damage: Callable[[Path], object], words: str
) -> None:
    manifest = read_manifest(stored)
    (stored / "report.html").unlink()
    assert list(damaged_files(stored, manifest, hashes=True)) == []
    damage(stored)
    assert words in "; ".join(damaged_files(stored, manifest))


@pytest.mark.parametrize(("damage", "words"), SEEN_BY_HASH)
def test_altered_files_are_found_by_hash(
    stored: Path, damage: Callable[[Path], object], words: str
) -> None:
    manifest = read_manifest(stored)
    damage(stored)
    assert list(damaged_files(stored, manifest)) == []
    assert words in "; ".join(damaged_files(stored, manifest, hashes=True))


@pytest.fixture
def crops(tmp_path: Path, two_people: list[NDArray[np.uint8]]) -> tuple[Path, Path, CropSettings]:
    """A picture, the folder of its finished result, and the settings."""
    photo = tmp_path / "photo.png"
    write_image(photo, two_people[0])
    settings = CropSettings(device="cpu", detector="centerface", resume=True)
    summary = crop_faces([photo], tmp_path / "out", settings)
    assert summary.exit_code == 0
    assert summary.results[0].output is not None
    return photo, summary.results[0].output, settings


def content(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in (MANIFEST, SUMS)
    }


@pytest.mark.parametrize("kind", ["missing", "empty", "altered"])
def test_a_damaged_result_is_made_again_with_resume(
    crops: tuple[Path, Path, CropSettings], kind: str
) -> None:
    photo, folder, settings = crops
    before = content(folder)
    picture = min(folder.glob("*.png"))
    settings = replace(settings, verify=kind == "altered")
    if kind == "missing":
        picture.unlink()
    elif kind == "empty":
        picture.write_bytes(b"")
    else:
        Image.open(picture).transpose(Image.Transpose.ROTATE_180).save(picture)
    (planned,) = plan_crops([photo], folder.parent, settings).inputs
    assert planned.state == "new"
    assert len(planned.notes) == 1
    assert picture.name in planned.notes[0]
    (result,) = crop_faces([photo], folder.parent, settings).results
    assert result.error is None
    assert any(f"damaged and made again: {picture.name}" in note for note in result.notes)
    assert content(folder) == before
    (planned,) = plan_crops([photo], folder.parent, replace(settings, verify=True)).inputs
    assert (planned.state, planned.notes) == ("done", ())


def test_a_damaged_result_with_own_files_stays(crops: tuple[Path, Path, CropSettings]) -> None:
    photo, folder, settings = crops
    picture = min(folder.glob("*.png"))
    picture.rename(folder / "mine.png")
    (result,) = crop_faces([photo], folder.parent, settings).results
    assert result.error is not None
    assert "mine.png" in str(result.error)
    assert (folder / "mine.png").exists()


def test_hashes_are_compared_only_if_asked_to(crops: tuple[Path, Path, CropSettings]) -> None:
    photo, folder, settings = crops
    picture = min(folder.glob("*.png"))
    flip(picture)
    (result,) = crop_faces([photo], folder.parent, settings).results
    assert result.notes == ("an earlier run has done this already",)


def test_verify_without_resume_is_refused(crops: tuple[Path, Path, CropSettings]) -> None:
    photo, folder, settings = crops
    for ask in (crop_faces, plan_crops):
        with pytest.raises(UsageError, match="--resume"):
            ask([photo], folder.parent, replace(settings, resume=False, verify=True))
