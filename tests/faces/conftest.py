"""Photographs that dependencies ship, with the positions of their faces."""

from __future__ import annotations

from pathlib import Path

import matplotlib.cbook
import numpy as np
import pytest
import skimage.data
from face_photos import Photo
from numpy.typing import NDArray
from PIL import Image

from jdsr_cli.faces import crop, estimate_alignment

SHARED = Path(__file__).parents[3] / "shared"


@pytest.fixture(scope="session")
def astronaut_photo() -> Photo:
    image = np.ascontiguousarray(skimage.data.astronaut()[:290, 80:370])
    points = [[123.0, 101.0], [166.0, 103.5], [145.5, 123.0], [124.5, 140.0], [164.0, 140.5]]
    return Photo(image, np.array(points), 90.0)


@pytest.fixture(scope="session")
def hopper_photo() -> Photo:
    with matplotlib.cbook.get_sample_data("grace_hopper.jpg") as file:
        image = np.asarray(Image.open(file).convert("RGB"))
    image = np.ascontiguousarray(image[:450, 40:490])
    points = [[182.0, 189.0], [265.0, 187.0], [227.0, 238.0], [191.0, 281.0], [269.0, 278.0]]
    return Photo(image, np.array(points), 175.0)


@pytest.fixture
def face(hopper_photo: Photo) -> NDArray[np.uint8]:
    """An aligned face, RGB uint8 (128, 128, 3)."""
    return crop(hopper_photo.image, estimate_alignment(hopper_photo.points))


@pytest.fixture
def stranger(astronaut_photo: Photo) -> NDArray[np.uint8]:
    """The aligned face of another person."""
    return crop(astronaut_photo.image, estimate_alignment(astronaut_photo.points))


@pytest.fixture
def mobile_weights() -> Path:
    """The published weights of retinaface-mobile, from the development data."""
    path = SHARED / "weights" / "detection_mobilenet0.25_Final.pth"
    if not path.is_file():
        pytest.skip("../shared/weights is absent")
    return path
