"""Bare faces in any light and tint keep their mouths; masked ones are classified as masked.

The runs use the carried weights, and photographs that dependencies ship.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from results_folder import restored_in

from jdsr_cli.media import open_reader
from jdsr_cli.restoration import restore
from jdsr_cli.settings import RestoreSettings
from jdsr_cli.synthesis.mask_drawing import draw_sprites
from jdsr_cli.synthesis.masks import apply_mask, landmarks_from_five

Picture = NDArray[np.uint8]
LUMA = np.array([0.299, 0.587, 0.114])
LANDMARKS = {
    "astronaut": [[51, 45], [67, 45], [60, 54], [53, 62], [66, 62]],
    "hopper": [[47, 62], [68, 61], [57, 74], [49, 84], [68, 83]],
}
"""Landmarks of the two portraits in pixels, marked by hand."""


def scale(picture: Picture, factors: object) -> Picture:
    return np.clip(np.rint(picture * np.asarray(factors)), 0, 255).astype(np.uint8)


def monochrome(picture: Picture, tint: tuple[float, ...]) -> Picture:
    return scale((picture @ LUMA)[..., None], tint)


def backlit(picture: Picture) -> Picture:
    bright = picture.astype(float).mean(axis=2) > 170
    return np.where(bright[..., None], 255, picture * 0.2).astype(np.uint8)


LIGHTS: dict[str, Callable[[Picture], Picture]] = {
    "normal": lambda p: p,
    "gray": lambda p: monochrome(p, (1, 1, 1)),
    "green": lambda p: monochrome(p, (0.2, 1, 0.25)),
    "purple": lambda p: monochrome(p, (0.75, 0.35, 1)),
    "amber": lambda p: monochrome(p, (1, 0.6, 0.15)),
    "blue": lambda p: monochrome(p, (0.3, 0.45, 1)),
    "cyan cast": lambda p: scale(p, (0.5, 1, 1)),
    "sodium cast": lambda p: scale(p, (1, 0.7, 0.3)),
    "15 %": lambda p: scale(p, 0.15),
    "8 %": lambda p: scale(p, 0.08),
    "6 %": lambda p: scale(p, 0.06),
    "overexposed": lambda p: scale(p, 1.7),
    "backlit": backlit,
    "dark green": lambda p: monochrome(scale(p, 0.15), (0.2, 1, 0.25)),
}


def side_by_side(*portraits: Picture) -> Picture:
    """Return portraits side by side, each 300 px wide: faces of about 90 and 125 px."""
    large = [cv2.resize(one, (300, 300), interpolation=cv2.INTER_CUBIC) for one in portraits]
    return np.hstack([np.asarray(one, np.uint8) for one in large])


def masked(portrait: Picture, name: str, seed: int) -> Picture:
    points = landmarks_from_five(np.array(LANDMARKS[name], np.float32))
    rng = np.random.default_rng(seed)
    return apply_mask(portrait, points, draw_sprites(8, 3)[2 * seed], rng).image


def records(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "faces.jsonl").read_text().splitlines()]


def restored(tmp_path: Path, pictures: dict[str, Picture], **changes: Any) -> dict[str, Path]:
    """Restore pictures; return the folder of each."""
    sources = []
    for name, picture in pictures.items():
        sources.append(tmp_path / f"{name.replace(' ', '_').replace('%', 'pc')}.png")
        Image.fromarray(picture).save(sources[-1])
    values: dict[str, Any] = {"weights": "lite-camera", "device": "cpu", "frame_scale": 1}
    summary = restore(sources, tmp_path / "out", RestoreSettings(**(values | changes)))
    assert summary.exit_code == 0
    return {
        name: tmp_path / "out" / path.stem for name, path in zip(pictures, sources, strict=True)
    }


def test_bare_faces_are_classified_as_bare_in_every_light(
    tmp_path: Path, astronaut: Picture, hopper: Picture
) -> None:
    scene = side_by_side(astronaut, hopper)
    lit = {name: light(scene) for name, light in LIGHTS.items()}
    for name, folder in restored(tmp_path, lit, label=False).items():
        faces = [one for one in records(folder) if one["status"] == "restored"]
        assert len(faces) == 2, name
        assert [one["mask"] for one in faces] == ["bare", "bare"], name
        assert [one["masked"] for one in faces] == [False, False], name
        assert all(one["mask_probability"] < 0.2 for one in faces), name
        result = np.asarray(Image.open(folder / "restored.png").convert("RGB"), float)
        original = lit[name].astype(float)
        # Mouths are unchanged: the picture differs by no more than sharpening.
        change = np.abs(cv2.GaussianBlur(result - original, (0, 0), 3)).max()
        assert change < 6 + 0.12 * original.max(), name
        if np.ptp(lit[name].astype(int), axis=2).max() == 0:
            assert np.ptp(result, axis=2).max() == 0, name


def test_masked_faces_are_not_classified_as_bare_in_poor_light(
    tmp_path: Path, astronaut: Picture, hopper: Picture
) -> None:
    lit = {}
    for pair in ((1, 2), (3, 1)):
        one, other = masked(astronaut, "astronaut", pair[0]), masked(hopper, "hopper", pair[1])
        scene = side_by_side(one, other)
        for name in ("normal", "gray", "green", "amber", "15 %"):
            lit[f"{name} {pair}"] = LIGHTS[name](scene)
    states = []
    for folder in restored(tmp_path, lit).values():
        states += [one["mask"] for one in records(folder) if one["status"] == "restored"]
    assert len(states) >= 16
    assert "bare" not in states
    assert states.count("masked") >= 0.6 * len(states)


def test_faces_of_a_night_clip_are_bare_and_keep_its_tint(
    tmp_path: Path, two_people: list[Picture], write_clip: Callable[..., Path]
) -> None:
    frames = [monochrome(frame, (0.2, 1.0, 0.25)) for frame in two_people]
    source = write_clip(tmp_path / "night.mp4", frames)
    settings = RestoreSettings(
        weights="lite-camera", device="cpu", frame_scale=1, codec="ffv1", label=False
    )
    assert restore([source], tmp_path / "out", settings).exit_code == 0
    faces = records(tmp_path / "out" / "night")
    assert len(faces) == 2 * len(frames)
    assert {one["mask"] for one in faces} == {"bare"}
    manifest = json.loads((tmp_path / "out" / "night" / "manifest.json").read_text())
    assert manifest["figures"]["gray_frames"] == len(frames)
    video = restored_in(tmp_path / "out" / "night")
    with open_reader(video) as after, open_reader(source) as before:
        for new, old in zip(after, before, strict=True):
            tints = [one.image.astype(float) @ (1.0, -0.2, 0.0) for one in (new, old)]
            changed = cv2.GaussianBlur(tints[0] - tints[1], (0, 0), 4)
            assert np.abs(changed).max() < 5
