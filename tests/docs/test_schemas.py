"""The JSON schemas describe exactly the fields that are written."""

import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import jsonschema
import pytest

import jdsr_cli
from jdsr_cli import Counts, CropSettings, RestoreSettings, crop_faces, restore
from jdsr_cli.evidence import FaceRecord, Manifest, Status, TrackRecord
from jdsr_cli.faces.occlusion import MaskState
from jdsr_cli.media import MediaInfo

SCHEMAS = Path(jdsr_cli.__file__).parent / "schemas"
LOCAL_PATHS = {"path", "salvaged_copy", "recording"}


def schema(name: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((SCHEMAS / f"{name}.schema.json").read_text("utf-8"))
    return read


def validate(name: str, instance: object) -> None:
    jsonschema.Draft202012Validator(schema(name)).validate(instance)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


@pytest.fixture(scope="module")
def results(
    clip: Path, tiny_weights: Callable[[int], Path], tmp_path_factory: pytest.TempPathFactory
) -> list[Path]:
    """The results of two runs: one with restored and refused faces, one with exported faces."""
    restored, exported = (tmp_path_factory.mktemp(name) for name in ("restored", "exported"))
    settings = RestoreSettings(
        weights=str(tiny_weights(64)),
        detector="centerface",
        device="cpu",
        crops="all",
        min_face=40.0,
    )
    crops = CropSettings(detector="centerface", device="cpu")
    assert restore([clip], restored, settings).exit_code == 0
    assert crop_faces([clip], exported, crops).exit_code == 0
    return [restored / clip.stem, exported / clip.stem]


@pytest.mark.parametrize("name", ["faces", "tracks", "manifest"])
def test_schema_is_valid(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(schema(name))


def test_records_of_runs_match_the_schemas(results: list[Path]) -> None:
    faces = [face for folder in results for face in lines(folder / "faces.jsonl")]
    assert {face["status"] for face in faces} == set(get_args(Status))
    for face in faces:
        validate("faces", face)
    for folder in results:
        for track in lines(folder / "tracks.jsonl"):
            validate("tracks", track)
        validate("manifest", json.loads((folder / "manifest.json").read_text("utf-8")))


def test_a_record_with_an_unknown_or_a_missing_field_does_not_match(results: list[Path]) -> None:
    face = lines(results[0] / "faces.jsonl")[0]
    with pytest.raises(jsonschema.ValidationError, match="extra"):
        validate("faces", face | {"extra": 1})
    del face["track"]
    with pytest.raises(jsonschema.ValidationError, match="track"):
        validate("faces", face)


@pytest.mark.parametrize(
    ("name", "record"), [("faces", FaceRecord), ("tracks", TrackRecord), ("manifest", Manifest)]
)
def test_schema_has_the_fields_of_the_record(name: str, record: type) -> None:
    described = schema(name)
    assert list(described["properties"]) == [field.name for field in fields(record)]
    assert described["required"] == list(described["properties"])


def test_manifest_schema_has_the_fields_of_media_and_counts() -> None:
    described = schema("manifest")["properties"]
    media = {field.name for field in fields(MediaInfo)} - LOCAL_PATHS
    assert set(described["media"]["properties"]) == media
    assert set(described["counts"]["properties"]) == {field.name for field in fields(Counts)}


def test_schema_lists_every_status_and_mask_state() -> None:
    described = schema("faces")["properties"]
    assert set(described["status"]["enum"]) == set(get_args(Status))
    assert set(described["mask"]["enum"]) == {*get_args(MaskState), None}
