import csv
import json
from pathlib import Path

import numpy as np
import pytest

from jdsr_cli.faces import TEMPLATE
from jdsr_cli.media import read_image, write_image
from jdsr_cli.restoration import crop_faces
from jdsr_cli.settings import CropSettings

SETTINGS = CropSettings(detector="centerface", device="cpu")


def test_crops_and_their_landmarks_are_written(clip: Path, tmp_path: Path) -> None:
    summary = crop_faces([clip], tmp_path, SETTINGS)
    folder = tmp_path / "street"
    assert summary.exit_code == 0
    counts = summary.results[0].counts
    assert counts is not None
    assert counts.faces_restored == 12
    with (folder / "faces.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12
    for row in rows:
        assert read_image(folder / f"{row['key']}.png").shape == (128, 128, 3)
        eyes = [float(row[name]) for name in ("leye_x", "leye_y", "reye_x", "reye_y")]
        assert eyes == pytest.approx(TEMPLATE[:2].ravel().tolist(), abs=8.0)
    lines = [json.loads(line) for line in (folder / "faces.jsonl").read_text().splitlines()]
    assert {line["status"] for line in lines} == {"exported"}
    assert {Path(line["file"]).stem for line in lines} == {row["key"] for row in rows}


def test_crop_size_and_detection_interval_apply(clip: Path, tmp_path: Path) -> None:
    settings = CropSettings(detector="centerface", device="cpu", size=64, detect_every=4)
    summary = crop_faces([clip], tmp_path, settings)
    folder = tmp_path / "street"
    pictures = sorted(path.name for path in folder.glob("*.png"))
    assert pictures == [
        f"street_track000{track}_frame00000{frame}.png" for track in (1, 2) for frame in (0, 4)
    ]
    assert read_image(folder / pictures[0]).shape == (64, 64, 3)
    assert summary.results[0].counts is not None
    assert summary.results[0].counts.frames_read == 6


def test_refused_faces_are_recorded_and_not_exported(tmp_path: Path, astronaut: np.ndarray) -> None:
    write_image(tmp_path / "face.png", astronaut)
    settings = CropSettings(detector="centerface", device="cpu", min_face=100.0)
    crop_faces([tmp_path / "face.png"], tmp_path / "out", settings)
    folder = tmp_path / "out" / "face"
    assert not list(folder.glob("*.png"))
    (line,) = (folder / "faces.jsonl").read_text().splitlines()
    assert "--min-face" in json.loads(line)["reason"]
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["command"] == "crop-faces"
    assert manifest["counts"]["refusals"] == {"too small": 1}


def test_an_unreadable_input_does_not_stop_the_others(tmp_path: Path, clip: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"")
    assert crop_faces([tmp_path / "broken.mp4", clip], tmp_path / "out", SETTINGS).exit_code == 4


def test_the_training_code_reads_the_folder(clip: Path, tmp_path: Path) -> None:
    from jdsr_cli.datasets.aligned import load_faces

    crop_faces([clip], tmp_path / "out", SETTINGS)
    faces = load_faces(tmp_path / "out" / "street", None, tmp_path / "cache")
    assert len(faces) == 12
    assert faces.images.shape == (12, 128, 128, 3)
