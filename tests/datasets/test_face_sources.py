"""Faces of an aligned set are selected by the sources from which they come."""

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from jdsr_cli.datasets.face_set import FaceSet
from jdsr_cli.datasets.face_sources import select_sources
from jdsr_cli.errors import DatasetError, UsageError


@pytest.fixture
def data(tmp_path: Path, write_faces: Callable[..., Path]) -> Path:
    """Archives whose table calls the astronaut's pictures web and the others lfw."""
    folder = write_faces(tmp_path / "faces", ("train-0.tar",))
    path = folder / "faces.csv"
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, [*rows[0], "source"])
        table.writeheader()
        table.writerows(
            {**row, "source": "web" if row["key"].startswith("astronaut") else "lfw"}
            for row in rows
        )
    return folder


def test_faces_of_the_named_sources_keep_their_people(data: Path, face_set: FaceSet) -> None:
    faces = replace(face_set, identities=tuple(key[:-1] for key in face_set.keys))
    web = select_sources(faces, data, ["web"])
    assert web.keys == ("astronaut0", "astronaut1", "astronaut2")
    assert web.identities == ("astronaut",) * 3
    assert len(select_sources(faces, data / "train-0.tar", ["lfw", "web"])) == 6


def test_a_source_without_faces_is_an_error_that_names_the_others(
    data: Path, face_set: FaceSet
) -> None:
    with pytest.raises(UsageError, match=r"--sources: .*'celeba'. There are web \(3\), lfw \(3\)"):
        select_sources(face_set, data, ["web", "celeba"])


def test_data_without_a_table_of_sources_is_an_error(data: Path, face_set: FaceSet) -> None:
    path = data / "faces.csv"
    path.write_text("key,person\nastronaut0,one\n", encoding="utf-8")
    with pytest.raises(DatasetError, match="no column 'source'"):
        select_sources(face_set, data, ["web"])
    path.write_bytes(b"key,source\n\xff\xfe,web\n")  # a name that is not UTF-8
    with pytest.raises(UsageError, match="no face of the split comes from"):
        select_sources(face_set, data, ["web"])
    path.write_bytes("key,source\nastronaut0,web\n".encode("utf-16"))
    with pytest.raises(DatasetError, match="cannot be read"):
        select_sources(face_set, data, ["web"])
    path.unlink()
    with pytest.raises(DatasetError, match="no table that names their sources"):
        select_sources(face_set, data, ["web"])
