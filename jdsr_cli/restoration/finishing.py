"""A generated face in the colours of its frame, with the mask decision applied."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from jdsr_cli.faces.canonical_colours import ColourMap
from jdsr_cli.faces.occlusion import MaskState, filmed_where_covered
from jdsr_cli.media import Image
from jdsr_cli.restoration.frame import RestoredFace
from jdsr_cli.settings import RestoredPart


def finish_face(
    generated: RestoredFace,
    filmed: Image,
    colours: ColourMap,
    mask: MaskState,
    part: RestoredPart,
) -> RestoredFace:
    """Return a generated face in the colours of its frame.

    Args:
        generated: Output of the generator, in canonical colours.
        filmed: The aligned crop of the frame, RGB uint8 (128, 128, 3).
        colours: To the canonical colours.
        mask: Unless it is `masked`, nothing that seems occluded is replaced.
        part: Which part of the face is shown; the rest stays as filmed.

    """
    image = colours.restore(generated.image, filmed, generated.occlusion)
    occlusion = generated.occlusion
    if part != "uncovered" and mask != "masked":
        image = filmed_where_covered(image, filmed, occlusion)
        occlusion = np.zeros_like(occlusion)
    return replace(generated, image=image, occlusion=occlusion, part=part)
