from __future__ import annotations

import json
import os
import shlex
import shutil
import zipfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from command_line import one_line, run
from typer.main import get_command

from jdsr_cli import InputError, NotAsRecordedError, OutputError, UsageError, bundle, verify
from jdsr_cli.cli.app import app
from jdsr_cli.evidence import reproduction, sha256_file, write_sums
from jdsr_cli.evidence.reproduction import reproducing_command
from jdsr_cli.evidence.verification.stored_result import LEFT_OUT
from jdsr_cli.settings import (
    CropSettings,
    DetectionSettings,
    ReadSettings,
    RestoreSettings,
    build,
    declared,
)


def names(file: Path) -> list[str]:
    with zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None
        return archive.namelist()


def read_options(words: list[str], kind: type[DetectionSettings]) -> DetectionSettings:
    """Return the settings that the command line makes of the words of a command."""
    assert words[0] == "jdsr"
    command = get_command(app).commands[words[1]]  # type: ignore[attr-defined]
    context = command.make_context(words[1], list(words[2:]))
    values = {}
    for one in declared(kind):
        if one.option.on_command_line:
            given = context.params[one.field]
            given = getattr(given, "value", given)
            values[one.field] = one.default if given is None else one.convert(given)
    return build(kind, values)


def test_a_bundle_holds_what_is_needed_to_check_and_repeat(result: Path, tmp_path: Path) -> None:
    file = bundle([result], tmp_path / "case.zip")
    found = names(file)
    assert {"REPRODUCE.txt", "MODEL_CARD.md", "street/manifest.json"} <= set(found)
    assert {"street/SHA256SUMS", "street/input.framemd5", "street/restored.framemd5"} <= set(found)
    assert "street/restored.mp4" not in found
    whole = names(bundle([result], tmp_path / "whole.zip", media=True))
    files = {f"street/{path.relative_to(result).as_posix()}"
             for path in result.rglob("*") if path.is_file()}  # fmt: skip
    assert files == set(whole) - {"REPRODUCE.txt", "MODEL_CARD.md"}
    assert set(whole) - set(found) == {"street/restored.mp4"}
    assert set(found) - set(whole) == {"street/LEFT_OUT.sums"}


def test_an_unpacked_bundle_with_media_is_as_recorded(result: Path, tmp_path: Path) -> None:
    file = bundle([result], tmp_path / "case.zip", media=True)
    with zipfile.ZipFile(file) as archive:
        archive.extractall(tmp_path / "unpacked")
    assert run("verify", tmp_path / "unpacked").exit_code == 0


def test_the_same_results_give_the_same_bytes(result: Path, cropped: Path, tmp_path: Path) -> None:
    first = bundle([result, cropped], tmp_path / "a.zip")
    for path in result.rglob("*"):
        os.utime(path, (10**9, 10**9))
        path.chmod(0o700)
    again = bundle([cropped, result], tmp_path / "b.zip")
    assert first.read_bytes() == again.read_bytes()
    assert {name.split("/")[0] for name in names(first)} == {
        "REPRODUCE.txt", "MODEL_CARD.md", "street", "crops",
    }  # fmt: skip


