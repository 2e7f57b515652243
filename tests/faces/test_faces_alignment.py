import cv2
import numpy as np
import pytest
from face_photos import Photo
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from jdsr_cli.conventions import TEMPLATE_SIZE
from jdsr_cli.errors import UsageError
from jdsr_cli.faces import TEMPLATE, Alignment, crop, estimate_alignment
from jdsr_cli.faces.alignment import filmed_region

Matrix = NDArray[np.float64]


def similarity(scale: float, degrees: float, x: float, y: float) -> Matrix:
    """Return a similarity that rotates about the template's origin."""
    turn = scale * np.exp(1j * np.radians(degrees))
    return np.array([[turn.real, -turn.imag, x], [turn.imag, turn.real, y]])


def apply(matrix: Matrix, points: NDArray[np.float64]) -> NDArray[np.float64]:
    return points @ matrix[:, :2].T + matrix[:, 2]


similarities = st.builds(
    similarity,
    st.floats(0.05, 20.0),
    st.floats(-180.0, 180.0),
    st.floats(-2000.0, 6000.0),
    st.floats(-2000.0, 6000.0),
)
weightings = st.lists(st.floats(0.1, 10.0), min_size=5, max_size=5)


@settings(deadline=None)
@given(similarities, weightings)
def test_an_exact_similarity_is_recovered_for_any_weights(
    to_frame: Matrix, weights: list[float]
) -> None:
    alignment = estimate_alignment(apply(to_frame, TEMPLATE), weights)
    np.testing.assert_allclose(alignment.inverse(), to_frame, rtol=1e-6, atol=1e-5)
    scale = float(np.hypot(*to_frame[:, 0]))
    assert alignment.native_width == pytest.approx(TEMPLATE_SIZE * scale, rel=1e-6)


@settings(deadline=None)
@given(similarities)
def test_the_inverse_undoes_the_matrix(matrix: Matrix) -> None:
    points = np.array([[0.0, 0.0], [1920.0, 0.0], [3.5, 1080.0]])
    alignment = Alignment(matrix)
    back = apply(alignment.inverse(), apply(alignment.matrix, points))
    np.testing.assert_allclose(back, points, atol=1e-3)


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(-8, 8), st.floats(-8, 8)), min_size=5, max_size=5), weightings)
def test_no_other_similarity_fits_better(
    noise: list[tuple[float, float]], weights: list[float]
) -> None:
    points = TEMPLATE * 0.5 + np.array(noise)

    def cost(matrix: Matrix) -> float:
        return float(weights @ ((apply(matrix, points) - TEMPLATE) ** 2).sum(axis=1))

    best = estimate_alignment(points, weights).matrix
    turn, size = complex(best[0, 0], best[1, 0]), 1e-3
    for step in (size, -size, 1j * size, -1j * size):
        near = turn + step
        linear = np.array([[near.real, -near.imag], [near.imag, near.real]])
        assert cost(best) <= cost(np.hstack([linear, best[:, 2:]])) + 1e-9
    for shift in ([size, 0.0], [0.0, size], [-size, 0.0], [0.0, -size]):
        assert cost(best) <= cost(best + np.array([[0, 0, shift[0]], [0, 0, shift[1]]])) + 1e-9


def test_a_mirrored_face_is_not_reflected() -> None:
    mirrored = TEMPLATE * (-1.0, 1.0)
    assert np.linalg.det(estimate_alignment(mirrored).matrix[:, :2]) > 0.0


def test_eyes_weigh_more_than_the_mouth() -> None:
    displacement = np.zeros((5, 2))
    displacement[3:, 1] = 12.0
    by_default = apply(
        estimate_alignment(TEMPLATE + displacement).matrix, (TEMPLATE + displacement)[:2]
    )
    equal = apply(
        estimate_alignment(TEMPLATE + displacement, np.ones(5)).matrix,
        (TEMPLATE + displacement)[:2],
    )
    assert np.abs(by_default - TEMPLATE[:2]).max() < 0.9 * np.abs(equal - TEMPLATE[:2]).max()


def test_points_of_zero_weight_are_ignored() -> None:
    points = TEMPLATE.copy()
    points[2:] += 500.0
    alignment = estimate_alignment(points, [1, 1, 0, 0, 0])
    np.testing.assert_allclose(alignment.matrix, [[1, 0, 0], [0, 1, 0]], atol=1e-9)


@pytest.mark.parametrize(
    ("points", "weights"),
    [
        (np.full((5, 2), 1000.1), None),
        (np.full((5, 2), np.nan), None),
        (TEMPLATE[:4], None),
        (TEMPLATE, [1, 1, 1, 1]),
        (TEMPLATE, [0, 0, 0, 0, 0]),
        (TEMPLATE, [1, 1, 1, 1, -1]),
        (TEMPLATE, [0, 0, 0, 0, 1]),
    ],
)
def test_points_that_cannot_be_aligned_are_refused(
    points: NDArray[np.float64], weights: list[float] | None
) -> None:
    with pytest.raises(UsageError):
        estimate_alignment(points, weights)


def test_a_degenerate_alignment_has_no_inverse_and_infinite_width() -> None:
    flat = Alignment(np.zeros((2, 3)))
    assert flat.native_width == float("inf")
    with pytest.raises(UsageError, match="cannot be inverted"):
        flat.inverse()


