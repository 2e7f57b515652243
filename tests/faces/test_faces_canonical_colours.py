"""Canonical colours: the input of the generator, and the inverse mapping."""

import numpy as np
import pytest
from face_photos import Photo
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from jdsr_cli.errors import UsageError
from jdsr_cli.faces import crop, estimate_alignment
from jdsr_cli.faces.canonical_colours import EXPOSURE, ColourMap, canonical_map

Picture = NDArray[np.uint8]
BARE = np.zeros((128, 128), np.float32)


@pytest.fixture(scope="module")
def face(hopper_photo: Photo) -> Picture:
    return crop(hopper_photo.image, estimate_alignment(hopper_photo.points))


def in_light(face: Picture, factors: object) -> Picture:
    return np.clip(np.rint(face * np.asarray(factors)), 0, 255).astype(np.uint8)


def monochrome(face: Picture, tint: tuple[float, ...]) -> Picture:
    return in_light((face @ np.array([0.299, 0.587, 0.114]))[..., None], tint)


def max_difference(one: Picture, other: Picture) -> int:
    return int(np.abs(one.astype(int) - other).max())


def test_a_face_in_normal_light_is_unchanged(face: Picture, astronaut_photo: Photo) -> None:
    other = crop(astronaut_photo.image, estimate_alignment(astronaut_photo.points))
    for picture in (face, other):
        colours = canonical_map(picture, monochrome=False)
        assert colours.is_identity
        assert np.array_equal(colours.apply(picture), picture)
        assert np.array_equal(colours.restore(picture, picture, BARE), picture)


@pytest.mark.parametrize("light", [0.3, 0.15, 0.08, 0.05, 0.04])
def test_a_dark_face_is_mapped_into_range_and_back(face: Picture, light: float) -> None:
    dark = in_light(face, light)
    colours = canonical_map(dark, monochrome=False)
    shown = colours.apply(dark)
    assert abs(float(shown.mean()) - float(face.mean())) < 0.45 * face.mean()
    assert float(np.quantile(shown[40:80, 40:90].mean(axis=2), 0.75)) > EXPOSURE[0] - 10
    assert max_difference(colours.restore(shown, dark, BARE), dark) <= 1


@pytest.mark.parametrize("cast", [(0.55, 1, 1), (1, 0.75, 0.35), (1, 0.55, 1.1), (0.7, 0.8, 1.4)])
def test_a_colour_cast_is_reduced_and_restored(face: Picture, cast: tuple[float, ...]) -> None:
    tinted = in_light(face, cast)
    colours = canonical_map(tinted, monochrome=False)
    shown = colours.apply(tinted)

    def cast_error(picture: Picture) -> float:
        mean = picture[40:80, 40:90].reshape(-1, 3).mean(axis=0)
        expected = face[40:80, 40:90].reshape(-1, 3).mean(axis=0)
        return float(np.abs(np.log(mean / mean[1]) - np.log(expected / expected[1])).max())

    assert cast_error(shown) < cast_error(tinted)
    assert max_difference(colours.restore(shown, tinted, BARE), tinted) <= 1


@pytest.mark.parametrize("tint", [(0.25, 1, 0.3), (0.8, 0.4, 1), (1, 0.6, 0.2), (0.4, 0.5, 1)])
def test_monochrome_of_any_tint_becomes_luma_and_keeps_its_tint(
    face: Picture, tint: tuple[float, ...]
) -> None:
    night = monochrome(face, tint)
    colours = canonical_map(night, monochrome=True)
    shown = colours.apply(night)
    assert colours.monochrome
    assert np.ptp(shown.astype(int), axis=2).max() == 0
    assert max_difference(colours.restore(shown, night, BARE), night) <= 2
    # The result has the tint of the frame for any output of the generator.
    generated = np.random.default_rng(1).integers(60, 180, (128, 128, 3)).astype(np.uint8)
    back = colours.restore(generated, night, BARE).reshape(-1, 3).astype(float)
    slope = np.array([np.polyfit(back.max(axis=1), back[:, k], 1)[0] for k in range(3)])
    assert slope == pytest.approx(np.array(tint) / max(tint), abs=0.06)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**31), st.floats(0.03, 1.0))
def test_a_gray_input_gives_a_gray_output(seed: int, light: float) -> None:
    rng = np.random.default_rng(seed)
    gray = np.repeat(rng.integers(0, 256, (128, 128, 1)) * light, 3, axis=2).astype(np.uint8)
    colours = canonical_map(gray, monochrome=True)
    generated = rng.integers(0, 256, (128, 128, 3), dtype=np.uint8)
    back = colours.restore(generated, gray, rng.random((128, 128), np.float32))
    assert np.ptp(back.astype(int), axis=2).max() == 0


@settings(deadline=None, max_examples=40)
@given(
    st.integers(0, 2**31), st.floats(0.02, 1.6), st.floats(0.3, 1.5), st.floats(0.3, 1.5),
    st.booleans(),
)  # fmt: skip
def test_apply_and_restore_are_inverse(
    seed: int, light: float, red: float, blue: float, as_monochrome: bool
) -> None:
    rng = np.random.default_rng(seed)
    smooth = rng.integers(40, 200, (8, 8, 1)).repeat(16, 0).repeat(16, 1)
    colour = (red, 1.0, blue) if as_monochrome else (1.3 * red, 1.0, 0.8 * blue)
    picture = np.clip(smooth * light * np.array(colour), 0, 255).astype(np.uint8)
    # A clipped channel no longer follows the tint: only its low frequencies are kept.
    assume(not (as_monochrome and (picture == 255).any()))
    colours = canonical_map(picture, monochrome=as_monochrome)
    # The same holds for canonical luma that is clipped.
    assume(not (as_monochrome and (colours.apply(picture) == 255).any()))
    assert max_difference(colours.restore(colours.apply(picture), picture, BARE), picture) <= 2


def test_highlights_beyond_the_range_are_kept_where_the_face_is_uncovered(face: Picture) -> None:
    scene = in_light(face, 0.08)
    scene[:24, :24] = 250
    colours = canonical_map(scene, monochrome=False)
    shown = colours.apply(scene)
    covered = BARE.copy()
    covered[:12] = 1.0
    back = colours.restore(shown, scene, covered)
    assert max_difference(back[12:24, :24], scene[12:24, :24]) <= 1
    assert back[:12, :24].max() < 60


def test_the_map_hardly_depends_on_the_crop_size(face: Picture, hopper_photo: Photo) -> None:
    dark = in_light(hopper_photo.image, 0.1)
    alignment = estimate_alignment(hopper_photo.points)
    maps = [canonical_map(crop(dark, alignment, side), monochrome=False) for side in (32, 64, 128)]
    gains = [one.forward[1, 1] for one in maps]
    assert max(gains) / min(gains) < 1.1


def test_invalid_crops_are_refused(face: Picture) -> None:
    for invalid in (face[:100], face[..., :2], face[:0, :0]):
        with pytest.raises(UsageError, match="square"):
            canonical_map(invalid, monochrome=False)
    colours: ColourMap = canonical_map(face, monochrome=False)
    with pytest.raises(UsageError, match="belong"):
        colours.restore(face, face[:64, :64], BARE)


def test_a_black_picture_stays_finite() -> None:
    black = np.zeros((128, 128, 3), np.uint8)
    for as_monochrome in (False, True):
        colours = canonical_map(black, monochrome=as_monochrome)
        assert np.isfinite(colours.forward).all()
        assert np.array_equal(colours.restore(colours.apply(black), black, BARE), black)
