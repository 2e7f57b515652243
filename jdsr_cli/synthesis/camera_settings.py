"""Ranges and probabilities of a simulated camera, and named recording conditions."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.errors import UsageError, within


@dataclass(frozen=True)
class CameraSettings:
    """Ranges from which the properties of a camera are drawn; every pair is (lowest, highest).

    A property with probability 0 draws no random number, so that recipes without it keep their
    samples.
    """

    native_width: tuple[float, float] = (12.0, 128.0)
    """Width of the aligned face region on the sensor, in pixels; drawn log-uniformly."""
    blur: tuple[float, float] = (0.0, 1.1)
    """Standard deviation of lens blur, in native pixels."""
    motion: float = 0.2
    """Probability of motion blur, up to 4 native pixels long."""
    noise: tuple[float, float] = (0.0, 12.0)
    """Standard deviation of sensor noise, in grey levels of 255, strongest in the dark."""
    quality: tuple[int, int] = (25, 95)
    """JPEG quality, which represents the quantiser of the codec."""
    uncompressed: float = 0.1
    """Probability of no compression at all."""
    deblocked: float = 0.35
    """Probability that a compressed image is smoothed as by the deblocking filter of a decoder."""
    video: float = 0.0
    """Probability that a compressed image is the last frame of a short H.264 or H.265 clip."""
    crf: tuple[int, int] = (22, 38)
    """Constant rate factor of such clips: 22 is a good recorder, 38 the worst still in use."""
    infrared: float = 0.12
    """Probability of a monochrome image."""
    tinted: float = 0.0
    """Probability that a monochrome image has a tint: green, purple, cyan, sodium, random."""
    cast: float = 0.0
    """Probability of coloured light or a wrong white balance on a colour image."""
    tint: tuple[float, ...] = ()
    """Factors of R, G, B of every tint or cast; empty: random ones."""
    dark: float = 0.0
    """Probability of low light."""
    light: tuple[float, float] = (0.04, 0.5)
    """Share of normal light in low light, drawn log-uniformly; noise, black crush and
    quantisation to 8 bits are applied accordingly."""
    overexposed: float = 0.0
    """Probability of 1.3 to 2.2 times as much light as the sensor can hold."""
    backlit: float = 0.0
    """Probability of a dark face in front of a bright background."""
    interlaced: float = 0.0
    """Probability of two fields of a moving face in one frame."""
    squeezed: float = 0.0
    """Probability of fewer samples along one axis, down to half, corrected to within 10 %."""
    squeeze: tuple[float, ...] = ()
    """Relative samples along x and y of every image, corrected exactly; empty: see `squeezed`."""
    rotation: float = 8.0
    """Largest misalignment of the crop, in degrees."""
    rolled: float = 0.0
    """Probability that the crop is rolled by up to 30 degrees instead."""
    zoom: float = 0.12
    """Largest relative misalignment of the crop's scale."""
    shift: float = 5.0
    """Largest misalignment of the crop, in pixels of 128."""
    pristine: float = 0.0
    """Probability of a camera without degradation: full width, no blur, no noise, and almost no
    compression. From such samples a network learns to leave a sharp face unchanged."""

    def __post_init__(self) -> None:
        within(
            self, 0, 1, "motion", "uncompressed", "deblocked", "video", "infrared", "tinted",
            "cast", "tint", "dark", "overexposed", "backlit", "interlaced", "squeezed", "rolled",
            "pristine",
        )  # fmt: skip
        within(self, 1, 1024, "native_width")
        within(self, 0, math.inf, "blur", "noise", "zoom", "shift")
        within(self, 0, 180, "rotation")
        within(self, 1, 100, "quality")
        within(self, 0, 51, "crf")
        within(self, 0.004, 1, "light")
        within(self, 0.1, 1, "squeeze")
        for name in ("native_width", "blur", "noise", "quality", "crf", "light"):
            low, high = getattr(self, name)
            if low > high:
                raise UsageError("the smaller value comes first", where=name)
        for name, count in (("tint", 3), ("squeeze", 2)):
            if len(getattr(self, name)) not in (0, count):
                raise UsageError(f"{count} values or none are required", where=name)
        if self.tint and max(self.tint) == 0:
            raise UsageError("a tint of 0, 0, 0 gives a black image", where="tint")

    def without_degradation(self) -> CameraSettings:
        """Return a camera without degradation; misalignment and exposure are unchanged."""
        return replace(
            self, native_width=(128.0, 128.0), blur=(0.0, 0.0), motion=0.0, noise=(0.0, 0.0),
            quality=(93, 98), uncompressed=0.5, deblocked=0.0, video=0.0, interlaced=0.0,
            squeezed=0.0, squeeze=(),
        )  # fmt: skip


CONDITIONS = MappingProxyType[str, dict[str, Any]](
    {
        "normal": {},
        "gray": {"infrared": 1.0},
        "green": {"infrared": 1.0, "tinted": 1.0, "tint": (0.25, 1.0, 0.3)},
        "purple": {"infrared": 1.0, "tinted": 1.0, "tint": (0.8, 0.4, 1.0)},
        "cyan": {"cast": 1.0, "tint": (0.45, 0.95, 1.0)},
        "sodium": {"cast": 1.0, "tint": (1.0, 0.6, 0.2)},
        "light 15 %": {"dark": 1.0, "light": (0.15, 0.15)},
        "light 10 %": {"dark": 1.0, "light": (0.10, 0.10)},
        "light 6 %": {"dark": 1.0, "light": (0.06, 0.06)},
        "light 4 %": {"dark": 1.0, "light": (0.04, 0.04)},
        "overexposed": {"overexposed": 1.0},
        "backlit": {"backlit": 1.0},
        "half height": {"squeeze": (1.0, 0.5)},
        "half width": {"squeeze": (0.5, 1.0)},
        "cut left": {},
        "cut right": {},
        "cut top": {},
        "cut bottom": {},
        "occluded": {},
    }
)
"""By name, the settings that differ from a camera in normal light. In `cut ...` an image border
cuts the face, in `occluded` a hand or an object is in front of it."""
CUT_SHARE = 0.3
"""Share of the template that the image border removes in the conditions `cut ...`."""


def condition(name: str, width: float) -> CameraSettings:
    """Return the camera of a condition for face regions `width` pixels wide.

    Raises:
        KeyError: The condition does not exist.

    """
    normal = CameraSettings(native_width=(width, width), infrared=0.0, video=0.3)
    return replace(normal, **CONDITIONS[name])


def apply_border(picture: NDArray[np.uint8], name: str) -> NDArray[np.uint8]:
    """Return an aligned crop whose face is cut by an image border.

    Beyond the border the last row or column is repeated, as `faces.crop` does.

    Args:
        picture: RGB uint8 (side, side, 3).
        name: The condition; other conditions than `cut ...` return the image unchanged.

    """
    if not name.startswith("cut "):
        return picture
    width = round(CUT_SHARE * picture.shape[0])
    border = picture.copy()
    match name.removeprefix("cut "):
        case "left":
            border[:, :width] = picture[:, width : width + 1]
        case "right":
            border[:, -width:] = picture[:, -width - 1 : -width]
        case "top":
            border[:width] = picture[width : width + 1]
        case "bottom":
            border[-width:] = picture[-width - 1 : -width]
    return border