@pytest.mark.parametrize("size", [32, 64, 128, 200])
@pytest.mark.parametrize("native", [40.0, 128.0, 300.0])
def test_a_crop_samples_the_frame_where_the_alignment_maps_it(size: int, native: float) -> None:
    """A frame whose colour is its coordinate shows where each pixel of the crop was sampled."""
    y, x = np.mgrid[:400, :500]
    frame = np.stack([x / 2.5, y / 2.5, np.full_like(x, 7.0)], axis=2).round().astype(np.uint8)
    to_frame = similarity(native / 128.0, 20.0, 120.0, 40.0)
    alignment = estimate_alignment(apply(to_frame, TEMPLATE))
    result = crop(frame, alignment, size).astype(float)
    rows, columns = np.mgrid[:size, :size]
    template = (np.stack([columns, rows], axis=-1) + 0.5) * (128.0 / size) - 0.5
    mapped = apply(to_frame, template.reshape(-1, 2)).reshape(size, size, 2)
    inside = ((mapped > 4) & (mapped < (495, 395))).all(axis=-1)
    inside[[0, 1, -2, -1]] = inside[:, [0, 1, -2, -1]] = False
    assert inside.sum() > 0.5 * size * size
    offset = result[..., :2] - mapped / 2.5
    assert np.abs(offset[inside]).max() < 0.9
    assert np.abs(offset[inside].mean(axis=0)).max() < 0.03
    assert (result[..., 2] == 7).all()


def test_an_upright_crop_matches_pil(astronaut_photo: Photo) -> None:
    image = astronaut_photo.image
    side = image.shape[0]
    scale = 128 / side
    shift = 0.5 * scale - 0.5
    alignment = Alignment(np.array([[scale, 0.0, shift], [0.0, scale, shift]]))
    for size in (32, 64, 100):
        expected = Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC)
        error = crop(image, alignment, size).astype(float) - np.asarray(expected)
        assert np.square(error).mean() < 0.5, size


def test_detail_finer_than_the_crop_is_averaged_without_moire() -> None:
    frame = np.zeros((900, 900, 3), np.uint8)
    frame[:, ::2] = 255
    points = TEMPLATE * 3.0 + 200.0
    points = (points - 400.0) @ np.array([[0.8, -0.6], [0.6, 0.8]]) + 400.0
    shrunk = crop(frame, estimate_alignment(points), 32).astype(float)
    assert shrunk[2:-2, 2:-2].std() < 6.0
    naive = cv2.warpAffine(
        frame,
        estimate_alignment(points).inverse() @ np.diag([4.0, 4.0, 1.0]),
        (32, 32),
        flags=cv2.WARP_INVERSE_MAP | cv2.INTER_LINEAR,
    )
    assert naive.astype(float).std() > 30.0


def test_a_very_large_face_is_still_reduced_without_aliasing() -> None:
    frame = np.zeros((3000, 3000, 3), np.uint8)
    frame[:, ::2] = 255
    points = TEMPLATE * 20.0 + 150.0
    assert crop(frame, estimate_alignment(points), 32).astype(float).std() < 2.0


def test_the_border_is_replicated_beyond_the_frame() -> None:
    frame = np.full((50, 50, 3), 80, np.uint8)
    frame[:, 25:] = 160
    outside = crop(frame, estimate_alignment(TEMPLATE + np.array([500.0, -900.0])), 64)
    assert (outside == 160).all()
    across = crop(frame, estimate_alignment(TEMPLATE - 40.0), 128)
    assert (across[:, :60] == 80).all()
    assert (across[:, 70:] == 160).all()


def test_a_crop_of_invalid_size_is_refused() -> None:
    with pytest.raises(UsageError):
        crop(np.zeros((8, 8, 3), np.uint8), estimate_alignment(TEMPLATE), -1)


@pytest.mark.parametrize("scale", [0.2, 0.9, 4.0])
@pytest.mark.parametrize("degrees", [0.0, 20.0, 200.0])
@pytest.mark.parametrize("middle", [(0.5, 0.5), (0.0, 0.4), (1.0, 0.6), (0.3, 0.0), (0.9, 1.0)])
def test_the_filmed_region_ends_where_the_frame_does(
    scale: float, degrees: float, middle: tuple[float, float]
) -> None:
    frame = np.full((300, 400, 3), 255, np.uint8)
    to_frame = similarity(scale, degrees, 0.0, 0.0)
    at = np.array(middle) * (400, 300)
    to_frame[:, 2] = at - to_frame[:, :2] @ (64.0, 64.0)
    alignment = Alignment(cv2.invertAffineTransform(to_frame))
    margin = 1000
    moved = alignment.matrix.copy()
    moved[:, 2] -= moved[:, :2] @ (margin, margin)
    beyond_black = cv2.copyMakeBorder(frame, *(margin,) * 4, cv2.BORDER_CONSTANT)
    expected = crop(np.asarray(beyond_black, np.uint8), Alignment(moved))[..., 0] / 255.0
    region = filmed_region(frame, alignment)
    assert region.shape == (128, 128)
    # Enlarged border pixels end half a pixel of the frame earlier or later.
    difference = np.abs(region - expected)
    reach = int(np.ceil(0.5 / scale)) + 2
    kernel = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    whole = cv2.erode(np.uint8(expected > 0.99), kernel)
    none = cv2.erode(np.uint8(expected < 0.01), kernel)
    assert difference[(whole | none) > 0].max(initial=0.0) == 0.0
    assert difference.mean() < 0.02
    assert (region < 1).any() == (expected < 0.99).any()
