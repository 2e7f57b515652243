"""Still pictures as a run returns them: one picture, upright, with the EXIF of the input."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pytest
from PIL import ExifTags, Image

from jdsr_cli.media import read_image
from jdsr_cli.progress import Silent
from jdsr_cli.restoration import crop_faces, plan_restore, restore
from jdsr_cli.settings import CropSettings, ExecutionSettings, RestoreSettings

pillow_heif.register_heif_opener()

Weights = Callable[[int], Path]
DATE = "2024:05:06 07:08:09"


class Lines(Silent):
    """Keeps the notes of a run."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, message: str) -> None:
        self.lines.append(message)


def settings(weights: Path, **changes: Any) -> RestoreSettings:
    return RestoreSettings(
        weights=str(weights), detector="centerface", device="cpu", label=False, **changes
    )


def camera_exif() -> bytes:
    exif = Image.Exif()
    exif[271], exif[272], exif[274], exif[306] = "Maker", "Model X", 6, DATE
    exif[ExifTags.IFD.Exif] = {36867: DATE, 42036: "Lens 35mm"}
    return exif.tobytes()


FORMATS: dict[str, dict[str, Any]] = {
    "whole.heic": {"quality": 95},
    "tiles.heic": {"quality": 95, "tile_size": 64},
    "a.jpg": {"quality": 95},
    "a.tif": {},
}


@pytest.mark.parametrize("name", FORMATS)
def test_a_picture_of_a_camera_stays_one_upright_picture_with_its_exif(
    tiny_weights: Weights, tmp_path: Path, astronaut: np.ndarray, name: str
) -> None:
    turned = Image.fromarray(astronaut).transpose(Image.Transpose.ROTATE_90)
    turned.save(tmp_path / name, exif=camera_exif(), **FORMATS[name])
    summary = restore([tmp_path / name], tmp_path / "out", settings(tiny_weights(64), overlay=True))
    assert summary.exit_code == 0
    folder = tmp_path / "out" / Path(name).stem
    assert not list(folder.glob("*.mp4"))
    for result in ("restored.png", "overlay.png"):
        with Image.open(folder / result) as stored:
            stored.load()
            exif, size = stored.getexif(), stored.size
        assert [exif[tag] for tag in (271, 272, 274, 306)] == ["Maker", "Model X", 1, DATE]
        inner = exif.get_ifd(ExifTags.IFD.Exif)
        assert (inner[36867], inner[42036]) == (DATE, "Lens 35mm")
        assert (inner[40962], inner[40963]) == size
    shown = np.asarray(Image.fromarray(astronaut).resize(size), int)
    assert np.abs(read_image(folder / "overlay.png") - shown).mean() < 8


def test_notes_on_a_picture_reach_the_manifest_and_the_user(
    tiny_weights: Weights, tmp_path: Path, astronaut: np.ndarray
) -> None:
    alpha = np.full(astronaut.shape[:2], 255, np.uint8)
    alpha[:10] = 0
    Image.fromarray(np.dstack([astronaut, alpha])).save(tmp_path / "a.png")
    progress = Lines()
    restore([tmp_path / "a.png"], tmp_path / "out", settings(tiny_weights(64)), progress)
    manifest = json.loads((tmp_path / "out/a/manifest.json").read_text())
    assert "transparent parts are shown on gray" in manifest["notes"]
    assert any(line.endswith("transparent parts are shown on gray") for line in progress.lines)
    border = read_image(tmp_path / "out/a/restored.png")[:20]
    assert np.abs(border.astype(int) - 128).max() <= 2


def test_every_command_names_what_a_folder_leaves_out(
    tiny_weights: Weights, tmp_path: Path, astronaut: np.ndarray
) -> None:
    folder, chosen = tmp_path / "in", settings(tiny_weights(64))
    folder.mkdir()
    Image.fromarray(astronaut).save(folder / "a.png")
    (folder / "a.xmp").touch()
    expected = f"{folder}: a.xmp is not a video or picture file and was left out"
    crops = CropSettings(detector="centerface", device="cpu")
    runs: list[Callable[[Lines], object]] = [
        lambda lines: restore([folder], tmp_path / "out", chosen, lines),
        lambda lines: plan_restore([folder], tmp_path / "plan", chosen, lines),
        lambda lines: crop_faces([folder], tmp_path / "crops", crops, lines),
        lambda lines: crop_faces(
            [folder], tmp_path / "two", crops, lines, ExecutionSettings(jobs=2)
        ),
    ]
    for run in runs:
        progress = Lines()
        run(progress)
        assert progress.lines.count(expected) == 1
