"""The two people of the demo, cut out of photographs from installed packages.

The photographs are NASA's portrait of Eileen Collins (scikit-image, `data.astronaut`) and the
US Navy's portrait of Grace Hopper (matplotlib, `sample_data/grace_hopper.jpg`), both in the
public domain. They end at the chest; the rest of the body is drawn. Coordinates are in pixels of
the photograph; (0, 0) is the centre of its first pixel.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from jdsr_cli.media import Image

_SKIN = (188, 140, 116)
_LEG = ((0.02, 1.1), (0.36, 1.1), (0.34, 2.0), (0.27, 3.0), (0.1, 3.0), (0.06, 2.0))
_HAND = ((0.43, 1.08), (0.55, 1.08), (0.56, 1.22), (0.5, 1.32), (0.43, 1.24))
_ARM = ((0.3, 0.0), (0.46, 0.06), (0.53, 0.26), (0.56, 0.6), (0.56, 1.12), (0.42, 1.12),
        (0.38, 0.6))  # fmt: skip
_TORSO = ((-0.3, -0.04), (0.3, -0.04), (0.45, 0.1), (0.42, 0.5), (0.38, 0.9), (0.42, 1.3),
          (-0.42, 1.3), (-0.38, 0.9), (-0.42, 0.5), (-0.45, 0.1))  # fmt: skip

Part = tuple[tuple[float, float], ...]
Colour = tuple[int, int, int]


def draw_body(
    shape: tuple[int, int],
    shoulders: tuple[float, float, float],
    colours: tuple[Colour, Colour],
) -> NDArray[np.float32]:
    """Draw a standing body from its shoulders to its ankles.

    Args:
        shape: Height and width of the picture.
        shoulders: Middle of the shoulder line (x, y) and its length, in pixels.
        colours: RGB colours of the upper and the lower clothes.

    Returns:
        (height, width, 4): RGB in [0, 255] times alpha, and alpha in [0, 1].

    """
    upper, lower = colours
    layer = np.zeros((*shape, 4), np.float32)
    parts: list[tuple[Part, Colour]] = [(_LEG, lower), (_mirror(_LEG), lower), (_TORSO, upper)]
    parts += [(_HAND, _SKIN), (_mirror(_HAND), _SKIN), (_ARM, upper), (_mirror(_ARM), upper)]
    rng = np.random.default_rng(len(parts))
    for part, colour in parts:
        _draw(layer, np.array(part) * shoulders[2] + shoulders[:2], colour, rng)
    return layer


def _mirror(part: Part) -> Part:
    return tuple((-x, y) for x, y in part)


def _draw(
    layer: NDArray[np.float32],
    corners: NDArray[np.float64],
    colour: Colour,
    rng: np.random.Generator,
) -> None:
    """Composite a part onto `layer`, shaded towards its edges and with slight creases."""
    inside = np.zeros(layer.shape[:2], np.uint8)
    fixed = np.round(_smooth(corners) * 16).astype(np.int32).reshape(-1, 1, 2)
    cv2.fillPoly(inside, [fixed], 255, cv2.LINE_AA, shift=4)
    depth = cv2.distanceTransform(inside, cv2.DIST_L2, 5)
    light = 0.62 + 0.38 * np.sqrt(depth / max(1.0, float(depth.max())))
    height, width = layer.shape[:2]
    creases = rng.normal(0.0, 0.05, (height // 40 + 2, width // 60 + 2)).astype(np.float32)
    light += cv2.resize(creases, (width, height), interpolation=cv2.INTER_CUBIC)
    alpha = cv2.GaussianBlur(inside.astype(np.float32) / 255.0, (0, 0), 1.5)[..., None]
    shaded = np.asarray(colour, np.float32) * light[..., None]
    layer *= 1.0 - alpha
    layer[..., :3] += shaded * alpha
    layer[..., 3:] += alpha


def _smooth(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cut the corners of a closed outline twice (Chaikin)."""
    for _ in range(2):
        successors = np.roll(corners, -1, axis=0)
        pairs = np.stack(
            [0.75 * corners + 0.25 * successors, 0.25 * corners + 0.75 * successors], axis=1
        )
        corners = pairs.reshape(-1, 2)
    return corners


FEATHER = 2.0
"""Standard deviation, in pixels of the photograph, of the softened outline."""
MARGIN = 120
"""Margin at the left and right of the photograph for the drawn body, in pixels."""

Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Person:
    """A photograph with the positions of its parts."""

    name: str
    load: Callable[[], Image]
    """Reads the photograph, RGB uint8 (H, W, 3)."""
    five: Points
    """Eyes, nose, mouth corners; image left first."""
    face_width: float
    """Width of the face from cheek to cheek in pixels."""
    outline: Points
    """Head and shoulders, clockwise from the left arm."""
    shoulders: tuple[float, float, float]
    """Middle of the shoulder line (x, y) and its length."""
    colours: tuple[tuple[int, int, int], tuple[int, int, int]]
    """RGB colours of the upper and the lower clothes."""

    @property
    def points(self) -> NDArray[np.float64]:
        """The five points as an array (5, 2)."""
        return np.array(self.five)


