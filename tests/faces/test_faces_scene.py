import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jdsr_cli.errors import UsageError
from jdsr_cli.faces.scene import coarse, thumbnail


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(0, 255))
def test_thumbnails_have_one_size_and_keep_the_mean(height: int, width: int, level: int) -> None:
    small = thumbnail(np.full((height, width, 3), level, np.uint8))
    assert small.shape == (36, 64, 3)
    assert (small == level).all()


def test_a_thumbnail_is_returned_as_it_is() -> None:
    small = thumbnail(np.random.default_rng(0).integers(0, 256, (90, 160, 3), np.uint8))
    assert thumbnail(small) is small


def test_coarse_thumbnails_are_means_of_four_pixels() -> None:
    small = np.random.default_rng(0).integers(0, 256, (36, 64, 3), np.uint8)
    for part in (small, small[4:32], small[:, 10:50], small[:1, :1]):
        height, width = part.shape[0] // 2, part.shape[1] // 2
        found = coarse(part)
        if min(height, width):
            expected = part.reshape(height, 2, width, 2, 3).mean(axis=(1, 3))
            np.testing.assert_allclose(found, expected, atol=0.51)
        else:
            np.testing.assert_array_equal(found, part)


def test_invalid_pictures_are_refused() -> None:
    for picture in (np.zeros((9, 9), np.uint8), np.zeros((0, 9, 3), np.uint8), np.zeros((9, 9, 3))):
        with pytest.raises(UsageError, match="thumbnail"):
            thumbnail(picture)  # type: ignore[arg-type]
