import cv2
import numpy as np
import pytest
from filmed_shots import Crop, film, fuse_inputs, put_mask, similarity
from numpy.typing import NDArray

from jdsr_cli.errors import UsageError
from jdsr_cli.faces.burst import align_shots

MASKS = [(235, 240, 245), (30, 30, 40), (90, 150, 190)]


def shots(
    face: Crop, count: int, *, width: int = 40, noise: float = 10.0, light: float = 0.0
) -> NDArray[np.uint8]:
    """Film a face; all shots but the first are moved and differ in light."""
    rng = np.random.default_rng(3)
    taken = []
    for number in range(count):
        values = face
        move = similarity(0.0, 0.0, 0.0, 1.0)
        if number:
            x, y, turn, zoom = rng.uniform(-1.0, 1.0, 4)
            move = similarity(2.0 * x, 2.0 * y, 2.0 * turn, 1.0 + 0.02 * zoom)
            levels = face * (1.0 + light * rng.uniform(-1, 1)) + 60 * light * rng.uniform(-1, 1)
            values = np.clip(np.rint(levels), 0, 255).astype(np.uint8)
        taken.append(film(values, move, rng, width=width, noise=noise))
    return np.stack(taken)


def error(picture: NDArray[np.uint8], truth: NDArray[np.uint8]) -> float:
    inner = (slice(30, 112), slice(28, 100))
    return float(np.square(picture[inner].astype(float) - truth[inner]).mean())


@pytest.mark.parametrize(("width", "noise"), [(20, 8.0), (36, 12.0), (64, 16.0)])
@pytest.mark.parametrize("light", [0.0, 0.15])
def test_fused_shots_are_better_than_the_best(
    face: Crop, width: int, noise: float, light: float
) -> None:
    taken = shots(face, 7, width=width, noise=noise, light=light)
    fused = fuse_inputs(taken, [1.0] * 7, widths=[width] * 7)
    clean = film(face, similarity(0, 0, 0, 1), np.random.default_rng(0), width=width)
    assert len(fused.used) >= 6
    assert error(fused.image, clean) < 0.45 * error(taken[0], clean)
    assert 4.0 < fused.support[40:100, 40:90].mean() <= 7.0


def test_a_shot_matched_in_tone_shows_the_light_of_the_first(face: Crop) -> None:
    for factor, shift in ((0.8, 10.0), (1.15, -8.0), (1.0, 25.0)):
        darker = np.clip(np.rint(face * factor + shift), 0, 255).astype(np.uint8)
        (_, matched) = align_shots(np.stack([face, darker]), [1.0, 1.0]).crops
        inner = (slice(40, 110), slice(36, 92))
        before = np.abs(darker[inner].astype(float) - face[inner]).mean()
        assert np.abs(matched[inner] - face[inner]).mean() < 0.25 * before


def test_one_shot_keeps_its_pixels(face: Crop, stranger: Crop) -> None:
    worn, occlusion = put_mask(face, MASKS[0])
    for taken in (face[None], worn[None], np.stack([face, stranger, stranger])):
        maps = np.stack([occlusion] * len(taken))
        for occlusions in (None, maps):
            fused = fuse_inputs(taken, np.full(len(taken), 0.4), occlusions=occlusions)
            assert np.array_equal(fused.image, taken[0])
            assert fused.used == (0,)
            assert (fused.support == 1.0).all()


def test_the_order_of_the_other_shots_does_not_matter(face: Crop) -> None:
    taken = shots(face, 6, light=0.1)
    weights = np.array([0.9, 0.5, 0.7, 0.2, 0.61, 0.33])
    maps = np.random.default_rng(5).uniform(0, 0.4, (6, 128, 128)).astype(np.float32)
    expected = fuse_inputs(taken, weights, occlusions=maps)
    for order in ([0, 5, 4, 3, 2, 1], [0, 3, 1, 5, 2, 4], [0, 2, 1, 3, 4, 5]):
        fused = fuse_inputs(taken[order], weights[order], occlusions=maps[order])
        assert np.array_equal(fused.image, expected.image)
        assert np.array_equal(fused.support, expected.support)
        assert sorted(order[one] for one in fused.used) == list(expected.used)


@pytest.mark.parametrize("colour", MASKS)
@pytest.mark.parametrize("reference_masked", [True, False])
def test_the_mouth_comes_from_bare_shots(
    face: Crop, colour: tuple[int, int, int], reference_masked: bool
) -> None:
    rng = np.random.default_rng(6)
    worn, occlusion = put_mask(face, colour)
    bare = np.zeros_like(occlusion)
    masked = [True] * 5 + [False] * 2 if reference_masked else [False, False] + [True] * 5
    taken, maps = [], []
    for number, wears in enumerate(masked):
        move = similarity(*(rng.uniform(-1.5, 1.5, 2) * bool(number)), 0.0, 1.0)
        taken.append(film(worn if wears else face, move, rng, width=56, noise=5.0))
        size = (128, 128)
        maps.append(cv2.warpAffine(occlusion, move, size) if wears else bare)
    fused = fuse_inputs(np.stack(taken), [1.0] * 7, occlusions=np.stack(maps), widths=[56.0] * 7)
    clean = film(face, similarity(0, 0, 0, 1), rng, width=56)
    assert fused.used == tuple(range(7))
    mouth = (slice(92, 116), slice(44, 84))
    assert np.abs(fused.image[mouth].astype(float) - clean[mouth]).mean() < 8.0
    assert fused.support[mouth].mean() < 2.3
    assert fused.support[50:72, 40:90].mean() > 5.0


