"""Two small portraits of photographs that dependencies ship, for clips with faces."""

from __future__ import annotations

import cv2
import matplotlib.cbook
import numpy as np
import skimage.data
from numpy.typing import NDArray
from PIL import Image

SIDE = 120
"""Side of the portraits in pixels."""

Portrait = NDArray[np.uint8]


def astronaut_portrait() -> Portrait:
    """Return the upper part of a portrait, 120 px square, with a face about 37 px wide."""
    return _shrunk(skimage.data.astronaut()[:290, 80:370])


def hopper_portrait() -> Portrait:
    """Return the upper part of a portrait, 120 px square, with a face about 50 px wide."""
    with matplotlib.cbook.get_sample_data("grace_hopper.jpg") as file:
        image = np.asarray(Image.open(file).convert("RGB"))
    return _shrunk(image[:450, 40:490])


def _shrunk(image: Portrait) -> Portrait:
    return np.asarray(cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)
