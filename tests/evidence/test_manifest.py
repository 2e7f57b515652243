import hashlib
import json
from pathlib import Path

import pytest
import torch

import jdsr_cli
from jdsr_cli.errors import InputUnreadableError
from jdsr_cli.evidence import (
    Manifest,
    describe_device,
    digest_file,
    package_versions,
    picture_metadata,
    sha256_file,
)


def test_the_hash_covers_the_whole_file(tmp_path: Path) -> None:
    data = bytes(range(256)) * 9000
    path = tmp_path / "x.bin"
    path.write_bytes(data)
    assert sha256_file(path) == hashlib.sha256(data).hexdigest()
    digest = digest_file(path, "x")
    assert (digest.file, digest.bytes) == ("x", len(data))


def test_the_error_for_a_missing_file_names_it(tmp_path: Path) -> None:
    with pytest.raises(InputUnreadableError, match="absent"):
        sha256_file(tmp_path / "absent.mp4")


def test_manifest_is_json_with_versions_and_time(tmp_path: Path) -> None:
    source = tmp_path / "clip é.mp4"
    source.write_bytes(b"x")
    manifest = Manifest(
        command="restore",
        request="0" * 64,
        input=digest_file(source),
        media={},
        outputs=(),
        settings={"scale": 4},
        detector={"name": "fake"},
        weights=None,
        device=describe_device(torch.device("cpu")),
        counts={},
        figures={"flicker": None},
        seconds={},
        notes=("a note",),
        unread=(),
    )
    manifest.write(tmp_path / "manifest.json")
    read = json.loads((tmp_path / "manifest.json").read_text(encoding="utf-8"))
    assert read["input"]["file"] == str(source)
    assert read["versions"]["jdsr"] == jdsr_cli.__version__
    assert read["versions"]["torch"].startswith(torch.__version__.split("+")[0])
    assert read["created"].endswith("+00:00")
    assert read["device"]["kind"] == "cpu"


def test_every_package_is_listed() -> None:
    versions = package_versions()
    assert {"jdsr", "python", "torch", "av", "numpy"} <= set(versions)
    assert "not installed" not in (versions["torch"], versions["av"])


def test_pictures_declare_their_source_type() -> None:
    packet = picture_metadata("xmp")["xmp"]
    assert "compositeWithTrainedAlgorithmicMedia" in packet
    assert packet.startswith("<?xpacket begin=")
