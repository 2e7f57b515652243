"""Warping error, identity distance and landmark jitter of faces in neighbouring frames."""

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
from network_files import write_points_onnx, write_torchscript
from numpy.typing import NDArray

from jdsr_cli.errors import WeightsMissingError
from jdsr_cli.evaluation.metrics.frame_identities import FrameIdentities, identity_distance
from jdsr_cli.evaluation.metrics.frame_landmarks import (
    FrameLandmarks,
    landmark_jitter,
    second_difference,
)
from jdsr_cli.evaluation.metrics.warping import WarpedPair, occluded
from jdsr_cli.faces.alignment import Alignment
from jdsr_cli.faces.optical_flow import estimate_flow, flow_levels, positions, round_trip
from jdsr_cli.faces.regions import face_region

Picture = NDArray[np.uint8]
EVEN = (Fraction(0), Fraction(1), Fraction(2))


@pytest.fixture(scope="module")
def face() -> Picture:
    return np.ascontiguousarray(skimage.data.astronaut()[50:178, 160:288])


@pytest.fixture(scope="module")
def scene() -> Picture:
    """The same face with its surroundings, 160 px square."""
    return np.ascontiguousarray(skimage.data.astronaut()[34:194, 144:304])


def noisy(picture: Picture, strength: float, seed: int) -> Picture:
    grain = np.random.default_rng(seed).normal(0, strength, picture.shape)
    return np.clip(np.rint(picture + grain), 0, 255).astype(np.uint8)


def luma(picture: Picture) -> NDArray[np.float32]:
    return cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)


def moved(scene: Picture, right: float, down: float) -> Picture:
    matrix = np.array([[1.0, 0.0, 16.0 - right], [0.0, 1.0, 16.0 - down]])
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(scene, matrix, (128, 128), flags=flags), np.uint8)


def test_a_still_face_has_no_warping_error(face: Picture) -> None:
    pair = WarpedPair(face, face, 128)
    assert pair.error(face, face) == 0.0
    assert pair.visible > 0.99


@pytest.mark.parametrize("strength", [2.0, 4.0, 8.0])
def test_independent_noise_adds_twice_its_variance(face: Picture, strength: float) -> None:
    face = np.clip(face, 40, 215)
    pair = WarpedPair(face, face, 128)
    found = pair.error(noisy(face, strength, 1), noisy(face, strength, 2))
    # Rounding to grey levels adds a twelfth to each variance.
    assert found == pytest.approx(1000 * 2 * (strength**2 + 1 / 12) / 255**2, rel=0.04)


def test_a_constant_change_of_level_is_its_square(face: Picture) -> None:
    face = np.clip(face, 40, 215)
    pair = WarpedPair(face, face, 128)
    brighter = face + np.uint8(10)
    assert pair.error(face, brighter) == pytest.approx(1000 * (10 / 255) ** 2)


@pytest.mark.parametrize(("right", "down"), [(2, 0), (0.5, -1.5), (-3, 2)])
def test_flow_of_the_reference_removes_motion(scene: Picture, right: float, down: float) -> None:
    before, now = moved(scene, 0, 0), moved(scene, right, down)
    pair = WarpedPair(before, now, 128)
    unmoved = WarpedPair(before, before, 128)
    assert pair.visible > 0.8
    assert pair.error(before, now) < 0.1 * unmoved.error(before, now)
    # A video that does not follow the motion of the reference has an error.
    assert pair.error(before, before) > 5 * pair.error(before, now)


def test_a_flow_that_does_not_return_is_occluded() -> None:
    still = np.zeros((128, 128, 2), np.float32)
    assert not occluded(still, still).any()
    away = still.copy()
    away[30:60, 30:60, 0] = 5.0
    found = occluded(away, still)
    assert found[31:59, 31:59].all()
    assert not found[:28].any()
    back = np.full_like(still, 0)
    away[...], back[...] = (3.0, -2.0), (-3.0, 2.0)
    assert not occluded(away, back).any()
    # A gradient of 0.05 px per pixel is a motion boundary, one of 0.02 is not.
    for slope, boundary in ((0.05, True), (0.02, False)):
        field = still.copy()
        field[..., 0] = slope * (np.arange(128) - 64)
        assert occluded(field, -field)[64, 64] == boundary


def test_the_flow_back_is_taken_where_the_flow_leads() -> None:
    forward, backward = np.zeros((2, 128, 128, 2), np.float32)
    forward[30:70, 20:50, 0] = 40.0
    backward[30:70, 60:90, 0] = -40.0
    assert np.abs(round_trip(forward, backward)[32:68, 22:48]).max() < 1e-3
    assert not occluded(forward, backward)[32:68, 22:48].any()
    # What is under the moved object in the second frame is seen in the first one only.
    assert occluded(forward, backward)[32:68, 62:88].all()


def test_what_leaves_the_crop_is_not_compared(scene: Picture) -> None:
    weight = WarpedPair(moved(scene, 0, 0), moved(scene, 0, 8), 128)._weight
    assert weight[100:114, 60:70].min() > 0
    assert face_region()[122, 60:70].min() > 0
    assert weight[122, 60:70].max() == 0


