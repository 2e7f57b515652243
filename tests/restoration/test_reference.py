"""Runs with a photograph of the second person, and a network that compares mean colours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from network_files import write_torchscript
from numpy.typing import NDArray
from PIL import Image
from private_runs import done, manifest
from suite_clips import WALK, lines, walk
from test_assistance import interrupt

from jdsr_cli.errors import InputError, InputMissingError, UsageError
from jdsr_cli.media import Reader
from jdsr_cli.progress import Silent
from jdsr_cli.restoration import crop_faces, reference
from jdsr_cli.restoration.models import open_models
from jdsr_cli.settings import CropSettings, PrivacySettings

Picture = NDArray[np.uint8]


@pytest.fixture(scope="module")
def walk_clip(
    tmp_path_factory: pytest.TempPathFactory, astronaut: Picture, hopper: Picture
) -> Path:
    return walk(tmp_path_factory.mktemp("reference") / "walk.mkv", astronaut, hopper)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_torchscript(tmp_path_factory.mktemp("network") / "quadrants.pt")


def reference_settings(network: Path, photo: Path, **changes: Any) -> CropSettings:
    privacy = PrivacySettings(reference=str(photo), reference_level=0.9, blur_others=True)
    return CropSettings(
        detector="centerface", detection_scale=0.5, device="cpu", segment=8,
        identity=str(network), privacy=replace(privacy, **changes),
    )  # fmt: skip


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_the_person_of_the_photograph_is_selected(
    walk_clip: Path, tmp_path: Path, network: Path, hopper: Picture, suffix: str
) -> None:
    photo = tmp_path / f"secret-name.{suffix}"
    Image.fromarray(hopper).save(photo)
    folder = done(
        crop_faces([walk_clip], tmp_path / "out", reference_settings(network, photo)).results
    )
    people = manifest(folder)["figures"]["people"]
    assert list(people["selected"]) == ["2"]
    assert people["selected"]["2"] > 0.9 > people["nearest_other"]
    assert len(list(folder.glob("*track0002*.png"))) == len(list(folder.glob("*.png"))) == 6
    reasons = {one["reason"] for one in lines(folder / "faces.jsonl") if one["track"] == 1}
    (reason,) = reasons
    assert "less than 0.9 (--reference-level)" in reason
    text = (folder / "manifest.json").read_text()
    assert "secret-name" not in text
    assert manifest(folder)["detector"]["reference_sha256"] in text


def test_nobody_is_selected_above_every_similarity(
    walk_clip: Path, tmp_path: Path, network: Path, hopper: Picture
) -> None:
    photo = tmp_path / "photo.png"
    Image.fromarray(hopper).save(photo)
    settings = reference_settings(network, photo, reference_level=1.0, blur_others=False)
    (result,) = crop_faces([walk_clip], tmp_path / "out", settings).results
    assert result.counts is not None
    assert result.counts.faces_restored == 0
    (note,) = [one for one in result.notes if "--reference" in one]
    assert note.startswith("nobody is like the person of --reference: the most similar track")


def test_another_photograph_is_another_request(
    walk_clip: Path, tmp_path: Path, network: Path, hopper: Picture, astronaut: Picture
) -> None:
    photo = tmp_path / "photo.png"
    Image.fromarray(hopper).save(photo)
    settings = reference_settings(network, photo)
    workspace = interrupt(walk_clip, tmp_path / "out", settings, frames=WALK + 4 + 10)
    moved = photo.rename(tmp_path / "moved.png")
    Image.fromarray(astronaut).save(photo)
    (result,) = crop_faces([walk_clip], tmp_path / "out", replace(settings, resume=True)).results
    assert result.error is not None
    assert "detector" in str(result.error)
    again = replace(settings, resume=True, privacy=replace(settings.privacy, reference=str(moved)))
    done(crop_faces([walk_clip], tmp_path / "out", again).results)
    assert not workspace.work.exists()


def test_a_photograph_that_changes_while_it_is_read_is_refused(
    walk_clip: Path,
    tmp_path: Path,
    network: Path,
    hopper: Picture,
    astronaut: Picture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    photo = tmp_path / "photo.png"
    Image.fromarray(hopper).save(photo)
    opener = reference.open_reader

    def replace_and_open(path: Path) -> Reader:
        Image.fromarray(astronaut).save(path)
        return opener(path)

    monkeypatch.setattr(reference, "open_reader", replace_and_open)
    with pytest.raises(InputError, match="changed while it was read"):
        crop_faces([walk_clip], tmp_path / "out", reference_settings(network, photo))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda a, h: np.full_like(a, 90), "no face is found"),
        (lambda a, h: np.hstack([a, h]), "faces, the widest of similar size"),
        (lambda a, h: cv2.resize(a, (60, 60), interpolation=cv2.INTER_AREA), "less than 32 px"),
        (lambda a, h: cv2.GaussianBlur(h, (0, 0), 8.0), "cannot be"),
    ],
    ids=["none", "several", "small", "blurred"],
)
def test_an_unusable_photograph_is_refused(
    walk_clip: Path, tmp_path: Path, network: Path, astronaut: Picture, hopper: Picture,
    make: Callable[[Picture, Picture], Picture], reason: str,
) -> None:  # fmt: skip
    photo = tmp_path / "photo.png"
    Image.fromarray(make(astronaut, hopper)).save(photo)
    with pytest.raises(UsageError, match=reason) as caught:
        crop_faces([walk_clip], tmp_path / "out", reference_settings(network, photo))
    assert "--reference: photo.png cannot be used" in str(caught.value)


def test_a_large_face_wins_over_a_small_one_and_a_clip_is_no_photograph(
    tmp_path: Path, network: Path, astronaut: Picture, hopper: Picture, walk_clip: Path
) -> None:
    small = cv2.resize(hopper, (60, 60), interpolation=cv2.INTER_AREA)
    large = cv2.resize(astronaut, (360, 360), interpolation=cv2.INTER_CUBIC)
    scene = np.full((360, 480, 3), 90, np.uint8)
    scene[:, :360], scene[20:80, 400:460] = large, small
    photo = tmp_path / "photo.png"
    Image.fromarray(scene).save(photo)
    found = open_models(reference_settings(network, photo), Silent()).reference
    Image.fromarray(large).save(photo)
    alone = open_models(reference_settings(network, photo), Silent()).reference
    assert found is not None
    assert alone is not None
    assert float(found.embedding @ alone.embedding) > 0.95
    with pytest.raises(UsageError, match="no still picture"):
        open_models(reference_settings(network, walk_clip), Silent())
    with pytest.raises(InputMissingError):
        open_models(reference_settings(network, tmp_path / "absent.png"), Silent())
