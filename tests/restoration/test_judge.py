import cv2
import numpy as np

from jdsr_cli.faces import TEMPLATE
from jdsr_cli.restoration.judge import MASKED_SHARE, covered_share, face_ellipse, sharpness


def test_ellipse_holds_the_face_and_not_the_corners() -> None:
    inside = face_ellipse()
    for x, y in TEMPLATE.round().astype(int):
        assert inside[y, x]
    assert not inside[[0, 0, -1, -1], [0, -1, 0, -1]].any()
    assert 0.3 < inside.mean() < 0.6


def test_covered_share_counts_the_face_only() -> None:
    assert covered_share(np.ones((128, 128), np.float32)) == 1.0
    assert covered_share(np.zeros((128, 128), np.float32)) == 0.0
    assert covered_share((~face_ellipse()).astype(np.float32)) == 0.0
    lower = np.zeros((128, 128), np.float32)
    lower[80:] = 0.9
    assert MASKED_SHARE < covered_share(lower) < 0.7


def test_blur_lowers_sharpness(astronaut: np.ndarray) -> None:
    face = np.ascontiguousarray(astronaut[:64, 30:94])
    blurred = np.asarray(cv2.GaussianBlur(face, (0, 0), 1.5), np.uint8)
    assert sharpness(face) > 3 * sharpness(blurred) > 0