@pytest.mark.parametrize("colour", MASKS)
def test_what_is_covered_in_every_shot_stays_covered(
    face: Crop, colour: tuple[int, int, int]
) -> None:
    worn, occlusion = put_mask(face, colour)
    taken = shots(worn, 4, noise=5.0)
    maps = np.stack([occlusion] * 4)
    fused = fuse_inputs(taken, [1.0] * 4, occlusions=maps)
    assert len(fused.used) == 4
    middle = fused.image[104:122, 46:80].astype(float)
    assert np.abs(middle - np.array(colour)).mean() < 6.0


def test_a_hand_in_one_shot_leaves_no_trace(face: Crop) -> None:
    taken = shots(face, 6, noise=3.0)
    taken[3, 56:86, 82:112] = (215, 40, 70)
    fused = fuse_inputs(taken, [1.0] * 6)
    spot = (slice(60, 82), slice(86, 100))
    assert 3 in fused.used
    without = fuse_inputs(np.delete(taken, 3, axis=0), [1.0] * 5)
    assert np.abs(fused.image[spot].astype(float) - without.image[spot]).mean() < 3.0
    assert fused.support[spot].mean() < fused.support[90:100, 50:70].mean()


@pytest.mark.parametrize("colour", MASKS)
def test_what_is_covered_comes_from_shots_that_show_the_cover(
    face: Crop, colour: tuple[int, int, int]
) -> None:
    """Pixels beyond the border of the frame do not outvote a filmed mask."""
    worn, occlusion = put_mask(face, colour)
    taken = shots(worn, 5, noise=3.0)
    shown = np.ones((5, 128, 128), np.float32)
    shown[1:, 96:] = 0.0
    taken[1:, 96:] = (10, 230, 20)
    fused = fuse_inputs(taken, [1.0] * 5, occlusions=np.stack([occlusion] * 5), shown=shown)
    assert len(fused.used) == 5
    middle = fused.image[104:122, 46:80].astype(float)
    assert np.abs(middle - taken[0, 104:122, 46:80]).mean() < 2.0


@pytest.mark.parametrize("given", [[0.1, 0.9, 0.5], [0.9, 0.9, 0.9], [0.9, 0.3, 0.2]])
def test_the_reference_has_the_largest_weight(face: Crop, given: list[float]) -> None:
    registered = align_shots(shots(face, 3, noise=2.0), given)
    assert registered.weights[0] == 1.0
    expected = [min(one / max(given), 0.99) for one in given[1:]]
    assert registered.weights[1:].tolist() == pytest.approx(expected)


def test_better_shots_count_more(face: Crop) -> None:
    taken = shots(face, 5, width=64, noise=2.0)
    taken[3:] = shots(face, 5, width=64, noise=30.0)[3:]
    clean = film(face, similarity(0, 0, 0, 1), np.random.default_rng(0), width=64)
    equal, weighted = (
        fuse_inputs(taken, [1.0, 1.0, 1.0, other, other]).image for other in (1.0, 0.05)
    )
    assert error(weighted, clean) < error(equal, clean)


def test_shots_are_read_where_the_registration_finds_them(face: Crop) -> None:
    taken = shots(face, 3, noise=2.0)
    asked: list[int] = []

    def read(index: int, points: NDArray[np.float32]) -> NDArray[np.float32]:
        asked.append(index)
        assert points.shape == (128, 128, 2)
        x, y = points[..., 0], points[..., 1]
        return np.asarray(cv2.remap(taken[index], x, y, cv2.INTER_NEAREST), np.float32)

    registered = align_shots(taken, [0.5, 0.2, 0.9], read=read)
    assert asked == [1, 2]
    assert registered.used == (0, 1, 2)
    assert registered.weights.tolist() == pytest.approx([1.0, 0.2 / 0.9, 0.99])
    assert np.array_equal(registered.crops[0], taken[0])
    assert registered.visibility.shape == (3, 128, 128)
    assert registered.visibility[1].min() < 0.5  # beyond the border of a moved shot
    assert registered.visibility[:, 40:90, 40:90].min() > 0.99


def test_inconsistent_arguments_are_refused(face: Crop) -> None:
    two = np.stack([face, face])
    with pytest.raises(UsageError, match="RGB uint8"):
        fuse_inputs(face, [1.0])
    with pytest.raises(UsageError, match="RGB uint8"):
        align_shots(two.astype(np.float32), [1.0, 1.0])  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="weighted"):
        fuse_inputs(two, [1.0, 0.0])
    with pytest.raises(UsageError, match="weighted"):
        fuse_inputs(two, [1.0, float("nan")])
    with pytest.raises(UsageError, match="occlusion"):
        fuse_inputs(two, [1.0, 1.0], occlusions=np.zeros((2, 64, 64), np.float32))
    with pytest.raises(UsageError, match="what they show"):
        fuse_inputs(two, [1.0, 1.0], shown=np.ones((1, 128, 128), np.float32))
    with pytest.raises(UsageError, match="mask decisions"):
        fuse_inputs(two, [1.0, 1.0], bare=[True])
    with pytest.raises(UsageError, match="widths"):
        fuse_inputs(two, [1.0, 1.0], widths=[40.0])
