"""Comparison of restored faces with filmed ones by a recognition network."""

import numpy as np
import pytest
import torch
from network_files import RECOGNITION_NETWORKS, write_torchscript

from jdsr_cli.errors import UsageError
from jdsr_cli.faces.embedding import RecognitionNetwork
from jdsr_cli.faces.identity_check import (
    CheckedShot,
    IdentityCheck,
    IdentityFigures,
    restored_where_covered,
)
from jdsr_cli.faces.identity_levels import TABLES, IdentityLevels

Picture = np.ndarray
LOWER = np.zeros((128, 128), np.float32)
LOWER[80:, 30:98] = 1.0
NOTHING = np.zeros((128, 128), np.float32)


@pytest.fixture(scope="module", params=RECOGNITION_NETWORKS)
def network(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> RecognitionNetwork:
    path = tmp_path_factory.mktemp("net") / "net.pt"
    return RecognitionNetwork(write_torchscript(path, RECOGNITION_NETWORKS[request.param]()))


@pytest.fixture(scope="module")
def people(portraits: list) -> dict[str, Picture]:
    """Two pictures of each of two people; those of one person differ by a few pixels."""
    return {face.key: face.image for face in portraits if not face.key.endswith("2")}


def levels(**tables: float) -> IdentityLevels:
    return IdentityLevels(
        "0" * 64, 0.05, (16.0, 128.0), {name: (-1.0, tables.get(name, -1.0)) for name in TABLES}
    )


def embedding(network: RecognitionNetwork, picture: Picture) -> np.ndarray:
    image = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float() / 255
    return network.embed(image)[0].numpy()


def shot(filmed: Picture, restored: Picture, **more: object) -> CheckedShot:
    fields = {"occlusion": NOTHING, "mask": "bare", "width": 128.0, **more}
    return CheckedShot(filmed, restored, **fields)


def test_unchanged_faces_have_a_cosine_of_1_and_others_less(
    network: RecognitionNetwork, people: dict[str, Picture]
) -> None:
    one, other = people["hopper0"], people["astronaut0"]
    same, moved = IdentityCheck(network, None).check([shot(one, one), shot(one, other)])
    assert same.input == pytest.approx(1, abs=1e-4)
    expected = embedding(network, one) @ embedding(network, other)
    assert moved.input == pytest.approx(float(expected), abs=1e-4)
    assert moved.input < 0.9
    assert same.track == moved.track == pytest.approx(float(expected), abs=1e-4)
    assert (same.bare, same.warning, moved.warning) == (None, None, None)


def test_covered_pixels_do_not_count_for_the_input(
    network: RecognitionNetwork, people: dict[str, Picture]
) -> None:
    face = people["hopper0"]
    masked = np.where(LOWER[..., None] > 0, np.uint8([0, 0, 250]), face)
    check = IdentityCheck(network, None)
    covered, visible = (
        check.check([shot(masked, face, occlusion=occlusion, mask="masked")])[0].input
        for occlusion in (LOWER, NOTHING)
    )
    assert covered == pytest.approx(1, abs=2e-3)
    assert visible < 0.95
    stranger = people["astronaut0"]
    (wrong,) = check.check([shot(masked, stranger, occlusion=LOWER, mask="masked")])
    assert wrong.input < covered - 0.02


def test_pictures_are_joined_where_the_face_was_covered() -> None:
    filmed, restored = (np.full((128, 128, 3), level, np.uint8) for level in (40, 200))
    joined = restored_where_covered(filmed, restored, LOWER)
    assert (joined[:70] == 40).all()
    assert (joined[100:, 40:88] == 200).all()
    assert np.array_equal(restored_where_covered(filmed, restored, NOTHING), filmed)


def test_a_shot_is_compared_with_the_mean_of_the_others(
    network: RecognitionNetwork, people: dict[str, Picture]
) -> None:
    pictures = [people[key] for key in ("hopper0", "hopper1", "astronaut1")]
    shots = [shot(one, one) for one in pictures]
    found = IdentityCheck(network, None).check(shots)
    vectors = [embedding(network, one) for one in pictures]
    for index, figures in enumerate(found):
        mean = np.mean(vectors[:index] + vectors[index + 1 :], axis=0)
        expected = vectors[index] @ mean / np.linalg.norm(mean)
        assert figures.track == pytest.approx(float(expected), abs=1e-4)
    assert found[2].track < min(found[0].track, found[1].track)
    (alone,) = IdentityCheck(network, None).check(shots[:1])
    assert alone.track is None
    fused = IdentityCheck(network, None).check_one(shots[0], shots[1:])
    assert fused == found[0]


@pytest.mark.parametrize(("mask", "compared"), [("masked", True), ("unsure", True), (None, True),
                                                ("bare", False)])  # fmt: skip
def test_faces_that_may_wear_a_mask_are_compared_with_the_bare_one(
    network: RecognitionNetwork, people: dict[str, Picture], mask: str | None, compared: bool
) -> None:
    one, bare = people["hopper0"], people["hopper1"]
    (figures,) = IdentityCheck(network, None).check([shot(one, one, mask=mask)], bare)
    expected = float(embedding(network, one) @ embedding(network, bare))
    assert figures.bare == (pytest.approx(expected, abs=1e-4) if compared else None)


def test_a_cosine_below_its_level_gives_a_warning(
    network: RecognitionNetwork, people: dict[str, Picture]
) -> None:
    one, other = people["hopper0"], people["astronaut0"]
    bad = shot(one, other, mask="masked")
    cosine = IdentityCheck(network, None).check([bad])[0].input

    def warning(given: CheckedShot, table: str, level: float, **more: Picture) -> str | None:
        check = IdentityCheck(network, levels(**{table: level}))
        return check.check([given, shot(one, one)], **more)[0].warning

    text = warning(bad, "input_masked", cosine + 0.002)
    assert text is not None
    assert f"the filmed face, over what was visible (cosine {cosine:.2f}" in text
    assert "95% of faithful restorations of faces 128 px wide" in text
    assert "another person" in text
    assert warning(bad, "input_masked", cosine - 0.002) is None
    assert warning(bad, "input_bare", 1.0) is None
    assert warning(shot(one, other), "input_bare", 1.0) is not None
    narrow = shot(one, other, mask="masked", width=16.0)
    assert warning(narrow, "input_masked", 1.0) is None  # the level of 16 px is -1
    assert "other shots of the track" in str(warning(bad, "track_masked", 1.0))
    assert "without a mask" in str(warning(bad, "bare", 1.0, bare=one))
    assert warning(bad, "bare", 1.0) is None  # nobody is bare


def test_figures_do_not_depend_on_how_many_faces_are_checked(
    network: RecognitionNetwork, people: dict[str, Picture]
) -> None:
    one, other = people["hopper0"], people["astronaut0"]
    check = IdentityCheck(network, levels(input_bare=0.99))
    several = check.check([shot(one, other), shot(one, one), shot(other, one)])
    alone = [check.check([each])[0] for each in (shot(one, other), shot(one, one))]
    assert [each.input for each in several[:2]] == [each.input for each in alone]
    assert check.check([]) == []


def test_figures_have_the_fields_of_the_record() -> None:
    figures = IdentityFigures(0.5, None, -0.25, "less like")
    assert figures.fields() == {
        "input": 0.5, "track": None, "bare": -0.25, "warning": "less like",
    }  # fmt: skip


def test_the_note_says_whether_there_are_levels(network: RecognitionNetwork) -> None:
    assert "without warnings" in IdentityCheck(network, None).note
    assert "net.pt.levels.toml" in IdentityCheck(network, None).note
    assert "95% of faithful restorations" in IdentityCheck(network, levels()).note


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("filmed", np.zeros((64, 64, 3), np.uint8)),
        ("restored", np.zeros((128, 128, 3), np.float32)),
        ("restored", np.zeros((128, 128), np.uint8)),
        ("occlusion", np.zeros((32, 32), np.float32)),
        ("occlusion", np.full((128, 128), np.nan, np.float32)),
        ("width", 0.0),
        ("width", float("nan")),
    ],
)
def test_unusable_shots_are_refused(field: str, value: object) -> None:
    fields = {
        "filmed": np.zeros((128, 128, 3), np.uint8), "restored": np.zeros((128, 128, 3), np.uint8),
        "occlusion": NOTHING, "mask": "bare", "width": 64.0,
    }  # fmt: skip
    CheckedShot(**fields)
    with pytest.raises(UsageError, match=r"checked face"):
        CheckedShot(**{**fields, field: value})


def test_a_bare_picture_of_another_size_is_refused(
    network: RecognitionNetwork, people: dict[str, Picture]
) -> None:
    one = people["hopper0"]
    with pytest.raises(UsageError, match="'bare'"):
        IdentityCheck(network, None).check([shot(one, one, mask="masked")], one[:64])
