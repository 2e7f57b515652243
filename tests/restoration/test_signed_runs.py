"""Runs with --sign: what is signed, what the records say, faults, resumption, verification."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

pytest.importorskip("c2pa", reason="needs the extra provenance")

from certificates import SigningFiles, write_files
from command_line import run
from evidence.signed_media import decoded
from PIL import Image
from results_folder import results_in
from suite_clips import WALK, file_hashes, lines, walk, walk_settings

import jdsr_cli
from jdsr_cli import verify
from jdsr_cli.errors import OutputError, UsageError
from jdsr_cli.evidence import MANIFEST, read_manifest, write_sums
from jdsr_cli.evidence.credentials import library, read_trust_list, sidecar_of
from jdsr_cli.evidence.verification import StoredResult, signatures
from jdsr_cli.execution import runs
from jdsr_cli.restoration import plan_restore, restore, result_signer
from jdsr_cli.restoration.result_signer import ResultSigner
from jdsr_cli.settings import ExecutionSettings, RestoreSettings

NOT_TRUSTED = "valid, signer not on the trust list"
SCHEMA = Path(jdsr_cli.__file__).parent / "schemas" / "manifest.schema.json"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> SigningFiles:
    return write_files(tmp_path_factory.mktemp("keys of the unit"))


@pytest.fixture(scope="module")
def settings(tiny_weights: Callable[[int], Path], files: SigningFiles) -> RestoreSettings:
    return walk_settings(tiny_weights(64), overlay=True, sign=files.pair)


@pytest.fixture(scope="module")
def source(
    tmp_path_factory: pytest.TempPathFactory, astronaut: np.ndarray, hopper: np.ndarray
) -> Path:
    return walk(tmp_path_factory.mktemp("walk") / "walk.mkv", astronaut, hopper)


@pytest.fixture(scope="module")
def signed(
    tmp_path_factory: pytest.TempPathFactory, source: Path, settings: RestoreSettings
) -> Path:
    """The result of a signed run; tests must not change it."""
    out = tmp_path_factory.mktemp("signed")
    assert restore([source], out, settings).exit_code == 0
    return out / "walk"


@pytest.fixture
def result(signed: Path, tmp_path: Path) -> Path:
    """A copy of the signed result."""
    return shutil.copytree(signed, tmp_path / "walk")


def check_credentials(folder: Path, trust: Path | None = None) -> list[signatures.CredentialCheck]:
    anchors = None if trust is None else read_trust_list(trust)
    return signatures.check_credentials(StoredResult(folder, jdsr_cli.Silent()), anchors)


def problems(folder: Path) -> dict[str, str]:
    return {one.file: one.state for one in check_credentials(folder) if one.is_problem}


def test_every_picture_and_video_is_signed(signed: Path, files: SigningFiles) -> None:
    suffixes = (".mp4", ".png")
    media = {str(path.relative_to(signed)) for path in signed.rglob("*") if path.suffix in suffixes}
    assert {"restored.mp4", "overlay.mp4", "faces/track0001_best1.png"} < media
    checks = check_credentials(signed)
    assert {one.file for one in checks} == media
    assert {one.state for one in checks} == {NOT_TRUSTED}
    assert {one.state for one in check_credentials(signed, files.root)} == {"valid"}
    assert not any(one.is_problem for one in checks)


def test_records_hold_the_hashes_of_signed_files(signed: Path) -> None:
    recorded = {one["file"]: one["sha256"] for one in read_manifest(signed)["outputs"]}
    for track in lines(signed / "tracks.jsonl"):
        recorded |= {one["file"]: one["sha256"] for one in (*track["best"], track["fused"]) if one}
    assert len(recorded) > 6
    for name, digest in recorded.items():
        assert hashlib.sha256((signed / name).read_bytes()).hexdigest() == digest


def test_the_manifest_names_the_certificate_but_no_file_of_it(
    signed: Path, files: SigningFiles
) -> None:
    manifest = read_manifest(signed)
    jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text())).validate(manifest)
    assert manifest["credentials"]["subject"] == "C=GB, O=Tests, CN=Unit 7"
    assert manifest["credentials"]["algorithm"] == "es256"
    assert len(manifest["credentials"]["certificate_sha256"]) == 64
    assert "sign" not in manifest["settings"]
    for path in signed.rglob("*.*"):
        assert files.key.parent.name.encode() not in path.read_bytes(), path


def test_pictures_are_those_of_a_run_that_is_not_signed(
    signed: Path, source: Path, settings: RestoreSettings, tmp_path: Path
) -> None:
    plain = replace(settings, sign=None)
    assert restore([source], tmp_path, plain).exit_code == 0
    folder = tmp_path / "walk"
    assert read_manifest(folder)["credentials"] is None
    assert check_credentials(folder) == []
    for name in ("restored.mp4", "overlay.mp4", "faces/track0002_fused.png"):
        assert decoded(folder / name) == decoded(signed / name)
    # A signed result is another request than one that is not signed.
    again = restore([source], tmp_path, replace(settings, resume=True)).results[0]
    assert "an earlier result is here already" in str(again.error)
    before = file_hashes(folder)
    assert restore([source], tmp_path, replace(plain, resume=True)).exit_code == 0
    assert file_hashes(folder) == before


def test_every_exported_face_and_a_still_picture_are_signed(
    astronaut: np.ndarray, tmp_path: Path, settings: RestoreSettings
) -> None:
    Image.fromarray(astronaut).save(tmp_path / "photo.png")
    (done,) = restore(
        [tmp_path / "photo.png"], tmp_path / "out", replace(settings, crops="all")
    ).results
    assert done.output is not None
    names = [one.file for one in check_credentials(done.output)]
    faces = ("best1", "best1_occlusion", "filmed", "frame000000", "frame000000_occlusion",
             "timeline")  # fmt: skip
    expected = [f"faces/track0001_{name}.png" for name in faces]
    assert names == [*expected, "overlay.png", "restored.png"]
    assert problems(done.output) == {}
    assert read_manifest(done.output)["credentials"]["files"] == names


def test_the_credentials_of_matroska_are_an_output_beside_it(
    source: Path, tmp_path: Path, settings: RestoreSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    types = {".png": "image/png"}
    monkeypatch.setattr(library, "MEDIA_TYPES", types)
    monkeypatch.setattr(library, "SIDECAR_TYPES", {".mp4": "video/x-matroska"})
    settings = replace(settings, mode="paste", overlay=False)
    (done,) = restore([source], tmp_path, settings).results
    assert done.output is not None
    outputs = [one["file"] for one in read_manifest(done.output)["outputs"]]
    assert outputs[:2] == ["restored.mp4", "restored.mp4.c2pa"]
    assert [one.file for one in check_credentials(done.output)] == ["restored.mp4"]
    assert problems(done.output) == {}
    sidecar_of(done.output / "restored.mp4").unlink()
    assert problems(done.output) == {"restored.mp4": "absent"}


def expire(monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    """Let signing fail for files of a suffix, as if the certificate had expired before them."""
    real = ResultSigner.sign

    def sign(self: ResultSigner, path: Path, *arguments: str) -> tuple[Path, ...]:
        if path.suffix == suffix:
            raise OutputError("the results cannot be signed: the certificate expired", where=path)
        return real(self, path, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(result_signer.ResultSigner, "sign", sign)


def test_a_run_whose_certificate_expires_continues_with_a_renewed_one(
    source: Path,
    tmp_path: Path,
    settings: RestoreSettings,
    signed: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patched:
        expire(patched, ".mp4")
        summary = restore([source], tmp_path / "out", settings)
    error = summary.results[0].error
    assert isinstance(error, OutputError)
    assert summary.exit_code == 6
    assert "cannot be signed: the certificate expired" in str(error)
    assert f"{WALK // 8 * 8} frames are kept" in str(error)
    assert results_in(tmp_path / "out") == [".walk.partial"]

    other = write_files(tmp_path / "other", common="Unit 8")
    resumed = replace(settings, sign=other.pair, resume=True)
    refused = restore([source], tmp_path / "out", resumed).results[0]
    assert "CN=Unit 7" in str(refused.error)
    assert 'is "C=GB, O=Tests, CN=Unit 8"' in str(refused.error)

    renewed = write_files(tmp_path / "renewed")
    (done,) = restore([source], tmp_path / "out", replace(resumed, sign=renewed.pair)).results
    assert done.output is not None
    assert any("signed before the run was resumed, with another" in one for one in done.notes)
    assert problems(done.output) == {}
    names = read_manifest(done.output)["credentials"]["files"]
    assert names == read_manifest(signed)["credentials"]["files"]
    for name in names:
        assert decoded(done.output / name) == decoded(signed / name)


def test_a_picture_that_cannot_be_signed_fails_its_input(
    source: Path, tmp_path: Path, settings: RestoreSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    expire(monkeypatch, ".png")
    (failed,) = restore([source], tmp_path, settings).results
    assert "cannot be signed" in str(failed.error)
    assert results_in(tmp_path) == [".walk.partial"]


def test_a_certificate_that_cannot_be_used_is_found_before_any_work(
    source: Path, tmp_path: Path, settings: RestoreSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    expired = replace(settings, sign=write_files(tmp_path / "old", days=(-9, -1)).pair)

    def started(*_: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(runs, "LocalPool", started)
    for execution in (None, ExecutionSettings(jobs=2)):
        with pytest.raises(UsageError, match=r"chain.pem: the certificate expired on"):
            restore([source], tmp_path / "out", expired, execution=execution)
    with pytest.raises(UsageError, match="expired"):
        plan_restore([source], tmp_path / "out", expired)
    assert results_in(tmp_path / "out") == []


def test_the_command_refuses_a_key_in_one_line_and_shows_nothing_of_it(
    source: Path, tmp_path: Path, files: SigningFiles
) -> None:
    other = write_files(tmp_path / "other", kind="p384")
    shown = run("restore", source, "--out", tmp_path, "--sign", files.certificate, other.key)
    assert shown.exit_code == 2
    assert shown.output.strip().count("\n") == 0
    assert "key.pem: is not the key of the certificate" in shown.output
    assert other.key.read_text().splitlines()[1] not in shown.output


def test_verification_finds_what_was_changed_removed_or_signed_by_another(
    result: Path, tmp_path: Path
) -> None:
    def name(number: int) -> str:
        return f"faces/track0001_best{number}.png"

    changed = bytearray((result / name(1)).read_bytes())
    changed[changed.index(b"IDAT") + 300] ^= 8
    (result / name(1)).write_bytes(changed)
    with Image.open(result / name(2)) as picture:
        picture.load()
    picture.save(result / name(2))
    (result / name(3)).unlink()
    found = problems(result)
    assert found[name(1)] == "invalid: the file was changed after it was signed"
    assert found[name(2)] == "absent"
    # What is missing is named by the check of files.
    assert len(found) == 2

    manifest = read_manifest(result)
    manifest["credentials"]["subject"] = "C=GB, O=Tests, CN=Unit 9"
    (result / "manifest.json").write_text(json.dumps(manifest))
    state = problems(result)["restored.mp4"]
    assert state == (
        "invalid: signed by C=GB, O=Tests, CN=Unit 7, and not by C=GB, O=Tests, CN=Unit 9 as the "
        "manifest states"
    )


@pytest.mark.parametrize(
    "stated",
    [
        "signed", [], 5, {}, {"files": None}, {"files": [1]}, {"files": ["../../etc/passwd"]},
        {"files": ["/etc/passwd"]}, {"files": [""]}, {"files": ["faces"]},
        {"files": ["C:\\a.png"]}, {"files": ["a\0b"]}, {"files": ["a\ud800"]},
    ],
)  # fmt: skip
def test_a_manifest_with_hostile_credentials_is_a_problem(result: Path, stated: object) -> None:
    manifest = read_manifest(result) | {"credentials": stated}
    (result / "manifest.json").write_text(json.dumps(manifest))
    found = problems(result)
    assert all(one.startswith("invalid: ") for one in found.values())
    names = stated["files"] if isinstance(stated, dict) and stated.get("files") else [MANIFEST]
    assert set(map(str, names)) <= {*found, "1"}
    assert not any(one.as_recorded for one in verify([result]).results)


def test_without_the_library_verification_says_so(
    signed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(library, "import_module", missing)
    checks = check_credentials(signed)
    assert {one.state for one in checks} == {"not checked: install jdsr[provenance]"}
    assert not any(one.is_problem for one in checks)


def edit_manifest(result: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    """Alter the manifest, and make the hashes right again."""
    manifest = read_manifest(result)
    edit(manifest)
    (result / MANIFEST).write_text(json.dumps(manifest))
    write_sums(result)


def strip(result: Path, name: str) -> None:
    with Image.open(result / name) as picture:
        picture.load()
    picture.save(result / name)


@pytest.mark.parametrize(
    "edit",
    [
        lambda manifest: manifest.update(credentials=None),
        lambda manifest: manifest["credentials"].update(files=[]),
        lambda manifest: manifest["credentials"]["files"].remove("restored.mp4"),
        lambda manifest: manifest["credentials"]["files"].remove("faces/track0001_best1.png"),
    ],
)
def test_credentials_that_the_manifest_does_not_list_are_a_problem(
    result: Path, files: SigningFiles, edit: Callable[[dict[str, Any]], object]
) -> None:
    edit_manifest(result, edit)
    for trust in (None, files.root):
        found = [one for one in check_credentials(result, trust) if one.is_problem]
        assert {one.state for one in found} == {
            "invalid: the manifest does not list the file as signed"
        }


def test_with_a_trust_list_every_file_needs_valid_credentials(
    result: Path, signed: Path, files: SigningFiles, tmp_path: Path
) -> None:
    name = "faces/track0001_best1.png"
    strip(result, name)
    edit_manifest(result, lambda manifest: manifest["credentials"]["files"].remove(name))
    assert problems(result) == {}
    trusted = {one.file: one.state for one in check_credentials(result, files.root)}
    assert trusted[name] == "absent"
    other = write_files(tmp_path / "other").root
    assert all(one.is_problem for one in check_credentials(signed, other))
    for path in list(result.rglob("*.mp4")):
        path.unlink()
    for path in result.rglob("*.png"):
        strip(result, path.relative_to(result).as_posix())
    edit_manifest(result, lambda manifest: manifest.update(credentials=None))
    assert problems(result) == {}
    (found,) = check_credentials(result, files.root)
    assert found == (MANIFEST, "absent: the result has no content credentials", True)
    assert verify([result], trust=files.root).exit_code == 7


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda one: one["input"].update(sha256="1" * 64), "another input than"),
        (lambda one: one["input"].update(bytes=1), "another size of the input"),
        (lambda one: one.update(request="2" * 64), "another request"),
        (lambda one: one["weights"].update(sha256="3" * 64), "another file of weights"),
        (lambda one: one.update(weights=None), "another file of weights"),
        (
            lambda one: one["weights"].update(
                burst={"name": "b", "file": "b.safetensors", "sha256": "4" * 64}
            ),
            "another file of weights for fused faces",
        ),
    ],
)
def test_credentials_of_another_result_are_a_problem(
    result: Path, edit: Callable[[dict[str, Any]], object], words: str
) -> None:
    edit_manifest(result, edit)
    found = problems(result)
    assert set(found) == set(read_manifest(result)["credentials"]["files"])
    assert all(words in state for state in found.values())


@pytest.mark.parametrize(
    ("source_name", "name", "words"),
    [
        ("overlay.mp4", "restored.mp4", "shows something else (no restored face)"),
        ("restored.mp4", "overlay.mp4", "shows something else (restored faces)"),
        ("faces/track0001_best1.png", "faces/track0001_best2.png", "for a file called track0001_"),
    ],
)
def test_credentials_of_another_file_are_a_problem(
    result: Path, source_name: str, name: str, words: str
) -> None:
    shutil.copy(result / source_name, result / name)
    (state,) = problems(result).values()
    assert words in state


@pytest.mark.parametrize("name", ["pipe.png", "link.mp4", "restored.mp4.c2pa", "manifest.json"])
def test_credentials_are_read_from_regular_files_of_the_result_only(
    result: Path, signed: Path, name: str
) -> None:
    def add(manifest: dict[str, Any]) -> None:
        manifest["credentials"]["files"].append(name)

    edit_manifest(result, add)
    if name == "pipe.png":
        os.mkfifo(result / name)
    else:
        (result / name).unlink(missing_ok=True)
        (result / name).symlink_to(signed / "restored.mp4")
    (found,) = verify([result]).results
    assert any(one.file == name and "is a" in one.what for one in found.problems)
    assert not any("valid" in one.what and one.file == name for one in found.findings)


def test_a_trust_list_is_read_once_and_before_any_folder(
    signed: Path, files: SigningFiles, tmp_path: Path
) -> None:
    for content in (b"", b"no list", files.key.read_bytes()):
        (tmp_path / "trust.pem").write_bytes(content)
        with pytest.raises(UsageError, match=r"trust\.pem"):
            verify([tmp_path / "absent"], trust=tmp_path / "trust.pem")
    with pytest.raises(UsageError, match="cannot be read"):
        verify([tmp_path], trust=tmp_path / "no.pem")
    assert run("verify", tmp_path, "--trust", tmp_path / "no.pem").exit_code == 2
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(files.root.read_bytes()))
    writer.start()
    found = verify([signed, signed], trust=pipe)
    writer.join()
    assert found.exit_code == 0
