"""The fast acceptance of records agrees with jsonschema."""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

import jdsr_cli
from jdsr_cli.evidence.schemas import RecordSchema, _compile, record_schema

SCHEMAS = Path(jdsr_cli.__file__).parent / "schemas"
FACES = json.loads((SCHEMAS / "faces.schema.json").read_text("utf-8"))
FACE: dict[str, Any] = {
    "frame": 0, "pts": 0, "seconds": 0.0, "face": 1, "track": 1, "bridged": False,
    "box": [1.0, 2, 3.5, None], "points": [[1.0, 2.0]] * 5, "score": 0.5, "eye_distance": 9.0,
    "status": "refused", "native_width": None, "sharpness": 0.1, "yaw": -3.0, "pitch": 2.0,
    "roll": 0.0, "residual": 0.1, "window": None, "covered": None, "mask": None,
    "mask_probability": None, "masked": None, "quality": None, "reason": "too small",
    "file": None, "sha256": None,
    "occlusion": None, "replaced": None, "redone_in_float32": False,
}  # fmt: skip
values = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 3) | st.floats(-1, 2) | st.text(max_size=3)
    | st.sampled_from(["masked", "restored", "0" * 64, 1.0, 0.0]),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=6,
)  # fmt: skip


def test_a_record_is_accepted_without_jsonschema(monkeypatch: pytest.MonkeyPatch) -> None:
    schema = RecordSchema("faces")
    monkeypatch.setattr(schema, "_validator", None)
    assert schema.faults(FACE) == []


@settings(max_examples=150, deadline=None)
@given(name=st.sampled_from([*FACE, "other"]), value=values)
def test_only_valid_records_are_accepted(name: str, value: Any) -> None:
    record = FACE | {name: value}
    valid = Draft202012Validator(FACES).is_valid(record)
    assert (record_schema("faces").faults(record) == []) == valid
    assert valid or not _compile(FACES)(record)


@pytest.mark.parametrize("name", list(FACE))
def test_a_missing_field_is_named(name: str) -> None:
    record = {key: value for key, value in FACE.items() if key != name}
    (fault,) = record_schema("faces").faults(record)
    assert name in fault


@pytest.mark.parametrize("value", [True, "1", None, -1, 0.5, [1]])
def test_a_value_of_another_type_or_range_is_named(value: object) -> None:
    (fault,) = record_schema("faces").faults(FACE | {"frame": value})
    assert fault.startswith("frame: ")


@pytest.mark.parametrize("value", [[], "text", None, 3])
def test_what_is_no_object_is_no_record(value: object) -> None:
    assert record_schema("faces").faults(value)
    assert record_schema("tracks").faults(value)


def test_a_long_fault_is_shortened() -> None:
    record = deepcopy(FACE)
    record["reason"] = ["x" * 5000]
    (fault,) = record_schema("faces").faults(record)
    assert len(fault) <= 200
