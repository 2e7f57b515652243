"""L* of skin: against another implementation, and its robustness."""

import numpy as np
import pytest
from skimage.color import rgb2lab

from jdsr_cli.errors import UsageError
from jdsr_cli.evaluation.statistics import skin_lightness
from jdsr_cli.faces.regions import skin


def uniform(*rgb: int) -> np.ndarray:
    return np.broadcast_to(np.array(rgb, np.uint8), (128, 128, 3)).copy()


@pytest.mark.parametrize("rgb", [(0, 0, 0), (3, 2, 1), (92, 58, 44), (224, 172, 141), (255,) * 3])
def test_lightness_equals_cielab(rgb: tuple[int, int, int]) -> None:
    assert skin_lightness(uniform(*rgb)) == pytest.approx(rgb2lab(uniform(*rgb))[0, 0, 0], abs=0.02)


def test_only_the_skin_region_counts() -> None:
    face = uniform(150, 110, 90)
    expected = skin_lightness(face)
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, face.shape, np.uint8)
    assert skin_lightness(np.where(skin()[..., None], face, noise)) == expected
    assert skin_lightness(np.where(skin()[..., None], noise, face)) != expected


def test_highlights_shadows_and_hair_on_less_than_half_of_the_skin_have_little_effect(
    portraits: list,
) -> None:
    for portrait in portraits:
        face = portrait.image.copy()
        expected = skin_lightness(face)
        rows, columns = np.nonzero(skin())
        face[rows[::5], columns[::5]] = 255
        face[rows[1::5], columns[1::5]] = 0
        assert skin_lightness(face) == pytest.approx(expected, abs=2.5)
    assert skin_lightness(face // 2) < expected - 15


def test_other_shapes_and_types_are_rejected() -> None:
    with pytest.raises(UsageError, match=r"\(64, 64, 3\) uint8"):
        skin_lightness(np.zeros((64, 64, 3), np.uint8))
    with pytest.raises(UsageError, match="float64"):
        skin_lightness(np.zeros((128, 128, 3)))
