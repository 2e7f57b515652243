"""Positions of the people of the demo, and their cut-out photographs."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest

import jdsr_cli.demo
from jdsr_cli.demo.clip import WALKS, Camera, ClipSettings, Walk
from jdsr_cli.demo.people import COLLINS, HOPPER, Person, cut_out_person


def points_in_frame(walk: Walk, frame: int, settings: ClipSettings) -> np.ndarray:
    matrix = settings.matrix(walk, frame)
    return walk.person.points @ matrix[:, :2].T + matrix[:, 2]


@pytest.mark.parametrize("walk", WALKS, ids=lambda walk: walk.person.name)
def test_people_approach_by_similarities_and_stay_in_view(walk: Walk) -> None:
    settings = ClipSettings()
    widths = []
    for frame in range(settings.frames):
        linear = settings.matrix(walk, frame)[:, :2]
        factor = np.sqrt(np.linalg.det(linear))
        np.testing.assert_allclose(linear.T @ linear, factor**2 * np.eye(2), atol=1e-12)
        widths.append(factor * walk.person.face_width)
        points = points_in_frame(walk, frame, settings)
        assert (points > 20).all()
        assert (points < np.array([settings.camera.width, settings.camera.height]) - 20).all()
    assert (np.diff(widths) > 0).all()
    assert 22 <= widths[0] <= 26
    assert 40 <= widths[-1] <= 48


def test_people_keep_their_distance_and_rotate() -> None:
    settings = ClipSettings()
    angles = []
    for frame in range(settings.frames):
        left, right = (points_in_frame(walk, frame, settings) for walk in reversed(WALKS))
        assert right[:, 0].min() - left[:, 0].max() > 60
        matrix = settings.matrix(WALKS[0], frame)
        angles.append(np.rad2deg(np.arctan2(matrix[1, 0], matrix[0, 0])))
    assert max(angles) > 3
    assert min(angles) < -3


def test_one_person_is_masked_throughout_and_one_in_the_second_half() -> None:
    settings = ClipSettings()
    shares = [settings.share(frame) for frame in range(settings.frames)]
    masked = [[walk.masked(share) for share in shares] for walk in WALKS]
    assert all(masked[1])
    assert masked[0] == [False] * 30 + [True] * 30


def test_a_smaller_camera_scales_the_scene() -> None:
    small = ClipSettings(camera=Camera(240, 135))
    for walk in WALKS:
        half = points_in_frame(walk, 10, small)
        full = points_in_frame(walk, 10, ClipSettings())
        np.testing.assert_allclose(half + 0.5, (full + 0.5) / 2, atol=0.3)


@pytest.mark.parametrize("person", [COLLINS, HOPPER], ids=lambda person: person.name)
def test_the_face_is_cut_out_unchanged_and_without_background(person: Person) -> None:
    photograph = person.load()
    layer = cut_out_person(person, photograph)
    left, top = (round(value) for value in layer.origin)
    height, width = photograph.shape[:2]
    part = layer.premultiplied[top : top + height, left : left + width]
    for x, y in np.round(person.points).astype(int):
        np.testing.assert_allclose(part[y, x, :3], photograph[y, x], atol=0.01)
        assert part[y, x, 3] == pytest.approx(1.0)
    assert part[:10, :, 3].max() == 0.0
    assert layer.premultiplied[..., 3].max() <= 1.0 + 1e-6
    below = layer.premultiplied[height:, :, 3]
    assert below[: height // 2].max(axis=1).min() > 0.99


def test_the_training_package_is_only_imported_lazily_by_the_clip() -> None:
    package = Path(jdsr_cli.demo.__file__).parent
    for file in sorted(package.glob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        imports = [n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom | ast.Import)]
        modules = {n: getattr(n, "module", None) or n.names[0].name for n in imports}
        train = [n for n, name in modules.items() if name.startswith("jdsr_train")]
        assert not [n for n in train if n in tree.body]
        assert not train or file.name == "clip.py"
