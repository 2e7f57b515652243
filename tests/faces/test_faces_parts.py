"""Eyes, mouth and skin of the template: where they are, and that they do not meet."""

import numpy as np

from jdsr_cli.faces import TEMPLATE
from jdsr_cli.faces.regions import EYES, MOUTH, SKIN, eyes_and_mouth, skin


def test_the_template_points_lie_in_their_parts() -> None:
    parts = eyes_and_mouth()
    columns, rows = np.rint(TEMPLATE).astype(int).T
    assert parts[rows, columns].tolist() == [True, True, False, True, True]
    assert not skin()[rows, columns].any()


def test_skin_keeps_clear_of_eyes_and_mouth() -> None:
    assert not (skin() & eyes_and_mouth()).any()
    for part, ellipses in ((skin(), SKIN), (eyes_and_mouth(), (*EYES, *MOUTH))):
        area = sum(np.pi * across * down for _, _, across, down in ellipses)
        assert part.shape == (128, 128)
        assert abs(int(part.sum()) - area) < 0.03 * area


def test_parts_are_the_same_on_both_sides_of_the_face() -> None:
    middle = (TEMPLATE[0, 0] + TEMPLATE[1, 0]) / 2
    shift = round(2 * middle) - 127
    for part in (skin(), eyes_and_mouth()):
        turned = np.roll(part[:, ::-1], shift, axis=1)
        assert (part ^ turned).sum() < 0.1 * part.sum()


def test_parts_cannot_be_written_to() -> None:
    assert not eyes_and_mouth().flags.writeable
    assert not skin().flags.writeable
