import numpy as np
import pytest

from jdsr_cli.evidence import Label


@pytest.mark.parametrize(("height", "width"), [(480, 640), (140, 280), (1080, 1920), (64, 48)])
def test_label_changes_a_small_lower_left_part(height: int, width: int) -> None:
    before = np.full((height, width, 3), 128, np.uint8)
    after = before.copy()
    Label(width, height).stamp(after)
    rows, columns = np.nonzero((before != after).any(axis=2))
    assert rows.size
    assert rows.min() > height * 0.6
    assert columns.max() <= width * 0.85
    assert rows.size < max(700, 0.06 * height * width)


def test_label_text_contrasts_with_its_background() -> None:
    image = np.full((360, 480, 3), 200, np.uint8)
    Label(480, 360).stamp(image)
    assert image.max() > 240
    assert image.min() < 110


def test_label_fits_a_frame_smaller_than_itself() -> None:
    image = np.zeros((6, 10, 3), np.uint8)
    Label(10, 6).stamp(image)
    assert image.shape == (6, 10, 3)
