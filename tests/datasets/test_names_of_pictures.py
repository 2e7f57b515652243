"""Faces whose file names are not UTF-8 are prepared and evaluated; hashes of other names stay."""

import csv
import hashlib
import io
import json
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from command_line import run
from PIL import Image
from recipe_checkpoints import write_checkpoint

from jdsr_cli.datasets.aligned import fingerprint, is_in_split, load_faces
from jdsr_cli.datasets.cropping import PrepareSettings
from jdsr_cli.datasets.face_sources import select_sources
from jdsr_cli.datasets.preparation import open_faces, prepare
from jdsr_cli.evaluation.comparison import compare
from jdsr_cli.evaluation.protocol import eval_masks
from jdsr_cli.file_names import name_bytes
from jdsr_cli.settings import EvalSettings
from jdsr_cli.synthesis.masks import rng_for

NAMES = [b"M\xfcller", b"\xff\xfe", b"Zo\xc3\xab", b"plain", b"half\xe2\x82"]
"""Names in Latin-1, of any bytes, in UTF-8, in ASCII, and with a character that is cut off."""


def stems() -> list[str]:
    return [os.fsdecode(name) for name in NAMES]


@pytest.fixture
def aligned(tmp_path: Path, portraits: list) -> Path:
    """Aligned pictures with their table, one for each of the names."""
    folder = tmp_path / "faces"
    folder.mkdir()
    try:
        (folder / os.fsdecode(b"\xff")).touch()
    except OSError:
        pytest.skip("this file system has UTF-8 names only")
    lines = [
        b"key,source," + b",".join(b"%b_%b" % (part, axis) for part in
            (b"leye", b"reye", b"nose", b"lmouth", b"rmouth") for axis in (b"x", b"y"))
    ]  # fmt: skip
    for number, name in enumerate(NAMES):
        face = portraits[number % len(portraits)]
        Image.fromarray(face.image).save(folder / f"{os.fsdecode(name)}.png")
        points = b",".join(b"%f" % value for value in face.five.ravel().tolist())
        lines.append(name + (b",web," if number else b",lfw,") + points)
    (folder / "faces.csv").write_bytes(b"\n".join(lines) + b"\n")
    return folder


def test_the_bytes_of_names_are_what_is_hashed() -> None:
    assert [name_bytes(one) for one in stems()] == NAMES
    for name in ("000001", "Zoë", "名", "a b"):
        digest = hashlib.sha256(f"7:{name}".encode()).digest()
        expected = np.random.default_rng(int.from_bytes(digest[:8], "little"))
        assert rng_for(name, 7).integers(1 << 40) == expected.integers(1 << 40)
        is_val = hashlib.sha256(name.encode()).digest()[0] % 20 == 0
        assert is_in_split(Path(f"{name}.png"), "val") == is_val
    assert len({int(rng_for(name).integers(1 << 60)) for name in stems()}) == len(NAMES)


def test_aligned_faces_are_read_cached_and_selected(aligned: Path, tmp_path: Path) -> None:
    for _ in range(2):  # written to the cache, and read from it
        assert set(load_faces(aligned, None, tmp_path / "cache").keys) == set(stems())
    before = fingerprint(aligned, None)
    broken = aligned / f"{stems()[0]}.png"
    os.utime(broken, (1, 1))
    assert fingerprint(aligned, None) != before
    splits = [load_faces(aligned, one, tmp_path / "cache").keys for one in ("train",)]
    assert set(splits[0]) <= set(stems())
    faces = load_faces(aligned, None, tmp_path / "cache")
    assert select_sources(faces, aligned, ("lfw",)).keys == (stems()[0],)


def test_archives_have_such_names_as_well(aligned: Path, tmp_path: Path) -> None:
    archive = aligned / "test-0.tar"
    with tarfile.open(archive, "w") as tar:
        for stem in stems():
            data = (aligned / f"{stem}.png").read_bytes()
            member = tarfile.TarInfo(f"{stem}.png")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    assert load_faces(archive, None, tmp_path / "cache").keys == tuple(stems())


@pytest.mark.parametrize("workers", [0, 2])
def test_pictures_are_prepared_and_those_without_a_face_listed(
    aligned: Path, tmp_path: Path, workers: int
) -> None:
    source = tmp_path / "pictures"
    source.mkdir()
    photo = Image.fromarray(skimage.data.astronaut())
    for stem in stems()[:2]:
        photo.save(source / f"{stem}.png")
    empty = os.fsdecode(b"no\xe9face")
    Image.new("RGB", (200, 200)).save(source / f"{empty}.png")
    settings = PrepareSettings(workers=workers)
    found = prepare(source, tmp_path / "out", settings, splits=("all",))
    again = prepare(source, tmp_path / "out", settings, splits=("all",))
    assert (found.counts, found.skipped) == ({"all": 2}, 1)
    assert again == found
    assert b"no\xe9face" in (found.folder / "skipped.csv").read_bytes()
    assert set(open_faces(found.folder, None, tmp_path).keys) == set(stems()[:2])


def test_an_evaluation_writes_the_names(
    aligned: Path, tmp_path: Path, template_folder: Path
) -> None:
    out = tmp_path / "out"
    written = tmp_path / "inputs"
    found = compare(
        EvalSettings(
            aligned, out=out, methods=("bicubic",), scale=4, masks=template_folder, device="cpu",
            write_inputs=written,
        )
    )  # fmt: skip
    assert found.count == len(NAMES)
    with found.per_face.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        assert {row["key"] for row in csv.DictReader(file)} == set(stems())
    assert b",M\xfcller," in found.per_face.read_bytes()
    json.loads(found.results.read_text(encoding="utf-8"))
    assert {path.stem for path in written.iterdir()} == set(stems())
    returned = compare(
        EvalSettings(
            aligned, out=out, methods=(), results=(("own", aligned),), scale=4, device="cpu",
            masks=template_folder,
        )
    )  # fmt: skip
    assert returned.rows[0].estimates["psnr"].mean == np.inf


def test_a_folder_of_masks_may_hold_such_a_file(template_folder: Path, tmp_path: Path) -> None:
    masks = tmp_path / "masks"
    masks.mkdir()
    for path in template_folder.iterdir():
        (masks / path.name).write_bytes(path.read_bytes())
    before = eval_masks(masks)[1]["sha256"]
    assert before == eval_masks(template_folder)[1]["sha256"]
    try:
        (masks / os.fsdecode(b"notes\xfc.txt")).touch()
    except OSError:
        pytest.skip("this file system has UTF-8 names only")
    assert eval_masks(masks)[1]["sha256"] != before


def test_tables_and_the_terminal_show_bytes_of_names(
    aligned: Path, tmp_path: Path, template_folder: Path
) -> None:
    folder, out = (tmp_path / os.fsdecode(name) for name in (b"daten\xfc", b"out\xfc"))
    aligned.rename(folder)
    write_checkpoint(tmp_path / "runs", "paper_x4")
    common = ("--data", folder, "--out", out, "--masks", template_folder, "--device", "cpu")
    result = run("eval", *common, "--table", "2", "--checkpoints", tmp_path / "runs")
    assert result.exit_code == 0, result.output
    assert "data: daten%FC, all faces" in " ".join(result.stdout.split())
    assert f"{tmp_path}/out%FC/table.md" in result.stdout
    assert "daten%FC" in (out / "table.md").read_text(encoding="utf-8")
    result = run("eval", *common, "--compare", "bicubic")
    assert result.exit_code == 0, result.output
    assert f"{tmp_path}/out%FC/results.json" in result.stdout