def test_a_folder_of_results_and_other_alphabets(finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "Ergebnisse"
    for name in ("Straße", "東京 2", "a'b"):
        shutil.copytree(finished / "restored" / "street", out / name)
    file = bundle([out], tmp_path / "Fall ä.zip")
    assert {"Straße/manifest.json", "東京 2/manifest.json", "a'b/manifest.json"} <= set(names(file))


def test_an_altered_result_is_refused(result: Path, tmp_path: Path) -> None:
    (result / "faces" / "track0001_best1.png").write_bytes(b"x")
    target = tmp_path / "case.zip"
    with pytest.raises(NotAsRecordedError, match=r"faces/track0001_best1\.png: was changed"):
        bundle([result], target)
    line = one_line(run("bundle", result, "--out", target), 7)
    assert "track0001_best1.png" in line
    assert not target.exists()
    assert not list(tmp_path.glob(".*"))


def test_a_target_that_exists_or_lies_in_a_result_is_refused(result: Path, tmp_path: Path) -> None:
    target = tmp_path / "case.zip"
    target.write_text("earlier")
    with pytest.raises(OutputError, match="a file has this name already"):
        bundle([result], target)
    assert target.read_text() == "earlier"
    with pytest.raises(UsageError, match="would become a part of the result"):
        bundle([result], result / "case.zip")
    with pytest.raises(OutputError, match="the folder does not exist"):
        bundle([result], tmp_path / "absent" / "case.zip")


def test_two_results_of_one_name_are_refused(result: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(result, tmp_path / "other" / "street"))
    with pytest.raises(UsageError, match="have the same name in a bundle"):
        bundle([result, other], tmp_path / "case.zip")


def test_what_is_no_result_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        bundle([tmp_path / "absent"], tmp_path / "case.zip")
    assert run("bundle", tmp_path, "--out", tmp_path / "case.zip").exit_code == 3


def test_a_file_that_changes_meanwhile_is_refused(
    result: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from jdsr_cli.evidence import bundling

    real = bundling.verify

    def verify_and_alter(*arguments: Any, **named: Any) -> Any:
        done = real(*arguments, **named)
        (result / "faces.jsonl").write_text("{}\n")
        return done

    monkeypatch.setattr(bundling, "verify", verify_and_alter)
    with pytest.raises(NotAsRecordedError, match=r"faces\.jsonl changed while it was bundled"):
        bundle([result], tmp_path / "case.zip")
    assert not (tmp_path / "case.zip").exists()


def test_the_command_to_repeat_a_run_is_in_the_bundle(result: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(bundle([result], tmp_path / "case.zip")) as archive:
        text = archive.read("REPRODUCE.txt").decode("utf-8")
    manifest = json.loads((result / "manifest.json").read_text("utf-8"))
    (line,) = [line.strip() for line in text.splitlines() if line.startswith("  jdsr ")]
    words = shlex.split(line)
    assert words == reproducing_command(manifest)
    assert words[2] == "street.mp4"
    for sha256 in (manifest["input"]["sha256"], manifest["weights"]["sha256"]):
        assert sha256 in text
    read = read_options(words, RestoreSettings)
    assert (read.weights, read.min_face, read.shots, read.frame_scale, read.device) == (
        manifest["settings"]["weights"], 24.0, 1, 1, "cpu",
    )  # fmt: skip


SETTINGS: list[DetectionSettings] = [
    RestoreSettings(),
    RestoreSettings(
        reading=ReadSettings(
            frame_rate="30000/1001", stream=2, start="1:30.5", end="12345.678901", aspect="2.35",
            deinterlace="off",
        ),
        scale=8, mode="crops", crops="all", shots=7, stabilise=False, window=5, label=False,
        overlay=True, crf=0, codec="ffv1", threshold=0.123456789, min_face=10.000001,
        detection_scale=0.5, rotated_faces=True, detect_every=3, roi=(0, 16, 320, 200),
        min_track=0.5, smoothing=0.0,
        identity="net work.pt", segment=80, batch=5, frame_scale=2, min_sharpness=1e-7,
    ),
    RestoreSettings(detect_every=1, mode="paste", device="cpu", backend="torch"),
    CropSettings(size=256, min_track=0.06, detector="centerface"),
]  # fmt: skip


@pytest.mark.parametrize("settings", SETTINGS, ids=range(len(SETTINGS)))
@pytest.mark.parametrize("name", ["clip.mp4", "-odd 'name'.mp4", "shot_%05d.png"])
def test_the_command_states_every_setting(
    result: Path, settings: DetectionSettings, name: str
) -> None:
    from dataclasses import asdict

    manifest = json.loads((result / "manifest.json").read_text("utf-8"))
    manifest["command"] = "crop-faces" if isinstance(settings, CropSettings) else "restore"
    manifest["settings"] = json.loads(json.dumps(asdict(settings), default=str))
    manifest["input"]["file"] = f"/cases/{name}"
    weights, device = manifest["weights"], manifest["device"]
    weights |= {"name": "lite-camera", "precision": "int8", "backend": "onnx"}
    manifest["detector"] |= {"backend": "opencv"}
    backend = "onnx"
    if isinstance(settings, CropSettings):
        manifest["weights"], backend = None, "torch"
    device["kind"] = "cpu"
    words = shlex.split(shlex.join(reproducing_command(manifest)))
    read = read_options(words, type(settings))
    expected = asdict(settings) | {"device": "cpu", "detector": "centerface"}
    if settings.backend == "auto":
        expected |= {"backend": backend}
    if isinstance(settings, RestoreSettings):
        expected |= {"weights": "lite-camera", "precision": "int8"}
    assert asdict(read) == expected


@pytest.mark.parametrize(
    ("weights", "detector", "chosen"),
    [("openvino", "openvino", "openvino"), ("torch", "opencv", "torch"), ("onnx", None, "onnx"),
     (None, "openvino", "openvino"), (None, "opencv", "torch"), ("torch", "openvino", "auto")],
)  # fmt: skip
def test_the_backend_that_was_used_is_pinned(
    result: Path, weights: str | None, detector: str | None, chosen: str
) -> None:
    manifest = json.loads((result / "manifest.json").read_text("utf-8"))
    manifest["settings"]["backend"] = "auto"
    manifest["detector"]["backend"] = detector
    if weights is None:
        manifest["weights"] = None
    else:
        manifest["weights"]["backend"] = weights
    assert read_options(reproducing_command(manifest), RestoreSettings).backend == chosen


def test_the_reference_and_the_face_network_are_inputs(result: Path) -> None:
    manifest = json.loads((result / "manifest.json").read_text("utf-8"))
    manifest["detector"] |= {"reference_sha256": "ab" * 32, "identity_sha256": "cd" * 32}
    manifest["settings"] |= {"identity": "networks/face net.pt"}
    words = reproducing_command(manifest)
    read = read_options(words, RestoreSettings)
    assert (read.privacy.reference, read.identity) == ("PHOTO", "networks/face net.pt")
    text = "\n".join(reproduction.describe_reproduction("street", manifest))
    assert "photo     PHOTO" in text
    assert f"SHA-256 {'ab' * 32}" in text
    assert "identity  face net.pt" in text
    assert f"SHA-256 {'cd' * 32}" in text
    manifest["detector"] |= {"reference_sha256": None}
    assert "--reference" not in reproducing_command(manifest)


def test_a_signed_result_names_the_signer_and_what_differs(result: Path) -> None:
    manifest = json.loads((result / "manifest.json").read_text("utf-8"))
    assert "signed" not in "\n".join(reproduction.describe_reproduction("street", manifest))
    manifest["credentials"] = {
        "subject": "O=Police, CN=Unit 7", "certificate_sha256": "ef" * 32, "algorithm": "es256",
        "files": ["restored.mp4"],
    }  # fmt: skip
    text = "\n".join(reproduction.describe_reproduction("street", manifest))
    assert f"by O=Police, CN=Unit 7\n            certificate SHA-256 {'ef' * 32}" in text
    assert "restored.framemd5 is the same" in text


@pytest.mark.parametrize("bad", ["\x1b[2J", "a\nb", "\u202egnp", "\ud800"])
def test_no_value_of_a_manifest_alters_the_text(result: Path, bad: str) -> None:
    manifest = json.loads((result / "manifest.json").read_text("utf-8"))
    usual = len(list(reproduction.describe_reproduction("street", manifest)))

    def spoil(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: spoil(item) for name, item in value.items()}
        return f"{value}{bad}" if isinstance(value, str) else value

    for part in ("device", "versions", "detector", "weights"):
        manifest[part] = spoil(manifest[part])
    manifest["input"]["file"] += bad
    manifest["settings"] |= {"identity": f"net{bad}"}
    found = list(reproduction.describe_reproduction("street", manifest))
    assert len(found) == usual
    text = "".join(found)
    assert text.isprintable()
    text.encode()


def unpacked(file: Path, folder: Path) -> Path:
    with zipfile.ZipFile(file) as archive:
        archive.extractall(folder)
    return folder / "street"


def test_a_bundle_without_videos_is_verified_by_its_receiver(result: Path, tmp_path: Path) -> None:
    folder = unpacked(bundle([result], tmp_path / "case.zip"), tmp_path / "received")
    assert (folder / LEFT_OUT).read_text() == (
        f"{sha256_file(result / 'restored.mp4')}  restored.mp4\n"
    )
    (verified,) = verify([folder]).results
    assert verified.as_recorded
    assert verified.left_out == 1
    assert "restored.mp4: was left out of the bundle" in "\n".join(map(str, verified.notes))
    done = run("verify", "--quiet", folder)
    assert done.exit_code == 0
    assert "1 video left out" in done.stdout
    (problem,) = verify([folder], frames=True).results[0].problems
    assert str(problem).startswith("restored.framemd5: its video was left out of the bundle")
    # It can be handed on again, and the video be added.
    again = unpacked(bundle([folder], tmp_path / "again.zip"), tmp_path / "again")
    assert verify([again]).exit_code == 0
    shutil.copy(result / "restored.mp4", again)
    assert verify([again], frames=True).exit_code == 0
    (again / "restored.mp4").write_bytes(b"other")
    assert verify([again]).exit_code == 7


@pytest.mark.parametrize(
    ("name", "line", "words"),
    [
        ("faces/track0001_best1.png", "{sha256}  {name}\n", "only videos can be left out"),
        ("faces.jsonl", "{sha256}  {name}\n", "only videos can be left out"),
        ("restored.mp4", "{zeros}  {name}\n", "with a hash that is not recorded"),
        ("restored.mp4", "{sha256} {name}\n", "is not a line as sha256sum writes it"),
        ("restored.mp4", "", "is empty"),
    ],
)
def test_a_list_of_left_out_files_hides_nothing_else(
    result: Path, name: str, line: str, words: str
) -> None:
    sha256 = sha256_file(result / name)
    (result / name).unlink()
    (result / LEFT_OUT).write_text(line.format(sha256=sha256, name=name, zeros="0" * 64))
    found = "\n".join(map(str, verify([result]).results[0].problems))
    assert f"{LEFT_OUT}" in found
    assert words in found
    assert f"{name}: is missing" in found


def test_standard_input_is_repeated_from_a_file(result: Path) -> None:
    manifest = json.loads((result / "manifest.json").read_text("utf-8"))
    manifest["input"]["file"] = "-"
    words = reproducing_command(manifest)
    assert words[2:4] == ["-", "--stdin"]
    text = "\n".join(reproduction.describe_reproduction("street", manifest))
    assert text.rstrip().endswith("< INPUT")
    read_options(words, RestoreSettings)


def test_a_setting_of_another_version_is_said(result: Path) -> None:
    manifest = json.loads((result / "manifest.json").read_text("utf-8"))
    manifest["settings"]["min_track"] = 12
    text = "\n".join(reproduction.describe_reproduction("street", manifest))
    assert "--min-track" in text
    assert "  jdsr restore" not in text


def test_fractions_are_stated_exactly() -> None:
    assert reproduction._text((Fraction(1, 3), 2)) == "1/3,2"
    assert float(reproduction._text(0.1 + 0.2)) == 0.1 + 0.2


def test_a_result_without_sums_is_bundled(result: Path, tmp_path: Path) -> None:
    """Results of earlier versions have none."""
    (result / "SHA256SUMS").unlink()
    manifest = json.loads((result / "manifest.json").read_text("utf-8"))
    del manifest["schema_version"]
    (result / "manifest.json").write_text(json.dumps(manifest))
    assert "street/manifest.json" in names(bundle([result], tmp_path / "case.zip"))
    write_sums(result)