def test_an_object_that_appears_in_the_reference_is_left_out(face: Picture) -> None:
    now = face.copy()
    now[40:90, 60:100] = np.random.default_rng(0).integers(0, 255, (50, 40, 1), np.uint8)
    pair = WarpedPair(face, now, 128)
    assert pair.visible < 0.95
    whole = float((face_region() * ((now / 255 - face / 255) ** 2).mean(axis=2)).sum())
    assert pair.error(face, now) < 0.5 * 1000 * whole / face_region().sum()


def test_nothing_is_said_where_nearly_all_is_occluded(face: Picture) -> None:
    pair = WarpedPair(face, np.ascontiguousarray(face[::-1]), 128)
    assert pair.visible < 0.15
    assert np.isnan(pair.error(face, face))


def test_flow_leads_from_the_first_picture_to_the_second(scene: Picture) -> None:
    levels = [flow_levels(luma(moved(scene, right, 0)), 128) for right in (0, 3)]
    forward, backward = estimate_flow(*levels)
    inner = forward[40:100, 40:100]
    assert np.median(inner[..., 0]) == pytest.approx(3, abs=0.2)
    assert np.median(inner[..., 1]) == pytest.approx(0, abs=0.2)
    assert np.abs(round_trip(forward, backward)[40:100, 40:100]).mean() < 0.2
    assert np.array_equal(positions(forward)[50, 60], forward[50, 60] + np.float32([60, 50]))


def test_identity_distance_of_two_faces_is_larger(tmp_path: Path, face: Picture) -> None:
    network = FrameIdentities(write_torchscript(tmp_path / "identity.pt"))
    other = np.ascontiguousarray(face[:, ::-1])
    embedded = network.embed(np.stack([face, noisy(face, 2, 0), other]))
    assert np.linalg.norm(embedded, axis=1) == pytest.approx(np.ones(3), abs=1e-6)
    itself, noise, exchanged = identity_distance(embedded[[0, 0, 0]], embedded)
    assert itself == 0.0
    assert 0.0 < noise < 0.2 * exchanged
    cosine = float(embedded[0] @ embedded[2])
    assert exchanged == pytest.approx(np.sqrt(2 - 2 * cosine))
    assert "SHA-256" in network.protocol
    with pytest.raises(WeightsMissingError):
        FrameIdentities(tmp_path / "absent.pt")


@pytest.mark.parametrize("period", [4.0, 9.0, 25.0])
def test_jitter_of_a_sinusoid_is_known(period: float) -> None:
    amplitude, omega = 2.0, 2 * np.pi / period
    unit = np.zeros((68, 2))
    unit[45, 0] = 50.0
    frames = np.arange(100)
    still = np.broadcast_to(unit, (100, 68, 2))
    swinging = still + amplitude * np.sin(omega * frames + 0.3)[:, None, None] * [1.0, 0.0]
    values = []
    for index in range(1, 99):
        points = np.stack([still, swinging], axis=1)[index - 1 : index + 2]
        own, error = landmark_jitter(points, EVEN)
        assert own[0] == pytest.approx(0, abs=1e-9)
        assert error == pytest.approx(own, abs=1e-9)
        values.append(own[1])
    mean_sine = np.abs(np.sin(omega * frames[1:99] + 0.3)).mean()
    expected = 100 * 4 * np.sin(omega / 2) ** 2 * amplitude * mean_sine / 50
    assert np.mean(values) == pytest.approx(expected, rel=1e-6)


def test_the_error_is_relative_to_the_reference() -> None:
    points = np.zeros((3, 3, 68, 2))
    points[:, :, 45, 0] = 100.0
    points[1, 1] += [0.0, 3.0]  # moves alone
    points[:, 2] = points[:, 0]
    points[1, [0, 2]] += [4.0, 0.0]  # moves with the reference
    own, error = landmark_jitter(points, EVEN)
    assert own == pytest.approx([8, 6, 8])
    assert error == pytest.approx([0, 10, 0])


def test_uniform_motion_has_no_jitter_at_a_varying_frame_rate() -> None:
    times = (Fraction(0), Fraction(1, 50), Fraction(1, 10))
    points = np.stack([np.full((1, 68, 2), 7.0 * float(time)) for time in times])
    assert second_difference(points, times) == pytest.approx(np.zeros((1, 68, 2)))
    assert np.abs(second_difference(points, EVEN)).min() > 0.1
    bent = points.copy()
    bent[1] += 1.0
    assert second_difference(bent, times) == pytest.approx(np.full((1, 68, 2), -2.0))


def test_jitter_is_undefined_where_the_eye_corners_coincide() -> None:
    own, error = landmark_jitter(np.ones((3, 2, 68, 2)), EVEN)
    assert np.isnan(own).all()
    assert np.isnan(error).all()


def test_points_are_located_in_the_frame(tmp_path: Path, face: Picture) -> None:
    offsets = np.linspace(0.1, 0.9, 136)
    network = FrameLandmarks(write_points_onnx(tmp_path / "points.onnx", [0.0] * 136, offsets))
    to_template = np.array([[2.0, 0.0, -60.0], [0.0, 2.0, -80.0]])
    in_template = network.locate(face[None], Alignment(np.eye(2, 3)))
    found = network.locate(np.stack([face, face]), Alignment(to_template))
    assert found.shape == (2, 68, 2)
    assert np.array_equal(found[0], found[1])
    back = found[0] @ to_template[:, :2].T + to_template[:, 2]
    assert back == pytest.approx(in_template[0])
