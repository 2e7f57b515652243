"""Reports as commands write them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema

import jdsr_cli
from jdsr_cli.benchmarking.report import BenchReport, Figure, MeasuredRow

SCHEMA = Path(jdsr_cli.__file__).parent / "schemas" / "bench.schema.json"


def validated(path: Path) -> dict[str, Any]:
    """Return the content of a report, checked with its schema."""
    content: dict[str, Any] = json.loads(path.read_text("utf-8"))
    schema = json.loads(SCHEMA.read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(content)
    return content


def made_report(faces_per_second: float = 10.0, **conditions: object) -> BenchReport:
    rows = (
        MeasuredRow(
            "torch cpu float32 batch 4",
            {"backend": "torch", "batch": 4},
            {"faces_per_second": Figure.of([faces_per_second]), "idle": Figure.of([0.0])},
        ),
        MeasuredRow("torch cuda float32 batch 4", {"backend": "torch"}, unavailable="no device"),
    )
    return BenchReport("generator", conditions, rows, {"cpu": "test"}, {"jdsr": "1"}, "now")
