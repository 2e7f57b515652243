"""The alignment of FFHQ, in which most other face restorers take and return faces.

They work on 512x512 pixels whose five landmarks lie on the template below, that of facexlib
(`FaceRestoreHelper`), which approximates the alignment of the FFHQ photographs (Karras et al. 2019)
by a similarity. Such a picture shows 147 pixels of the template of jdsr, turned by 0.8 degrees: all
of its 128, and 1 to 3 more above, 16 to 18 below, and 8 to 11 at each side.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.conventions import TEMPLATE_SIZE
from jdsr_cli.faces.alignment import similarity_from_template
from jdsr_cli.faces.resampling import chain, invert, resample, zoom

FFHQ_SIZE = 512
"""Side in pixels of the picture in which `FFHQ_TEMPLATE` is given."""
FFHQ_TEMPLATE: NDArray[np.float64] = np.array(
    [[192.98138, 239.94708], [318.90277, 240.1936], [256.63416, 314.01935],
     [201.26117, 371.41043], [313.08905, 371.15118]]
)  # fmt: skip
"""(5, 2): eyes, nose, mouth corners, image left first, in pixels of the 512-px picture."""
FFHQ_TEMPLATE.setflags(write=False)


def to_ffhq() -> NDArray[np.float64]:
    """Return (2, 3), the least-squares similarity from the template of jdsr to that of FFHQ."""
    return similarity_from_template(FFHQ_TEMPLATE)


def into_ffhq(face: NDArray[np.uint8], size: int = FFHQ_SIZE) -> NDArray[np.uint8]:
    """Return an aligned face as the alignment of FFHQ shows it, resampled once.

    Args:
        face: RGB uint8 (s, s, 3), the template of jdsr in any resolution. Beyond its border its
            nearest border pixel is taken.
        size: Side of the result in pixels.

    Returns:
        RGB uint8 (size, size, 3).

    """
    to_template = chain(invert(to_ffhq()), zoom(FFHQ_SIZE / size))
    return resample(face, chain(zoom(len(face) / TEMPLATE_SIZE), to_template), size)


def out_of_ffhq(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a face in the alignment of FFHQ as the template of jdsr, resampled once, antialiased.

    The template lies within the picture, so that nothing is filled in.

    Args:
        picture: RGB uint8 (s, s, 3).

    Returns:
        RGB uint8 (128, 128, 3).

    """
    return resample(picture, chain(zoom(len(picture) / FFHQ_SIZE), to_ffhq()), TEMPLATE_SIZE)
