"""Damaged checkpoints are refused; those of earlier versions are read with a note."""

import io
import random
import zipfile
from pathlib import Path

import pytest
import torch

from jdsr_cli.errors import TrainingError
from jdsr_train.training import checkpoint
from jdsr_train.training.trainer import CHECKPOINT

VALUES = torch.arange(1.0, 3000.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / CHECKPOINT
    checkpoint.save(path, {"recipe": {}, "values": VALUES, "step": 7})
    return path


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    """A checkpoint as earlier versions wrote it."""
    path = tmp_path / "earlier.pt"
    torch.save({"recipe": {}, "values": VALUES, "step": 7}, path)
    return path


def flip(path: Path, *places: int) -> None:
    data = bytearray(path.read_bytes())
    for place in places:
        data[place] ^= 1
    path.write_bytes(data)


def place_of_values(path: Path) -> int:
    return path.read_bytes().index(VALUES[:20].numpy().tobytes())


def test_a_checkpoint_has_its_hash_and_is_still_one_of_torch(path: Path) -> None:
    state = checkpoint.read(path)
    assert state[checkpoint.HASHED] is True
    assert torch.equal(state["values"], VALUES)
    assert torch.load(path, weights_only=True)["step"] == 7
    assert zipfile.ZipFile(path).comment.startswith(b"jdsr sha256 ")


def test_two_flipped_bytes_of_the_weights_are_found(path: Path) -> None:
    place = place_of_values(path)
    flip(path, place + 400, place + 4001)
    assert not torch.equal(torch.load(path, weights_only=True)["values"], VALUES)
    with pytest.raises(TrainingError, match=r"checkpoint\.pt: the checkpoint is damaged.*SHA-256"):
        checkpoint.read(path)


def test_no_flipped_byte_goes_unnoticed(path: Path) -> None:
    whole, chosen = path.read_bytes(), random.Random(5)
    places = {*range(300), *range(len(whole) - 300, len(whole))}
    places |= {chosen.randrange(len(whole)) for _ in range(300)}
    for place in sorted(places):
        path.write_bytes(whole)
        flip(path, place)
        with pytest.raises(TrainingError, match="the checkpoint"):
            checkpoint.read(path)


@pytest.mark.parametrize("kind", ["cut", "no hash", "appended", "swapped"])
def test_other_damage_is_found(path: Path, kind: str) -> None:
    data = path.read_bytes()
    middle = place_of_values(path)
    path.write_bytes(
        {
            "cut": data[:-1],
            "no hash": data[:-78] + b"\0\0",
            "appended": data + b"\0",
            "swapped": data[:middle] + data[middle + 8 : middle + 16] + data[middle : middle + 8]
            + data[middle + 16 :],
        }[kind]
    )  # fmt: skip
    with pytest.raises(TrainingError, match="the checkpoint"):
        checkpoint.read(path)


def test_a_checkpoint_of_an_earlier_version_is_read_and_says_so(earlier: Path) -> None:
    state = checkpoint.load(earlier, {})
    assert state[checkpoint.HASHED] is False
    assert torch.equal(state["values"], VALUES)


def test_flipped_bytes_of_an_earlier_version_are_found_by_the_checksums(earlier: Path) -> None:
    flip(earlier, place_of_values(earlier) + 17, place_of_values(earlier) + 4017)
    with pytest.raises(TrainingError, match=r"the checkpoint is damaged.*CRC-32"):
        checkpoint.read(earlier)


def test_an_archive_that_unpacks_to_more_than_its_size_is_refused(earlier: Path) -> None:
    packed = io.BytesIO()
    with (
        zipfile.ZipFile(earlier) as stored,
        zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for entry in stored.infolist():
            zeros = b"\0" * (1 << 20) if entry.filename.endswith("data/0") else None
            archive.writestr(entry.filename, zeros or stored.read(entry))
    earlier.write_bytes(packed.getvalue())
    with pytest.raises(TrainingError, match="the checkpoint cannot be read"):
        checkpoint.read(earlier)
