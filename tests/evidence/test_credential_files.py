"""Files of each container are signed, read back by the library, and changes to them are named."""

from __future__ import annotations

import errno
import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

pytest.importorskip("c2pa", reason="needs the extra provenance")

import c2pa
from certificates import SigningFiles, write_files
from signed_media import ORIGIN, SUFFIXES, decoded, write_media

from jdsr_cli.errors import InputMissingError, OutputError, UsageError
from jdsr_cli.evidence.credentials import (
    Credentials,
    CredentialSigner,
    library,
    read_credentials,
    sidecar_of,
)
from jdsr_cli.evidence.credentials.library import make_context, media_type_of
from jdsr_cli.evidence.manifest import CAUTION, DIGITAL_SOURCE


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> SigningFiles:
    return write_files(tmp_path_factory.mktemp("keys"), levels=2)


@pytest.fixture(scope="module")
def signer(files: SigningFiles) -> CredentialSigner:
    return CredentialSigner.open(*files.pair)


@pytest.fixture
def picture(tmp_path: Path, signer: CredentialSigner) -> Path:
    path = write_media(tmp_path / "restored.png")
    signer.sign(path, ORIGIN)
    return path


def report(path: Path) -> dict[str, Any]:
    """Return what the library itself reads from a file."""
    beside = sidecar_of(path)
    store = beside.read_bytes() if beside.exists() else None
    with path.open("rb") as source:
        reader = c2pa.Reader(media_type_of(path), source, store, context=make_context())
        with reader:
            read: dict[str, Any] = json.loads(reader.json())
    return read


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_container_is_signed_and_read_back(
    tmp_path: Path, signer: CredentialSigner, files: SigningFiles, suffix: str
) -> None:
    path = write_media(tmp_path / f"restored{suffix}")
    before, pictures = path.read_bytes(), decoded(path)
    written = signer.sign(path, ORIGIN)
    assert decoded(path) == pictures
    if suffix == ".mkv":
        assert (written, path.read_bytes()) == ((path, tmp_path / "restored.mkv.c2pa"), before)
    else:
        assert (written, path.read_bytes() == before) == ((path,), False)
    assert sorted(tmp_path.iterdir()) == sorted(written)

    read = report(path)
    assert read["validation_state"] == "Valid"
    (manifest,) = read["manifests"].values()
    assert (manifest["claim_version"], manifest["title"]) == (2, path.name)
    assert "thumbnail" not in manifest
    (ingredient,) = manifest["ingredients"]
    assert (ingredient["title"], ingredient["relationship"]) == ("Käfer cam.mp4", "parentOf")
    assert "ab" * 32 in ingredient["description"]
    assertions = {one["label"]: one["data"] for one in manifest["assertions"]}
    opened, edited = assertions["c2pa.actions.v2"]["actions"]
    assert (opened["action"], edited["action"]) == ("c2pa.opened", "c2pa.edited")
    assert edited["digitalSourceType"] == DIGITAL_SOURCE
    assert edited["softwareAgent"]["name"] == "jdsr"
    stated = assertions["jdsr.restoration"]
    assert stated["statement"] == CAUTION
    assert stated["weights"] == {
        "name": "own.safetensors", "file": "own.safetensors", "sha256": "cd" * 32,
        "available_for_fused_faces": None,
    }  # fmt: skip

    found = read_credentials(path)
    assert found.state == "valid, signer not on the trust list"
    assert (found.subject, found.issuer) == (
        "C=GB, O=Tests, CN=Unit 7",
        "C=GB, O=Tests, CN=Intermediate 1",
    )
    assert (found.algorithm, found.beside) == ("es256", suffix == ".mkv")
    assert found.time is not None
    assert datetime.fromisoformat(found.time) <= datetime.now(UTC)
    assert read_credentials(path, files.root).state == "valid"


@pytest.mark.parametrize("kind", ["p384", "ed25519", "rsa2048"])
def test_every_kind_of_key_signs_a_video(tmp_path: Path, kind: str) -> None:
    files = write_files(tmp_path / "keys", kind=kind)
    path = write_media(tmp_path / "a.mp4")
    CredentialSigner.open(*files.pair).sign(path, ORIGIN)
    assert read_credentials(path, files.root).state == "valid"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_nothing_private_is_in_a_signed_file(
    tmp_path: Path, signer: CredentialSigner, suffix: str
) -> None:
    path = write_media(tmp_path / f"overlay{suffix}")
    content = b"".join(one.read_bytes() for one in signer.sign(path, ORIGIN, "overlay"))
    private = (b"/srv", b"case 12", bytes(tmp_path), bytes(Path.home()), b"PRIVATE")
    assert [word for word in private if word in content] == []


