"""Heat maps and parsing labels: manually computed values, sides, and mirroring."""

import numpy as np
import pytest
import torch

from jdsr_cli.errors import UsageError
from jdsr_train.data.labels import (
    CELEBAMASK_TO_11,
    MIRROR_5,
    MIRROR_68,
    MIRROR_PARSING,
    PARSING_CLASSES,
    from_celebamask,
    heat_maps,
    mirror_labels,
    mirror_points,
    reduce_labels,
)

NINETEEN = (
    "background", "skin", "nose", "glasses", "l_eye", "r_eye", "l_brow", "r_brow", "l_ear",
    "r_ear", "mouth", "u_lip", "l_lip", "hair", "hat", "earring", "necklace", "neck", "cloth",
)  # fmt: skip


def points(*positions: tuple[float, float]) -> torch.Tensor:
    return torch.tensor(positions)


def test_a_peak_has_amplitude_one_at_its_point() -> None:
    # The 64-px map's pixel (10, 20) covers pixels 20 and 21, 40 and 41 of the face.
    (heat,) = heat_maps(points((20.5, 40.5)))
    assert heat.shape == (64, 64)
    assert heat.dtype == torch.float32
    assert divmod(int(heat.argmax()), 64) == (20, 10)
    assert heat[20, 10] == pytest.approx(1)
    assert heat[20, 13] == pytest.approx(np.exp(-2))  # at 3 px, sigma 1.5
    assert heat[24, 10] == pytest.approx(np.exp(-32 / 9))
    assert heat[23, 13] == pytest.approx(np.exp(-4))


def test_peaks_have_subpixel_positions_and_are_not_truncated() -> None:
    (heat,) = heat_maps(points((21.5, 40.5)))
    assert heat[20, 10] == pytest.approx(heat[20, 11])
    assert heat[20, 10] == pytest.approx(np.exp(-1 / 18))
    assert heat[20, 20] == pytest.approx(np.exp(-(9.5**2) / 4.5), rel=1e-4)
    assert (heat[12:29, 2:20] > 0).all()
    (wide,) = heat_maps(points((63.5, 63.5)), size=32, sigma=3.0)
    assert wide.shape == (32, 32)
    assert wide[15, 15] == pytest.approx(np.exp(-0.5 / 18))


@pytest.mark.parametrize(
    "position", [(-0.6, 40), (40, -0.6), (127.6, 40), (40, 300), (np.nan, 40), (np.inf, 2)]
)
def test_points_outside_the_face_have_empty_maps(position: tuple[float, float]) -> None:
    outside, edge = heat_maps(points(position, (127.4, -0.4)))
    assert not outside.any()
    assert edge.max() > 0.9


def test_heat_maps_of_a_batch_are_products_of_gaussians() -> None:
    landmarks = torch.rand(3, 7, 2, dtype=torch.float64) * 127
    across, down = (((torch.arange(64) - ((landmarks[..., axis, None] + 0.5) / 2 - 0.5)) ** 2)
                    for axis in (0, 1))  # fmt: skip
    expected = torch.exp(-(down[..., :, None] + across[..., None, :]) / (2 * 1.5**2))
    assert torch.allclose(heat_maps(landmarks), expected.float(), rtol=1e-6, atol=1e-30)


@pytest.mark.parametrize("table", [MIRROR_68, MIRROR_5])
def test_heat_maps_are_mirrored_with_their_points(table: np.ndarray) -> None:
    landmarks = np.random.default_rng(0).uniform(0, 127, (len(table), 2)).astype(np.float32)
    flipped = heat_maps(torch.from_numpy(mirror_points(landmarks)))
    unflipped = heat_maps(torch.from_numpy(landmarks))
    assert torch.allclose(flipped, unflipped[table].flip(-1), atol=1e-5)
    assert np.allclose(mirror_points(mirror_points(landmarks)), landmarks, atol=1e-4)


def test_only_supported_sets_of_points_are_mirrored() -> None:
    with pytest.raises(UsageError, match="98 landmarks"):
        mirror_points(np.zeros((98, 2), np.float32))


def test_the_classes_of_celebamask_are_mapped_to_eleven() -> None:
    ours = {
        name: PARSING_CLASSES[position]
        for name, position in zip(NINETEEN, CELEBAMASK_TO_11, strict=True)
    }
    assert len(NINETEEN) == len(CELEBAMASK_TO_11) == 19
    assert {ours[name] for name in ("hat", "cloth", "neck", "necklace")} == {"background"}
    assert {ours[name] for name in ("glasses", "l_ear", "r_ear", "earring")} == {"skin"}
    # In CelebAMask, left is the person's left, on the right of the picture.
    assert [ours[name] for name in ("l_brow", "r_brow", "l_eye", "r_eye")] == [
        "right brow", "left brow", "right eye", "left eye",
    ]  # fmt: skip
    assert [ours[name] for name in ("nose", "u_lip", "mouth", "l_lip", "hair")] == [
        "nose", "upper lip", "inner mouth", "lower lip", "hair",
    ]  # fmt: skip


def drawn() -> np.ndarray:
    """Label map of a face: the person's right eye and brow are on the picture's left."""
    labels = np.ones((64, 64), np.uint8)
    labels[20:24, 10:20], labels[20:24, 40:50] = 5, 4
    labels[12:15, 10:20], labels[12:15, 40:50] = 7, 6
    return labels


def test_left_and_right_follow_the_position_in_the_picture() -> None:
    ours = from_celebamask(drawn())
    assert PARSING_CLASSES[ours[22, 12]] == "left eye"
    assert PARSING_CLASSES[ours[13, 45]] == "right brow"
    mirrored = from_celebamask(np.ascontiguousarray(drawn()[:, ::-1]))
    assert PARSING_CLASSES[mirrored[22, 15]] == "left eye"
    assert np.array_equal(mirrored, mirror_labels(ours))
    one_eyed = drawn()
    one_eyed[:, 32:] = 1
    assert PARSING_CLASSES[from_celebamask(one_eyed)[22, 12]] == "left eye"


def test_unknown_labels_are_refused() -> None:
    with pytest.raises(UsageError, match="label 19 is none"):
        from_celebamask(np.full((4, 4), 19, np.uint8))


def test_mirrored_labels_swap_the_classes_that_have_sides() -> None:
    assert np.array_equal(MIRROR_PARSING[MIRROR_PARSING], np.arange(11))
    labels = np.array([[2, 4, 6, 0]], np.uint8)
    assert mirror_labels(labels).tolist() == [[0, 6, 5, 3]]


def test_labels_are_reduced_by_their_nearest_neighbours() -> None:
    labels = np.random.default_rng(1).integers(0, 11, (128, 128)).astype(np.uint8)
    assert np.array_equal(reduce_labels(labels), labels[1::2, 1::2])
    assert np.array_equal(reduce_labels(labels, 128), labels)
    assert np.array_equal(reduce_labels(labels[:64, :64], 128)[::2, 1::2], labels[:64, :64])
