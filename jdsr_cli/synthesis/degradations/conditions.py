"""Named conditions of footage, each a camera, so that methods can be compared by condition."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.synthesis.degradations.settings import CameraSettings

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


def cut_off(picture: NDArray[np.uint8], name: str) -> NDArray[np.uint8]:
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
