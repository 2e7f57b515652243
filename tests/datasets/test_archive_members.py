"""Archives of faces whose members lead out of their folder write nothing there."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from PIL import Image

from jdsr_cli.datasets.preparation import open_faces
from jdsr_cli.errors import JdsrError


def regular(name: str) -> tarfile.TarInfo:
    return tarfile.TarInfo(name)


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


MEMBERS: dict[str, Callable[[Path], list[tarfile.TarInfo]]] = {
    "above": lambda _: [regular("../../evil.png")],
    "absolute": lambda outside: [regular(str(outside / "evil.png"))],
    "link": lambda outside: [link("door", str(outside)), regular("door/evil.png")],
    "hard link": lambda outside: [link("evil.png", str(outside / "kept.txt"), tarfile.LNKTYPE)],
    "pipe": lambda _: [link("evil.png", "", tarfile.FIFOTYPE)],
}


@pytest.mark.parametrize("members", MEMBERS.values(), ids=MEMBERS.keys())
def test_members_outside_of_their_folder_write_nothing(
    tmp_path: Path,
    write_faces: Callable[..., Path],
    members: Callable[[Path], list[tarfile.TarInfo]],
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept.txt").write_text("kept")
    faces = write_faces(tmp_path / "deep" / "faces", ("train-0.tar",))
    picture = io.BytesIO()
    Image.new("RGB", (128, 128)).save(picture, format="PNG")
    with tarfile.open(faces / "train-0.tar", "a") as archive:
        for member in members(outside):
            data = picture.getvalue() if member.isreg() else b""
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    keys: tuple[str, ...] = ()
    with suppress(JdsrError):
        keys = open_faces(faces, "train", tmp_path / "deep" / "cache").keys
    assert "evil" not in " ".join(keys)
    assert [path.name for path in outside.iterdir()] == ["kept.txt"]
    assert (outside / "kept.txt").read_text() == "kept"
    names = {path.name for path in tmp_path.rglob("*")}
    assert "evil.png" not in names
    assert "door" not in names
