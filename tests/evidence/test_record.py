import csv
import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from jdsr_cli.evidence import FaceRecord, RecordWriter, TableWriter, round_seconds, table_row
from jdsr_cli.evidence.table import COLUMNS

RECORD = FaceRecord(
    frame=3,
    pts=9009,
    seconds=round_seconds(Fraction(9009, 90000)),
    face=1,
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


def test_writer_appends_and_closes(tmp_path: Path) -> None:
    with RecordWriter(tmp_path / "faces.jsonl") as writer:
        writer.write(RECORD)
        writer.write(replace(RECORD, face=2))
    lines = (tmp_path / "faces.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["face"] for line in lines] == [1, 2]


def test_writer_out_of_its_block_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="with block"):
        RecordWriter(tmp_path / "x").write(RECORD)


def test_table_has_the_columns_of_the_training_sets(tmp_path: Path) -> None:
    row = table_row("clip_frame000003_face01", RECORD, np.arange(10.0).reshape(5, 2))
    assert len(row) == len(COLUMNS)
    table = TableWriter(tmp_path / "faces.csv")
    table.write([row])
    table.write([])
    table.write([row])
    with (tmp_path / "faces.csv").open(newline="", encoding="utf-8") as file:
        read = list(csv.DictReader(file))
    assert len(read) == 2
    assert read[1]["key"] == "clip_frame000003_face01"
    assert [float(read[0][name]) for name in ("leye_x", "leye_y", "rmouth_y")] == [0.0, 1.0, 9.0]