def test_an_overlay_is_not_said_to_be_generated(tmp_path: Path, signer: CredentialSigner) -> None:
    path = write_media(tmp_path / "overlay.png")
    signer.sign(path, ORIGIN, "overlay")
    (manifest,) = report(path)["manifests"].values()
    assert DIGITAL_SOURCE not in json.dumps(manifest)
    assert "no face is restored here" in json.dumps(manifest)


def test_a_file_is_signed_again_after_it_was_written_again(
    picture: Path, signer: CredentialSigner
) -> None:
    write_media(picture)
    assert read_credentials(picture) == Credentials("absent")
    signer.sign(picture, ORIGIN)
    assert read_credentials(picture).kind == "untrusted"


def flip(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


CHANGES: dict[str, tuple[Callable[[bytes], int], str]] = {
    "pixel": (lambda data: data.index(b"IDAT") + 400, "the file was changed after it was signed"),
    "text of the claim": (lambda data: data.index(b"restored.png") + 2, "signature was changed"),
    "statement": (
        lambda data: data.index(b"Restored faces are") + 3,
        "a part of the signed statement was changed",
    ),
    "certificate": (lambda data: data.index(b"Unit 7") + 5, "invalid: "),
    "added at the end": (lambda data: len(data) - 2, "the file was changed after it was signed"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_byte_is_named(picture: Path, change: str) -> None:
    position, what = CHANGES[change]
    flip(picture, position(picture.read_bytes()))
    found = read_credentials(picture)
    assert found.kind == "invalid"
    assert what in found.state


@pytest.mark.parametrize("suffix", [".jpg", ".mp4", ".mov", ".mkv"])
def test_changed_pixels_of_other_containers_are_named(
    tmp_path: Path, signer: CredentialSigner, suffix: str
) -> None:
    path = write_media(tmp_path / f"restored{suffix}")
    signer.sign(path, ORIGIN)
    content = path.read_bytes()
    middle = content.index(b"mdat") + 900 if suffix in (".mp4", ".mov") else len(content) - 900
    flip(path, middle)
    assert read_credentials(path).state == "invalid: the file was changed after it was signed"


def test_a_frame_that_was_cut_off_is_noticed(tmp_path: Path, signer: CredentialSigner) -> None:
    path = write_media(tmp_path / "restored.mkv")
    signer.sign(path, ORIGIN)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 100)
    assert read_credentials(path).kind == "invalid"


def test_a_missing_a_damaged_and_a_foreign_sidecar(
    tmp_path: Path, signer: CredentialSigner
) -> None:
    path, other = (write_media(tmp_path / name) for name in ("restored.mkv", "other.mkv"))
    path.write_bytes(path.read_bytes() + b"\xec\x84more")
    store = b""
    for one in (path, other):
        signer.sign(one, ORIGIN)
        store = sidecar_of(one).read_bytes()
    sidecar_of(path).write_bytes(store)
    assert read_credentials(path).state == "invalid: the file was changed after it was signed"
    for content in (b"", b"no credentials", store[:-40], b"\0" * 4096):
        sidecar_of(path).write_bytes(content)
        assert read_credentials(path).kind == "invalid"
    sidecar_of(path).unlink()
    assert read_credentials(path) == Credentials("absent")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.txt", b"text"), ("a.mkv", b""), ("a.avi", b"RIFF\x10\0\0\0AVI "),
        ("unknown", bytes(range(256))),
    ],
)  # fmt: skip
def test_other_files_have_no_credentials(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert read_credentials(tmp_path / name).state == "absent"


@pytest.mark.parametrize("length", [0, 8, 40, 2000])
def test_what_is_left_of_a_signed_picture_never_counts_as_valid(picture: Path, length: int) -> None:
    with picture.open("r+b") as file:
        file.truncate(length)
    assert read_credentials(picture).kind in ("absent", "invalid")


def test_files_and_trust_lists_that_cannot_be_read(tmp_path: Path, picture: Path) -> None:
    with pytest.raises(InputMissingError):
        read_credentials(tmp_path / "absent.png")
    with pytest.raises(UsageError, match="is not a list of certificates"):
        read_credentials(picture, picture)
    with pytest.raises(UsageError, match=r"trust.pem: cannot be read"):
        read_credentials(picture, tmp_path / "trust.pem")


def test_another_authority_does_not_make_a_signer_trusted(tmp_path: Path, picture: Path) -> None:
    other = write_files(tmp_path / "other")
    assert read_credentials(picture, other.root).kind == "untrusted"


def test_without_the_library_nothing_is_checked(
    picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> Any:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(library, "import_module", missing)
    assert read_credentials(picture).state == "not checked: install jdsr[provenance]"


def test_a_certificate_that_has_expired_is_named_by_readers(
    tmp_path: Path, files: SigningFiles
) -> None:
    short = write_files(tmp_path / "short", days=(-1, 1.2 / 86400))
    signer = CredentialSigner.open(*short.pair)
    path = write_media(tmp_path / "a.png")
    signer.sign(path, ORIGIN)
    assert read_credentials(path, short.root).state == "valid"
    while datetime.now(UTC) <= signer.certificate.not_after + timedelta(seconds=1):
        os.sched_yield()
    found = read_credentials(path, short.root)
    assert found.state.startswith("invalid: the certificate has expired, and no timestamp proves")
    with pytest.raises(OutputError, match="the results cannot be signed: the certificate expired"):
        signer.sign(write_media(path), ORIGIN)


def test_a_fault_while_signing_leaves_the_file_as_it_was(
    tmp_path: Path, signer: CredentialSigner, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_media(tmp_path / "a.mp4")
    before = path.read_bytes()
    path.write_bytes(b"no video at all")
    with pytest.raises(OutputError, match=r"a.mp4: cannot be signed \("):
        signer.sign(path, ORIGIN)
    path.write_bytes(before)

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(
        "jdsr_cli.evidence.credentials.signing._WatchedOutput.write",
        lambda self, data: setattr(self, "fault", OSError(errno.ENOSPC, "full")) or full(),
    )
    with pytest.raises(OutputError, match=r"a.mp4: cannot be written: the disk is full"):
        signer.sign(path, ORIGIN)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A socket to which nobody should connect."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.3)
        yield server


def was_contacted(server: socket.socket) -> bool:
    try:
        server.accept()[0].close()
    except TimeoutError:
        return False
    return True


def test_credentials_at_an_address_are_not_fetched(
    tmp_path: Path,
    signer: CredentialSigner,
    listener: socket.socket,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = write_media(tmp_path / "a.jpg")
    definition = ORIGIN.define(path.name, "image/jpeg", "restored")
    remote = tmp_path / "remote.jpg"
    with c2pa.Builder(definition, make_context(verifies_signed=False)) as builder:
        builder.set_no_embed()
        builder.set_remote_url(f"http://127.0.0.1:{listener.getsockname()[1]}/a.c2pa")
        with path.open("rb") as source, remote.open("w+b") as target:
            builder.sign(signer._signer, "image/jpeg", source, target)
    assert not was_contacted(listener)
    found = read_credentials(remote)
    assert found.state == "absent: they are at an address in the network, which is not read"
    assert not was_contacted(listener)

    def read_with_defaults() -> None:
        with suppress(c2pa.C2paError), remote.open("rb") as source:
            c2pa.Reader("image/jpeg", source)

    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    listener.settimeout(10.0)
    thread = Thread(target=read_with_defaults)
    thread.start()
    assert was_contacted(listener), "the library no longer fetches them by default"
    listener.close()
    thread.join()


def test_a_revocation_service_is_not_asked(tmp_path: Path, listener: socket.socket) -> None:
    address = f"http://127.0.0.1:{listener.getsockname()[1]}/ocsp"
    files = write_files(tmp_path / "keys", service=address)
    path = write_media(tmp_path / "a.png")
    CredentialSigner.open(*files.pair).sign(path, ORIGIN)
    assert read_credentials(path, files.root).state == "valid"
    assert not was_contacted(listener)


def test_the_certificate_of_a_signer_is_described(signer: CredentialSigner) -> None:
    assert len(signer.certificate.sha256) == 64
    moved = replace(signer.certificate, path=Path("elsewhere.pem"))
    assert CredentialSigner(moved).subject == signer.subject
