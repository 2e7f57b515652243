"""Comparison of the lower faces of two pictures."""

import cv2
import numpy as np
import pytest
from face_photos import Photo

from jdsr_cli.errors import UsageError
from jdsr_cli.faces import crop, estimate_alignment
from jdsr_cli.faces.lower_face import SAME_ABOVE, lower_face_correlation


def aligned(photo: Photo) -> np.ndarray:
    return crop(photo.image, estimate_alignment(photo.points))


def covered(face: np.ndarray, level: int) -> np.ndarray:
    masked = face.copy()
    points = np.array([[26, 84], [63, 74], [100, 84], [96, 118], [63, 127], [30, 118]])
    cv2.fillPoly(masked, [points], (level, level, level))
    return masked


@pytest.mark.parametrize("change", ["noise", "shift", "light", "blur", "grain"])
def test_a_face_is_like_another_picture_of_it(change: str, astronaut_photo: Photo) -> None:
    face = aligned(astronaut_photo)
    for one in (face, covered(face, 200), covered(face, 40)):
        other = one.astype(np.float32)
        if change == "noise":
            other += np.random.default_rng(0).normal(0, 5, face.shape)
        elif change == "shift":
            other = np.roll(other, (3, -4), (0, 1))
        elif change == "light":
            other = 0.4 * other + 30
        elif change == "blur":
            other = cv2.GaussianBlur(other, (0, 0), 1.0)
        else:
            other += np.random.default_rng(0).normal(0, 3, (*face.shape[:2], 1))
        other = np.clip(other, 0, 255).astype(np.uint8)
        assert lower_face_correlation(one, other) > SAME_ABOVE


@pytest.mark.parametrize("level", [20, 110, 235])
def test_a_bare_face_is_unlike_the_same_with_a_mask(
    level: int, astronaut_photo: Photo, hopper_photo: Photo
) -> None:
    for photo in (astronaut_photo, hopper_photo):
        face = aligned(photo)
        assert lower_face_correlation(face, covered(face, level)) < SAME_ABOVE
        assert lower_face_correlation(covered(face, level), face) < SAME_ABOVE


def test_a_picture_without_detail_is_like_none(astronaut_photo: Photo) -> None:
    face, flat = aligned(astronaut_photo), np.full((128, 128, 3), 90, np.uint8)
    for pair in ((face, flat), (flat, face), (flat, flat)):
        assert lower_face_correlation(*pair) == 0.0


@pytest.mark.parametrize("shape", [(64, 64, 3), (128, 128), (128, 100, 3)])
def test_only_aligned_faces_are_compared(shape: tuple[int, ...], astronaut_photo: Photo) -> None:
    with pytest.raises(UsageError, match="128"):
        lower_face_correlation(np.zeros(shape, np.uint8), aligned(astronaut_photo))
