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
    """Ranges from which a camera is drawn; every pair is (lowest, highest).

    What has probability 0 draws no random number, so that recipes without it keep their samples.
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
    """JPEG quality that stands for the codec's quantiser."""
    uncompressed: float = 0.1
    """Probability of no compression at all."""
    deblocked: float = 0.35
    """Probability that a compressed picture is smoothed as decoders do."""
    video: float = 0.0
    """Probability that a compressed picture is the last of a short H.264 or H.265 clip."""
    crf: tuple[int, int] = (22, 38)
    """Constant rate factor of such clips: 22 is a good recorder, 38 the worst still in use."""
    infrared: float = 0.12
    """Probability of a picture without colour."""
    tinted: float = 0.0
    """Probability that a picture without colour has a tint: green, purple, cyan, sodium, any."""
    cast: float = 0.0
    """Probability of coloured light or a wrong white balance on a picture with colour."""
    tint: tuple[float, ...] = ()
    """Factors of R, G, B of every tint or cast; empty: random ones."""
    dark: float = 0.0
    """Probability of low light."""
    light: tuple[float, float] = (0.04, 0.5)
    """Share of normal light then, drawn log-uniformly; noise, black crush and quantisation to
    8 bits come with it."""
    overexposed: float = 0.0
    """Probability of 1.3 to 2.2 times as much light as the sensor can hold."""
    backlit: float = 0.0
    """Probability of a dark face before a bright background."""
    interlaced: float = 0.0
    """Probability of two fields of a moving face in one frame."""
    squeezed: float = 0.0
    """Probability of fewer samples along one axis, down to half, undone to within 10 %."""
    squeeze: tuple[float, ...] = ()
    """Relative samples along x and y of every picture, undone exactly; empty: see `squeezed`."""
    rotation: float = 8.0
    """Largest misalignment of the crop, in degrees."""
    rolled: float = 0.0
    """Probability that the crop is rolled by up to 30 degrees instead."""
    zoom: float = 0.12
    """Largest relative misalignment of the crop's scale."""
    shift: float = 5.0
    """Largest misalignment of the crop, in pixels of 128."""
    pristine: float = 0.0
    """Probability of a camera that spoils nothing: full width, no blur, no noise, and as good as
    no compression. From it a network learns to leave a sharp face alone."""

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
                raise UsageError(f"{count} values or none are needed", where=name)
        if self.tint and max(self.tint) == 0:
            raise UsageError("a tint of 0, 0, 0 shows nothing", where="tint")

    def spotless(self) -> CameraSettings:
        """Return the camera that spoils nothing; it is held and exposed as before."""
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
"""By name, in what the camera differs from one in normal light. In `cut ...` a border of the
picture goes through the face, in `occluded` a hand or a thing is before it."""
CUT = 0.3
"""Share of the template that a border of the picture cuts away in the conditions `cut ...`."""


def condition(name: str, width: float) -> CameraSettings:
    """Return the camera of a condition for faces whose region is `width` pixels wide.

    Raises:
        KeyError: there is no such condition.

    """
    usual = CameraSettings(native_width=(width, width), infrared=0.0, video=0.3)
    return replace(usual, **CONDITIONS[name])


def apply_border(picture: NDArray[np.uint8], name: str) -> NDArray[np.uint8]:
    """Return an aligned crop as it is where a border of the picture goes through the face.

    What lies beyond is the border's last row or column again, as `faces.crop` has it.

    Args:
        picture: RGB uint8 (side, side, 3).
        name: Of the condition; but for `cut ...` the picture comes back as it is.

    """
    if not name.startswith("cut "):
        return picture
    gone = round(CUT * picture.shape[0])
    border = picture.copy()
    match name.removeprefix("cut "):
        case "left":
            border[:, :gone] = picture[:, gone : gone + 1]
        case "right":
            border[:, -gone:] = picture[:, -gone - 1 : -gone]
        case "top":
            border[:gone] = picture[gone : gone + 1]
        case "bottom":
            border[-gone:] = picture[-gone - 1 : -gone]
    return border
