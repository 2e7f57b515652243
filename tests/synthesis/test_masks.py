"""Masks: drawn, loaded from templates, and composited onto a real face."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from jdsr_cli.errors import DatasetError
from jdsr_cli.synthesis.mask_drawing import SHAPES, draw_sprite, draw_sprites
from jdsr_cli.synthesis.mask_prints import draw_print
from jdsr_cli.synthesis.masks import (
    Sprite,
    apply_mask,
    choose_sprite,
    landmarks_from_five,
    load_templates,
    rng_for,
    view_of,
)


@pytest.fixture(scope="module")
def pool() -> list[Sprite]:
    return draw_sprites(24, seed=5)


def turned(five: np.ndarray, share: float) -> np.ndarray:
    """Move the nose sideways by a share of the distance between the eyes."""
    moved = five.copy()
    moved[2, 0] += share * (five[1, 0] - five[0, 0])
    return moved


def test_drawn_sprites_are_in_range(pool: list[Sprite]) -> None:
    for sprite in pool:
        colour, alpha = sprite.premultiplied[..., :3], sprite.premultiplied[..., 3:]
        assert sprite.premultiplied.dtype == np.float32
        assert sprite.premultiplied.shape[1] == 160
        assert alpha.min() == 0
        assert alpha.max() == pytest.approx(1)
        assert colour.min() >= 0
        assert (colour <= 255 * alpha + 1e-3).all()
        assert 0.15 < alpha.mean() < 0.75


def test_key_points_are_on_the_mask_in_order(pool: list[Sprite]) -> None:
    for sprite in pool:
        a, b, c, d, e, f = sprite.points
        assert a[0] < b[0] < c[0]
        assert d[0] < e[0] < f[0]
        assert b[1] < e[1]
        middle = (0.5 * (b + e)).round().astype(int)
        assert sprite.premultiplied[middle[1], middle[0], 3] > 0.95


def test_every_shape_is_drawn_and_most_have_straps(pool: list[Sprite]) -> None:
    strapped = []
    names = {sprite.name for sprite in draw_sprites(40, seed=1)}
    assert names == {f"drawn-{shape.name}" for shape in SHAPES}
    for sprite in pool:
        # Straps extend well beyond the key points at the sides.
        left = int(min(sprite.points[[0, 3], 0])) - 8
        beyond = sprite.premultiplied[:, : max(left, 1), 3]
        if sprite.name != "drawn-scarf" and sprite.view == "front":
            strapped.append(bool((beyond > 0.5).any()))
            assert beyond.mean() < 0.35
    assert 0.5 < np.mean(strapped) <= 1.0


def test_a_pool_is_deterministic_for_a_seed_and_has_every_view(pool: list[Sprite]) -> None:
    again, other = draw_sprites(4, seed=5), draw_sprites(4, seed=6)
    for first, second in zip(pool, again, strict=False):
        assert np.array_equal(first.premultiplied, second.premultiplied)
        assert np.array_equal(first.points, second.points)
    assert not np.array_equal(pool[0].premultiplied, other[0].premultiplied)
    views = [sprite.view for sprite in pool]
    assert [views.count(view) for view in ("front", "left", "right")] == [12, 6, 6]


def test_the_nose_of_a_side_view_is_displaced_to_that_side(pool: list[Sprite]) -> None:
    for sprite in pool:
        a, b, c = sprite.points[:3, 0]
        nose = (b - a) / (c - a)
        if sprite.view == "front":
            assert nose == pytest.approx(0.5, abs=0.02)
        else:
            assert (nose < 0.45) if sprite.view == "left" else (nose > 0.55)


@pytest.mark.parametrize("person", [0, 1, 2, 3, 4, 5])
def test_masks_cover_nose_tip_and_mouth_but_not_the_eyes(
    person: int, portraits: list, pool: list[Sprite]
) -> None:
    face = portraits[person]
    landmarks = landmarks_from_five(face.five)
    left, right, nose, *mouth = face.five.round().astype(int)
    centre = np.mean(mouth, axis=0).round().astype(int)
    for number, sprite in enumerate(s for s in pool if s.view == "front"):
        result = apply_mask(face.image, landmarks, sprite, rng_for(face.key, number))
        assert result.sprite == sprite.name
        for x, y in (nose, centre, *mouth):
            assert result.alpha[y, x] > 0.9
        for x, y in (left, right):
            assert result.alpha[y - 2 : y + 3, x - 2 : x + 3].max() < 0.05
        assert 0.08 < result.alpha.mean() < 0.4


def test_a_mask_changes_no_pixels_outside_its_alpha(portraits: list, pool: list[Sprite]) -> None:
    face = portraits[0]
    before = face.image.copy()
    result = apply_mask(face.image, landmarks_from_five(face.five), pool[0], rng_for(face.key))
    assert np.array_equal(face.image, before)
    assert result.image.dtype == np.uint8
    assert result.alpha.dtype == np.float32
    assert result.alpha.shape == (128, 128)
    assert result.alpha.min() == 0
    assert result.alpha.max() <= 1
    assert np.array_equal(result.image[result.alpha == 0], face.image[result.alpha == 0])
    changed = np.abs(result.image.astype(int) - face.image).max(axis=2) > 3
    assert changed[result.alpha > 0.9].mean() > 0.9


def test_the_same_name_and_seed_get_the_same_mask(portraits: list, pool: list[Sprite]) -> None:
    face = portraits[0]
    landmarks = landmarks_from_five(face.five)

    def masked(name: str, seed: int) -> bytes:
        rng = rng_for(name, seed)
        return apply_mask(
            face.image, landmarks, choose_sprite(pool, landmarks, rng), rng
        ).image.tobytes()

    assert masked("000001", 0) == masked("000001", 0)
    assert len({masked(name, 0) for name in ("000001", "000002", "000003")}) == 3
    assert masked("000001", 0) != masked("000001", 1)


def test_rng_for_gives_the_same_numbers_in_every_process() -> None:
    # Python's hash() differs between processes; every compared method needs the same image.
    seed = int.from_bytes(hashlib.sha256(b"3:000001").digest()[:8], "little")
    expected = np.random.default_rng(seed).integers(0, 2**62, 4)
    assert np.array_equal(rng_for("000001", 3).integers(0, 2**62, 4), expected)


def test_mask_brightness_matches_the_face(portraits: list, template_folder: Path) -> None:
    face = portraits[0]
    landmarks = landmarks_from_five(face.five)
    red = next(sprite for sprite in load_templates(template_folder) if sprite.view == "front")
    levels = []
    for gain in (1.0, 0.35):
        dimmed = (face.image * gain).astype(np.uint8)
        result = apply_mask(dimmed, landmarks, red, np.random.default_rng(0), jitter=0.0)
        levels.append(result.image[result.alpha > 0.99].mean(axis=0))
    assert levels[1][0] < 0.75 * levels[0][0]


@pytest.mark.parametrize("person", [0, 3])
def test_turned_heads_get_the_matching_side_view(
    person: int, portraits: list, pool: list[Sprite]
) -> None:
    five = portraits[person].five
    assert view_of(landmarks_from_five(five)) == "front"
    for share, view in ((-0.45, "left"), (0.45, "right")):
        landmarks = landmarks_from_five(turned(five, share))
        assert view_of(landmarks) == view
        rng = np.random.default_rng(0)
        assert {choose_sprite(pool, landmarks, rng).view for _ in range(12)} == {view}
    fronts = [sprite for sprite in pool if sprite.view == "front"]
    assert choose_sprite(fronts, landmarks, rng).view == "front"  # fallback to another view


@pytest.mark.parametrize("change", ["outside", "one point", "upside down"])
def test_invalid_landmarks_do_not_fail(change: str, portraits: list, pool: list[Sprite]) -> None:
    face = portraits[0]
    five = {
        "outside": face.five + 500,
        "one point": np.full((5, 2), 60, np.float32),
        "upside down": 127 - face.five,
    }[change]
    landmarks = landmarks_from_five(five)
    assert np.isfinite(landmarks).all()
    result = apply_mask(face.image, landmarks, pool[0], np.random.default_rng(0))
    assert result.image.shape == face.image.shape
    assert np.isfinite(result.alpha).all()
    if change == "outside":
        assert np.array_equal(result.image, face.image)


def test_landmarks_from_five_estimate_jaw_and_nose_bridge(portraits: list) -> None:
    five = portraits[0].five
    landmarks = landmarks_from_five(five)
    assert landmarks.shape == (68, 2)
    jaw, bridge = landmarks[1:16], landmarks[27:31]
    assert (np.diff(jaw[:, 0]) > 0).all()
    assert jaw[:, 1].argmax() in (6, 7, 8)
    assert jaw[7, 1] > five[3:, 1].max() + 5  # the chin is below the mouth
    assert (np.diff(bridge[:, 1]) > 0).all()
    assert np.linalg.norm(bridge[3] - five[2]) < 10
    moved = landmarks_from_five(five + np.float32([3, -2]))
    assert np.allclose(moved[1:16] - jaw, [3, -2], atol=1e-3)


def test_templates_are_read_with_their_views_and_colours(
    template_folder: Path, portraits: list
) -> None:
    sprites = {sprite.name: sprite for sprite in load_templates(template_folder)}
    assert [(name, sprite.view) for name, sprite in sorted(sprites.items())] == [
        ("cloth", "front"), ("cloth_left", "left"), ("cloth_right", "right")
    ]  # fmt: skip
    front = sprites["cloth"]
    assert front.premultiplied.shape == (100, 160, 4)
    assert front.premultiplied[50, 80].tolist() == [255, 0, 0, 1]
    # Pixel centres are at integer coordinates: x -> (x + 0.5) * 160/240 - 0.5.
    assert front.points[0] == pytest.approx([0.5 * 2 / 3 - 0.5, 20.5 * 2 / 3 - 0.5], abs=1e-4)
    assert front.points[4] == pytest.approx([120.5 * 2 / 3 - 0.5, 149.5 * 2 / 3 - 0.5], abs=1e-4)
    face = portraits[0]
    result = apply_mask(face.image, landmarks_from_five(face.five), front, np.random.default_rng(0))
    red, green, blue = result.image[result.alpha > 0.99].mean(axis=0)
    assert red > 100
    assert max(green, blue) < 1


def test_small_templates_are_not_enlarged(tmp_path: Path) -> None:
    Image.new("RGBA", (90, 60), (0, 255, 0, 128)).save(tmp_path / "small.png")
    points = {letter: [10.0 * n, 5.0] for n, letter in enumerate("abcdef")}
    index = {"small": {"file": "small.png", "points": points}}
    (tmp_path / "templates.json").write_text(json.dumps(index))
    (sprite,) = load_templates(tmp_path)
    assert sprite.premultiplied.shape == (60, 90, 4)
    assert sprite.premultiplied[0, 0] == pytest.approx([0, 128, 0, 128 / 255], abs=0.01)
    assert sprite.points[3].tolist() == [30, 5]


POINTS = {letter: [10 * n, 5 + n % 3] for n, letter in enumerate("abcdef")}
VALID: dict[str, Any] = {"cloth": {"file": "cloth.png", "points": POINTS}}

INVALID: dict[str, Callable[[], str]] = {
    "not JSON": lambda: "{",
    "not text": lambda: "\udcff",
    "a list": lambda: "[]",
    "no entries": lambda: "{}",
    "an entry that is not a table": lambda: json.dumps({"cloth": "cloth.png"}),
    "no file": lambda: json.dumps({"cloth": {"points": POINTS}}),
    "no points": lambda: json.dumps({"cloth": {"file": "cloth.png"}}),
    "points that are not a table": lambda: json.dumps(
        {"cloth": {"file": "cloth.png", "points": []}}
    ),
    "a point too few": lambda: json.dumps(
        {"cloth": {"file": "cloth.png", "points": {k: POINTS[k] for k in "abcde"}}}
    ),
    "a coordinate too few": lambda: json.dumps(
        {"cloth": {"file": "cloth.png", "points": {**POINTS, "c": [1]}}}
    ),
    "a coordinate too many": lambda: json.dumps(
        {"cloth": {"file": "cloth.png", "points": {k: [*v, 0] for k, v in POINTS.items()}}}
    ),
    "a coordinate that is a string": lambda: json.dumps(
        {"cloth": {"file": "cloth.png", "points": {**POINTS, "c": ["left", 1]}}}
    ),
    "a missing picture": lambda: json.dumps({"cloth": {**VALID["cloth"], "file": "x"}}),
    "a picture without alpha": lambda: json.dumps({"cloth": {**VALID["cloth"], "file": "rgb.png"}}),
    "an empty picture": lambda: json.dumps({"cloth": {**VALID["cloth"], "file": "empty.png"}}),
    "a picture that is text": lambda: json.dumps({"cloth": {**VALID["cloth"], "file": "text.png"}}),
}


@pytest.mark.parametrize("kind", INVALID)
def test_invalid_template_folders_raise_a_dataset_error(kind: str, tmp_path: Path) -> None:
    Image.new("RGBA", (60, 40), "red").save(tmp_path / "cloth.png")
    Image.new("RGB", (60, 40), "red").save(tmp_path / "rgb.png")
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("no picture")
    index = tmp_path / "templates.json"
    index.write_text(json.dumps(VALID))
    assert len(load_templates(tmp_path)) == 1
    index.write_bytes(INVALID[kind]().encode(errors="surrogateescape"))
    with pytest.raises(DatasetError) as caught:
        load_templates(tmp_path)
    assert str(caught.value).count(str(tmp_path)) == 1
    assert caught.value.hint


def test_a_folder_without_templates_raises_a_dataset_error(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"templates\.json"):
        load_templates(tmp_path)


def test_draw_sprite_accepts_a_view() -> None:
    sprite = draw_sprite(np.random.default_rng(0), "right")
    assert sprite.view == "right"


def test_half_of_the_masks_have_prints_of_many_colours() -> None:
    bare = np.full((200, 240, 3), 90.0, np.float32)
    printed = [draw_print(bare, np.random.default_rng(seed)) for seed in range(120)]
    assert all(one.shape == bare.shape and one.dtype == np.float32 for one in printed)
    assert all(one.min() >= 0 and one.max() <= 255 for one in printed)
    differing = [one for one in printed if not np.array_equal(one, bare)]
    assert 40 <= len(differing) <= 80
    colours = [len(np.unique(one.reshape(-1, 3).round(-1), axis=0)) for one in differing]
    assert max(colours) > 20 > min(colours)
    assert (bare == 90.0).all()  # the input is not changed


@pytest.mark.parametrize("inside", [False, True])
def test_templates_in_other_folders_are_not_opened(tmp_path: Path, *, inside: bool) -> None:
    folder = tmp_path / "templates"
    folder.mkdir()
    Image.new("RGBA", (60, 40), "red").save(folder / "cloth.png")
    for name in ("../templates/cloth.png", str(folder / "cloth.png"), "./a/../cloth.png"):
        entry = {**VALID["cloth"], "file": "cloth.png" if inside else name}
        (folder / "templates.json").write_text(json.dumps({"cloth": entry}))
        if inside:
            assert len(load_templates(folder)) == 1
            continue
        with pytest.raises(DatasetError, match="the file of cloth is not in this folder"):
            load_templates(folder)
