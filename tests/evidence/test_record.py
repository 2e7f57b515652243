import csv
import json
from dataclasses import replace
from fractions import Fraction

import numpy as np

from jdsr_cli.evidence import FaceRecord, TrackRecord, round_seconds, table_header, table_row

RECORD = FaceRecord(
    frame=3,
    pts=9009,
    seconds=round_seconds(Fraction(9009, 90000)),
    face=1,
    track=7,
    bridged=False,
    box=(1.0, 2.0, 31.0, 42.0),
    points=((10.0, 12.0), (20.0, 12.0), (15.0, 20.0), (11.0, 28.0), (19.0, 28.0)),
    score=0.9,
    eye_distance=10.0,
    status="restored",
    file="faces/a.png",
)


def test_a_record_is_one_line_of_json() -> None:
    line = RECORD.to_json()
    assert "\n" not in line
    read = json.loads(line)
    assert read["pts"] == 9009
    assert read["seconds"] == 0.1001
    assert read["points"][1] == [20.0, 12.0]


def test_numbers_that_are_not_finite_become_null() -> None:
    record = replace(RECORD, box=(float("nan"), 0.0, float("inf"), 1.0), score=float("nan"))
    read = json.loads(record.to_json())
    assert read["box"] == [None, 0.0, None, 1.0]
    assert read["score"] is None


def test_a_track_is_one_line_of_json() -> None:
    best = ({"file": "faces/ä.png", "frames": (3,)},)
    track = TrackRecord(7, 3, 9, 0.1, 0.3, 6, 1, 5, {"too small": 2}, 0, 0, best=best)
    line = track.to_json()
    assert "\n" not in line
    read = json.loads(line)
    assert read["refused"] == {"too small": 2}
    assert read["best"] == [{"file": "faces/ä.png", "frames": [3]}]
    assert read["fused"] is None


def test_table_has_the_columns_of_the_training_sets() -> None:
    row = table_row('a "b", c', RECORD, np.arange(10.0).reshape(5, 2))
    assert "\n" not in row
    assert "\n" not in table_header()
    (read,) = csv.DictReader([table_header(), row])
    assert read["key"] == 'a "b", c'
    assert (read["frame"], read["track"]) == ("3", "7")
    assert [float(read[name]) for name in ("leye_x", "leye_y", "rmouth_y")] == [0.0, 1.0, 9.0]