@dataclass(frozen=True, eq=False)
class PersonLayer:
    """The cut-out image of a person with alpha."""

    premultiplied: NDArray[np.float32]
    """(H, W, 4): RGB in [0, 255] times alpha, and alpha in [0, 1]."""
    origin: tuple[float, float]
    """Position of pixel (0, 0) of the photograph in the layer."""


def cut_out_person(person: Person, photograph: Image) -> PersonLayer:
    """Cut `person` out of `photograph` (that of `load`, possibly with a mask) and add a body."""
    height, width = photograph.shape[:2]
    x, y, span = person.shoulders
    canvas = (round(y + 3.0 * span), width + 2 * MARGIN)
    layer = draw_body(canvas, (x + MARGIN, y, span), person.colours)
    cover = _cover((height, width), person)[..., None]
    part = layer[:height, MARGIN : MARGIN + width]
    part[..., :3] = part[..., :3] * (1.0 - cover) + photograph * cover
    part[..., 3:] = part[..., 3:] * (1.0 - cover) + cover
    return PersonLayer(layer, (float(MARGIN), 0.0))


def _cover(shape: tuple[int, int], person: Person) -> NDArray[np.float32]:
    """Return the alpha of the photograph: soft outline, faded at the chest."""
    inside = np.zeros(shape, np.uint8)
    corners = np.round(np.array(person.outline) * 16).astype(np.int32).reshape(-1, 1, 2)
    cv2.fillPoly(inside, [corners], 255, cv2.LINE_AA, shift=4)
    blurred = cv2.GaussianBlur(inside.astype(np.float32) / 255.0, (0, 0), FEATHER)
    cover = np.clip(1.6 * blurred - 0.6, 0.0, 1.0)
    lowest = max(y for _, y in person.outline)
    fade = np.clip((lowest - 4.0 - np.arange(shape[0])) / 55.0, 0.0, 1.0)
    return np.asarray(cover * fade[:, None], np.float32)


def _collins() -> Image:
    from skimage import data

    return np.asarray(data.astronaut(), np.uint8)  # type: ignore[no-untyped-call]


def _hopper() -> Image:
    from matplotlib.cbook import get_sample_data
    from PIL import Image as Pillow

    with cast(IO[bytes], get_sample_data("grace_hopper.jpg")) as file:
        return np.asarray(Pillow.open(file).convert("RGB"), np.uint8)


COLLINS = Person(
    name="Collins",
    load=_collins,
    five=((202.0, 101.5), (245.0, 104.0), (224.5, 127.0), (204.0, 142.0), (243.0, 143.5)),
    face_width=94.0,
    outline=(
        (22, 370), (30, 320), (42, 295), (50, 265), (75, 240), (112, 205), (114, 192), (122, 175),
        (140, 158), (165, 149), (184, 148), (181, 131), (171, 122), (167, 118), (159, 103),
        (153, 82), (155, 62), (167, 47), (190, 33), (200, 22), (220, 15), (242, 15), (265, 23),
        (285, 40), (298, 60), (301, 85), (295, 107), (282, 127), (274, 136), (267, 137),
        (262, 150), (256, 172), (265, 181), (287, 202), (300, 222), (305, 237), (320, 245),
        (335, 260), (350, 287), (357, 320), (359, 345), (358, 358), (340, 366),
    ),
    shoulders=(196.0, 262.0, 318.0),
    colours=((222, 84, 44), (196, 74, 40)),
)  # fmt: skip

HOPPER = Person(
    name="Hopper",
    load=_hopper,
    five=((222.0, 189.5), (306.0, 188.0), (268.0, 237.0), (229.0, 279.5), (304.0, 277.5)),
    face_width=166.0,
    outline=(
        (15, 559), (23, 457), (36, 411), (56, 383), (102, 363), (152, 350), (183, 335), (201, 315),
        (202, 300), (198, 297), (175, 284), (162, 267), (161, 244), (155, 213), (152, 195),
        (155, 185), (157, 168), (152, 147), (152, 117), (160, 96), (175, 84), (185, 66), (218, 43),
        (229, 29), (254, 23), (279, 24), (297, 33), (305, 42), (330, 53), (348, 71), (353, 86),
        (366, 91), (372, 109), (372, 152), (370, 180), (375, 188), (375, 213), (363, 244),
        (361, 269), (350, 295), (333, 307), (330, 317), (350, 333), (386, 350), (442, 371),
        (488, 389), (500, 406), (508, 432), (511, 470), (511, 559),
    ),
    shoulders=(268.0, 402.0, 486.0),
    colours=((24, 27, 36), (28, 29, 36)),
)  # fmt: skip
