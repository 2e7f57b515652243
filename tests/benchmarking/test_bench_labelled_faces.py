"""Recall on labelled pictures: matching, arithmetic, and tables that cannot be read."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from jdsr_cli.benchmarking.labelled_faces import (
    Box,
    DetectorRecall,
    LabelledBox,
    ScoredDetection,
    best_match,
    evenly_spaced,
    match_detections,
    measure_recall,
    read_boxes,
    recall_at,
)
from jdsr_cli.errors import DatasetError, InputMissingError
from jdsr_cli.faces import Detection

HEADER = "file,width,height,label,xmin,ymin,xmax,ymax\n"


def face(box: Box, score: float) -> Detection:
    return Detection(box, np.zeros((5, 2), np.float32), score)


def write_table(folder: Path, *rows: str) -> Path:
    path = folder / "boxes.csv"
    path.write_text(HEADER + "".join(f"{row}\n" for row in rows), encoding="utf-8")
    return path


def test_boxes_are_read_by_file_in_order(tmp_path: Path) -> None:
    table = write_table(tmp_path, "b.png,9,9,bare,0,0,20,20", "a.png,9,9,masked,1,2,3,4.5")
    assert read_boxes(table) == {
        "a.png": [LabelledBox((1.0, 2.0, 3.0, 4.5), "masked")],
        "b.png": [LabelledBox((0.0, 0.0, 20.0, 20.0), "bare")],
    }
    assert list(read_boxes(table)) == ["a.png", "b.png"]


@pytest.mark.parametrize(
    "content", ["file,label\na.png,bare\n", HEADER + "a.png,1,1,bare,x,0,1,1\n", HEADER]
)
def test_other_tables_are_errors(content: str, tmp_path: Path) -> None:
    (tmp_path / "boxes.csv").write_text(content)
    with pytest.raises(DatasetError):
        read_boxes(tmp_path / "boxes.csv")


def test_a_missing_table_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputMissingError):
        read_boxes(tmp_path / "boxes.csv")


def test_pictures_are_evenly_spaced() -> None:
    labelled: dict[str, list[LabelledBox]] = {str(number): [] for number in range(10)}
    assert list(evenly_spaced(labelled, 3)) == ["0", "3", "6"]
    assert len(evenly_spaced(labelled, 99)) == 10


def test_the_best_match_overlaps_enough() -> None:
    box = (0.0, 0.0, 10.0, 10.0)
    assert best_match(box, [(8.0, 0.0, 18.0, 10.0), (1.0, 0.0, 11.0, 10.0)]) == 1
    assert best_match(box, [(6.0, 0.0, 16.0, 10.0)]) is None
    assert best_match(box, []) is None


def test_a_face_is_matched_once_and_narrow_ones_do_not_count() -> None:
    boxes = [LabelledBox((0.0, 0.0, 20.0, 20.0), ""), LabelledBox((50.0, 0.0, 58.0, 8.0), "")]
    detections = [
        face((0.0, 0.0, 19.0, 20.0), 0.8),
        face((1.0, 0.0, 20.0, 20.0), 0.9),
        face((50.0, 0.0, 58.0, 8.0), 0.7),
        face((80.0, 0.0, 85.0, 5.0), 0.6),
    ]
    assert match_detections(detections, boxes) == [
        ScoredDetection(0.9, True),
        ScoredDetection(0.8, False),
    ]


def test_recall_is_the_best_with_the_allowed_false_detections() -> None:
    scored = [
        ScoredDetection(score, true)
        for score, true in ((0.9, True), (0.8, False), (0.7, True), (0.6, False), (0.5, True))
    ]
    assert recall_at(scored, pictures=10, faces=4) == DetectorRecall(0.5, 0.7)
    assert recall_at(scored, pictures=1, faces=4) == DetectorRecall(0.25, 0.9)
    assert recall_at(scored, pictures=20, faces=4) == DetectorRecall(0.75, 0.5)
    assert recall_at([], pictures=1, faces=1) == DetectorRecall(0.0, 1.0)


class FixedDetector:
    """Finds the same face in every picture."""

    name = "fixed"

    def detect(self, images: Sequence[NDArray[np.uint8]]) -> list[list[Detection]]:
        return [[face((10.0, 10.0, 30.0, 30.0), 0.9)] for _ in images]


def test_recall_is_measured_on_a_folder(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        Image.new("RGB", (64, 64)).save(tmp_path / name)
    table = write_table(tmp_path, "a.png,64,64,bare,10,10,30,30", "b.png,64,64,bare,40,40,60,60")
    found = measure_recall(FixedDetector(), tmp_path, read_boxes(table))
    # The second picture's detection has the same score and is false, so that it ends the search.
    assert found == DetectorRecall(0.5, 0.9)


def test_a_folder_with_narrow_faces_only_is_an_error(tmp_path: Path) -> None:
    table = write_table(tmp_path, "a.png,64,64,bare,10,10,15,15")
    with pytest.raises(DatasetError, match="no face is at least 10 px wide"):
        measure_recall(FixedDetector(), tmp_path, read_boxes(table))
