"""Eyes, mouth and skin of the template: their positions, and that they do not overlap."""

import numpy as np

from jdsr_cli.faces import TEMPLATE
from jdsr_cli.faces.regions import EYES, MOUTH, SKIN, eyes_and_mouth, skin


def test_landmarks_are_inside_their_regions() -> None:
    parts = eyes_and_mouth()
    columns, rows = np.rint(TEMPLATE).astype(int).T
    assert parts[rows, columns].tolist() == [True, True, False, True, True]
    assert not skin()[rows, columns].any()


def test_skin_does_not_overlap_eyes_and_mouth() -> None:
    assert not (skin() & eyes_and_mouth()).any()
    for part, ellipses in ((skin(), SKIN), (eyes_and_mouth(), (*EYES, *MOUTH))):
        area = sum(np.pi * across * down for _, _, across, down in ellipses)
        assert part.shape == (128, 128)
        assert abs(int(part.sum()) - area) < 0.03 * area


def test_regions_are_symmetric() -> None:
    middle = (TEMPLATE[0, 0] + TEMPLATE[1, 0]) / 2
    shift = round(2 * middle) - 127
    for part in (skin(), eyes_and_mouth()):
        mirrored = np.roll(part[:, ::-1], shift, axis=1)
        assert (part ^ mirrored).sum() < 0.1 * part.sum()


def test_regions_are_read_only() -> None:
    assert not eyes_and_mouth().flags.writeable
    assert not skin().flags.writeable
