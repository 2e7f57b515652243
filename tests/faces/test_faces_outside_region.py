from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from jdsr_cli.faces import compose
from jdsr_cli.faces.outside_region import cover_outside_region
from jdsr_cli.faces.regions import covered_region, inner_region

Bytes = NDArray[np.uint8]
SKIN, WALL, CLOTH, COAT = (190, 140, 115), (90, 100, 110), (70, 150, 190), (30, 28, 32)
NATIVE = 60.0


def scene(scale: float = 1.0, hem: int = 144, mask: tuple[int, ...] = CLOTH) -> Bytes:
    """A face with a mask down to row `hem` of the template, neck and coat, template at (0, 0)."""
    height, width = round(230 * scale), round(128 * scale)
    y, x = (np.mgrid[:height, :width] + 0.5) / scale - 0.5
    picture = np.full((height, width, 3), WALL, np.uint8)
    picture[(np.abs(x - 64) < 44) & (y < 140)] = SKIN
    picture[(np.abs(x - 64) < 30) & (y < 190)] = SKIN
    picture[y >= 176] = COAT
    picture[(y >= 84) & (y < hem) & (np.abs(x - 64) < 40 - 0.25 * np.maximum(y - 100, 0))] = mask
    return picture


def covered() -> NDArray[np.float32]:
    y, x = np.mgrid[:128, :128]
    inside = (y >= 84) & (np.abs(x - 64) < 40 - 0.25 * np.maximum(y - 100, 0))
    return inside.astype(np.float32)


def placement(scale: float, x: float = 0.0, y: float = 0.0) -> Any:
    shift = 0.5 * scale - 0.5
    return np.array([[scale, 0.0, shift + x], [0.0, scale, shift + y]])


RESTORED = np.full((128, 128, 3), SKIN, np.uint8)


def composited(
    base: Bytes, scale: float = 1.0, occlusion: NDArray[np.float32] | None = None
) -> Any:
    return compose(
        base, RESTORED, covered() if occlusion is None else occlusion, placement(scale), NATIVE
    )


@pytest.mark.parametrize("scale", [0.6, 1.0, 4.0])
def test_a_mask_below_the_template_is_replaced_by_the_surrounding_skin(scale: float) -> None:
    base = scene(scale)
    composited(base, scale)
    strip = base[round(120 * scale) : round(150 * scale), round(44 * scale) : round(84 * scale)]
    assert np.abs(strip.astype(int) - SKIN).max() <= 18


@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_every_changed_pixel_has_a_weight(scale: float) -> None:
    base, before = scene(scale), scene(scale)
    result = composited(base, scale)
    weight = np.zeros(base.shape[:2], np.float32)
    height, width = result.weight.shape
    weight[result.top : result.top + height, result.left : result.left + width] = result.weight
    changed = (base != before).any(axis=2)
    assert (weight[changed] > 0).all()
    assert weight[round(138 * scale), round(64 * scale)] > 0.99
    assert changed[round(140 * scale) :].any()
    assert not changed[round(158 * scale) :].any()
    assert np.abs(np.diff(np.pad(weight, 1), axis=0)).max() < (0.5 if scale == 1.0 else 0.2)


def test_a_mask_is_removed_up_to_the_frames_border() -> None:
    base = np.ascontiguousarray(scene()[:138])
    composited(base)
    assert np.abs(base[128:, 48:80].astype(int) - SKIN).max() <= 20


def test_a_canvas_that_ends_at_the_template_is_unchanged() -> None:
    face = RESTORED.astype(np.float32)
    share = covered_region(covered()) * inner_region()
    for scale in (1, 4):
        canvas = np.ascontiguousarray(scene(scale)[: 128 * scale])
        result = cover_outside_region(face, share, canvas, placement(scale), covered(), NATIVE)
        assert result[0] is face
        assert result[1] is share


def untouched(base: Bytes, occlusion: NDArray[np.float32] | None = None) -> bool:
    before = base.copy()
    composited(base, 1.0, occlusion)
    return bool((base[128:] == before[128:]).all())


def test_below_an_uncovered_face_nothing_changes() -> None:
    assert untouched(scene(), np.zeros((128, 128), np.float32))


def test_below_a_bare_face_misclassified_as_masked_nothing_changes() -> None:
    assert untouched(scene(mask=SKIN))
    assert untouched(scene(mask=tuple(round(0.7 * value) for value in SKIN)))


def test_a_mask_that_ends_within_the_template_leaves_the_neck_unchanged() -> None:
    occlusion = covered()
    occlusion[118:] = 0.0
    assert untouched(scene(hem=118), occlusion)
    assert untouched(scene(hem=128))


def test_clothes_of_the_masks_colour_are_not_removed() -> None:
    base = scene(mask=COAT)
    base[140:] = COAT
    assert untouched(base)


def test_a_beard_below_a_mouth_misclassified_as_covered_is_kept() -> None:
    base = scene(mask=COAT)
    base[84:112, 20:108] = SKIN
    assert untouched(base)


def test_the_same_input_gives_the_same_picture() -> None:
    first, second = scene(2.0), scene(2.0)
    composited(first, 2.0)
    composited(second, 2.0)
    assert (first == second).all()
