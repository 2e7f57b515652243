import cv2
import numpy as np
import pytest
from filmed_shots import Crop, film, put_mask, similarity
from numpy.typing import NDArray

from jdsr_cli.errors import UsageError
from jdsr_cli.faces.regions import covered_region
from jdsr_cli.faces.registration import Registration, register

STILL = similarity(0.0, 0.0, 0.0, 1.0)


def error(found: Registration | None, wanted: NDArray[np.float64]) -> float:
    """Return the mean distance in pixels over the middle of the face."""
    assert found is not None
    y, x = np.mgrid[40:112, 36:92]
    points = np.stack([x, y], axis=2) @ wanted[:, :2].T + wanted[:, 2]
    return float(
        np.hypot(*(found.coordinates(128)[40:112, 36:92] - points).transpose(2, 0, 1)).mean()
    )


@pytest.mark.parametrize(
    ("width", "noise", "quality", "most"),
    [
        (128, 0.0, None, 0.1),
        (60, 6.0, 60, 0.4),
        (36, 6.0, 50, 0.8),
        (24, 6.0, 60, 1.2),
        (16, 4.0, 70, 2.0),
    ],
)
@pytest.mark.parametrize("moved", [(2.4, -1.7, 3.0, 1.03), (-3.2, 2.1, -2.0, 0.96)])
def test_poor_shots_are_registered(
    face: Crop,
    width: int,
    noise: float,
    quality: int | None,
    most: float,
    moved: tuple[float, float, float, float],
) -> None:
    rng = np.random.default_rng(width)
    camera = {"width": width, "noise": noise, "quality": quality}
    reference = film(face, STILL, rng, **camera)
    picture = film(face, similarity(*moved), rng, **camera)
    found = register(reference, picture, native_width=width)
    assert (
        error(found, similarity(*moved))
        < most
        < error(Registration(STILL, None, 1.0), similarity(*moved))
    )


@pytest.mark.parametrize("colour", [(235, 240, 245), (40, 40, 48), (90, 150, 190)])
@pytest.mark.parametrize("both", [True, False])
def test_masked_shots_are_registered_by_what_is_bare(
    face: Crop, colour: tuple[int, int, int], both: bool
) -> None:
    rng = np.random.default_rng(8)
    worn, occlusion = put_mask(face, colour)
    move = similarity(2.0, 1.5, 2.0, 1.0)
    reference = film(worn if both else face, STILL, rng, width=48, noise=4.0)
    picture = film(worn, move, rng, width=48, noise=4.0)
    covered = np.maximum(occlusion, cv2.warpAffine(occlusion, move, (128, 128)))
    seen = 1.0 - covered_region(np.asarray(covered, np.float32))
    found = register(reference, picture, weight=seen, native_width=48)
    assert error(found, move) < 0.8
    assert found is not None
    assert found.correlation > 0.95
    everywhere = register(reference, picture, native_width=48)
    if not both:
        assert everywhere is None or everywhere.correlation < found.correlation - 0.02


def test_flow_follows_an_expression(face: Crop) -> None:
    y, x = np.mgrid[:128, :128].astype(np.float32)
    opened = 3.0 * np.exp(-(((x - 63) / 22) ** 2 + ((y - 104) / 14) ** 2)).astype(np.float32)
    smiling = cv2.remap(face, x, y + opened, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    rng = np.random.default_rng(2)
    reference, picture = (
        film(np.asarray(one, np.uint8), STILL, rng, width=60, noise=3.0) for one in (face, smiling)
    )
    found = register(reference, picture, native_width=60)
    assert found is not None
    assert found.flow is not None
    assert np.abs(found.flow).max() < 6.0
    mouth = (slice(98, 110), slice(52, 75))
    left = found.coordinates(128)[mouth][..., 1] - (y - opened)[mouth]
    assert np.abs(left).mean() < 0.6 * opened[mouth].mean()


@pytest.mark.parametrize("width", [12, 16, 24, 48, 128])
def test_another_person_is_rejected(face: Crop, stranger: Crop, width: int) -> None:
    rng = np.random.default_rng(4)
    one, other = (film(person, STILL, rng, width=width, noise=2.0) for person in (face, stranger))
    assert register(one, other, native_width=width) is None


@pytest.mark.parametrize(
    ("move", "matches"),
    [((10.0, 0.0, 0.0, 1.0), True), ((24.0, 0.0, 0.0, 1.0), False), ((0.0, 0.0, 18.0, 1.0), False)],
)
def test_movements_are_limited(
    face: Crop, move: tuple[float, float, float, float], matches: bool
) -> None:
    rng = np.random.default_rng(1)
    assert (register(face, film(face, similarity(*move), rng)) is not None) == matches


def test_what_shows_nothing_is_rejected(face: Crop) -> None:
    flat = np.full_like(face, 90)
    assert register(face, flat) is None
    assert register(flat, flat) is None
    assert register(face, face, weight=np.zeros((128, 128), np.float32)) is None


@pytest.mark.parametrize("side", [256, 300])
def test_large_crops_are_registered_in_their_own_pixels(face: Crop, side: int) -> None:
    factor = side / 128
    large = np.asarray(cv2.resize(face, (side, side), interpolation=cv2.INTER_CUBIC), np.uint8)
    matrix = np.array([[1.0, 0.0, 2.3 * factor], [0.0, 1.0, -1.2 * factor]])
    moved = cv2.warpAffine(large, matrix, (side, side), flags=cv2.INTER_CUBIC)
    found = register(large, np.asarray(moved, np.uint8))
    assert found is not None
    middle = slice(side // 3, 2 * side // 3)
    y, x = np.mgrid[:side, :side]
    wanted = np.stack([x, y], axis=2) + matrix[:, 2]
    assert np.abs(found.coordinates(side) - wanted)[middle, middle].max() < 0.25 * factor


def test_crops_that_do_not_go_together_are_refused(face: Crop) -> None:
    with pytest.raises(UsageError, match="registered"):
        register(face, face[:64, :64])
    with pytest.raises(UsageError, match="weight"):
        register(face, face, weight=np.ones((64, 64), np.float32))
