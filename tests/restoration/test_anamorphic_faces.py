"""Faces have square pixels and coordinates of the displayed picture for any pixel aspect."""

import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from jdsr_cli.errors import UsageError
from jdsr_cli.faces import Alignment, estimate_alignment
from jdsr_cli.faces.display import Display
from jdsr_cli.faces.resampling import resample, stretch
from jdsr_cli.media import open_reader
from jdsr_cli.restoration import crop_faces, restore
from jdsr_cli.settings import CropSettings, ReadSettings, RestoreSettings

Picture = NDArray[np.uint8]
STORED = {"one field": (280, 70), "2CIF": (560, 140), "1080N": (140, 140)}
"""Sizes at which a scene of 280x140 is stored; their pixels are not square."""


def store(
    path: Path, frames: list[Picture], size: tuple[int, int], aspect: Fraction | None
) -> Path:
    """Write frames, shrunk or enlarged to `size`, with a sample aspect; losslessly."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": "8", "preset": "ultrafast"}
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        for image in frames:
            small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(small, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def records(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "faces.jsonl").read_text().splitlines()]


def by_position(faces: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(faces, key=lambda one: (one["frame"], one["box"][0]))


def settings(weights: Path | str, **changes: Any) -> RestoreSettings:
    values: dict[str, Any] = {"weights": str(weights), "device": "cpu", "frame_scale": 1}
    return RestoreSettings(**(values | changes))


@pytest.fixture(scope="module")
def square(
    tmp_path_factory: pytest.TempPathFactory, two_people: list[Picture]
) -> list[dict[str, Any]]:
    """Records of the scene stored in square pixels."""
    folder = tmp_path_factory.mktemp("square")
    source = store(folder / "scene.mp4", two_people, (280, 140), None)
    crop_faces([source], folder / "out", CropSettings(device="cpu"))
    return records(folder / "out" / "scene")


@pytest.mark.parametrize("kind", list(STORED))
@pytest.mark.parametrize("tagged", [True, False])
def test_faces_have_displayed_coordinates(
    kind: str,
    tagged: bool,
    square: list[dict[str, Any]],
    two_people: list[Picture],
    tmp_path: Path,
) -> None:
    width, height = STORED[kind]
    aspect = Fraction(2) * height / width
    source = store(tmp_path / "scene.mp4", two_people, (width, height), aspect if tagged else None)
    reading = ReadSettings() if tagged else ReadSettings(aspect=Fraction(2))
    summary = crop_faces([source], tmp_path / "out", CropSettings(device="cpu", reading=reading))
    assert summary.exit_code == 0
    faces = records(tmp_path / "out" / "scene")
    assert len(faces) == len(square)
    # The displayed picture has the longer side of both: 280, or 560 where it is stored so.
    scale = max(1.0, width / 280)
    for one, expected in zip(by_position(faces), by_position(square), strict=True):
        displayed, points = np.array(expected["points"]), np.array(one["points"]) / scale
        assert np.abs(points - displayed).max() < 3.0
        assert one["status"] == "exported"
    with Image.open(tmp_path / "out" / "scene" / faces[0]["file"]) as first:
        assert first.size == (128, 128)


@pytest.mark.parametrize("kind", list(STORED))
def test_bare_faces_are_not_masked_and_the_video_keeps_its_aspect(
    kind: str, two_people: list[Picture], tmp_path: Path
) -> None:
    width, height = STORED[kind]
    aspect = Fraction(2) * height / width
    source = store(tmp_path / "scene.mp4", two_people, (width, height), aspect)
    run_settings = settings("lite-camera", overlay=True, crops="all")
    assert restore([source], tmp_path / "out", run_settings).exit_code == 0
    restored = [one for one in records(tmp_path / "out" / "scene") if one["status"] == "restored"]
    assert len(restored) >= 2 * len(two_people) - 2
    assert "masked" not in {one["mask"] for one in restored}
    for name in ("restored.mp4", "overlay.mp4"):
        with open_reader(tmp_path / "out" / "scene" / name) as reader:
            info = reader.info
            assert (info.width, info.height) == (width, height)
            assert info.sample_aspect_ratio == aspect
            assert sum(1 for _ in reader) == len(two_people)


def test_a_rotated_anamorphic_picture_is_stretched_along_the_other_axis(
    clip: Path, two_people: list[Picture], tmp_path: Path
) -> None:
    rotated = [np.ascontiguousarray(np.rot90(one)) for one in two_people]
    source = store(tmp_path / "rotated.mp4", rotated, (70, 280), Fraction(2))
    with open_reader(source) as reader:
        assert reader.info.sample_aspect_ratio == 2
        display = Display.of(reader.info.sample_aspect_ratio)
        assert display.size(next(reader).image) == (140, 280)


def test_results_of_anamorphic_footage_do_not_depend_on_the_batch_size(
    two_people: list[Picture], tiny_weights: Callable[[int], Path], tmp_path: Path
) -> None:
    source = store(tmp_path / "scene.mp4", two_people, (280, 70), Fraction(1, 2))
    results = []
    for batch in (1, 5):
        folder = tmp_path / f"out{batch}"
        run_settings = settings(tiny_weights(32), batch=batch, codec="ffv1", crops="all")
        assert restore([source], folder, run_settings).exit_code == 0
        results.append({
            path.name: path.read_bytes()
            for path in (folder / "scene").rglob("*") if path.suffix in (".mkv", ".png", ".jsonl")
        })  # fmt: skip
    assert results[0] == results[1]
    assert results[0]


def test_points_map_to_stored_pixels_and_back() -> None:
    rng = np.random.default_rng(0)
    points = rng.uniform(0, 100, (5, 2))
    for aspect in (Fraction(1), Fraction(1, 2), Fraction(2), Fraction(12, 11)):
        display = Display.of(aspect)
        displayed = estimate_alignment(points)
        stored = display.stored_alignment(displayed)
        ones = np.ones((5, 1))
        mapped = np.hstack([display.stored(points), ones]) @ stored.matrix.T
        assert mapped == pytest.approx(np.hstack([points, ones]) @ displayed.matrix.T, abs=1e-9)


def test_anamorphic_pictures_are_reduced_without_aliasing() -> None:
    """A pattern of single columns is grey after reduction along x, regardless of y."""
    stripes = np.zeros((64, 256, 3), np.uint8)
    stripes[:, ::2] = 255
    matrix = np.array([[4.0, 0.0, 1.5], [0.0, 1.0, 0.0]])
    assert stretch(matrix) == 4.0
    small = resample(stripes, matrix, 48).astype(int)
    assert np.abs(small[8:40, 8:40] - 127).max() < 12


def test_the_stretch_of_a_similarity_is_its_scale(two_people: list[Picture]) -> None:
    alignment = Alignment(np.array([[2.0, 0.3, -20.0], [-0.3, 2.0, -10.0]]))
    assert stretch(alignment.matrix) == pytest.approx(128 / alignment.native_width)


@pytest.mark.parametrize("value", [Fraction(0), Fraction(100), Fraction(-4, 3)])
def test_an_invalid_aspect_ratio_is_refused(value: Fraction) -> None:
    with pytest.raises(UsageError) as caught:
        ReadSettings(aspect=value)
    assert caught.value.where == "--aspect"
