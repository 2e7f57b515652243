"""Configuration files: their values, and the errors in them."""

import os
from fractions import Fraction
from pathlib import Path

import pytest

from jdsr_cli.errors import UsageError
from jdsr_cli.settings import (
    COMMANDS,
    CropSettings,
    RestoreOptions,
    RestoreSettings,
    build,
    in_order,
    read_config,
)

VALUES = {
    "out": '"results"', "scale": "8", "mode": '"paste"', "crops": '"all"', "shots": "5",
    "restore": '"covered"', "compare": "true", "compare-boxes": "true",
    "weights": '"lite-x8"', "detector": '"centerface"', "threshold": "0.25", "min-face": "16",
    "min-sharpness": "0.1", "detection-scale": "2", "rotated-faces": "true", "detect-every": "3",
    "roi": '"0,0,64,48"', "min-track": "0.5", "smoothing": "0", "identity": '"face.pt"',
    "stabilise": "false", "window": "5", "doubt": "false", "error-bound": "16",
    "confidence": "95",
    "fps": "29.97", "stream": "2", "start": '"0:01:30"', "end": "100",
    "deinterlace": '"off"', "decoder": '"auto"', "aspect": '"16:9"', "frame-scale": "2",
    "max-megapixels": "200",
    "codec": '"ffv1"', "crf": "20", "label": "false", "overlay": "true", "report": "false",
    "segment": "80",
    "device": '"cpu"', "force": "true", "resume": "true", "verify": "true",
    "batch": "4", "backend": '"torch"',
    "precision": '"float32"', "quiet": "true", "dry-run": "true", "stdin": "false",
    "sign": '["chain.pem", "key.pem"]',
    "reference": '"photo.jpg"', "reference-level": "0.5",
    "jobs": "2", "devices": '"cpu,cpu"', "engine": '"ray"', "address": '"head"',
}  # fmt: skip
EXCLUDED = {"only-track", "blur-others"}
"""Options that exclude one of those above, see `test_privacy_settings`."""


def write_config(folder: Path, text: str) -> Path:
    path = folder / "run.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("sign", ["-", "_"])
def test_every_option_of_restore_can_be_set_in_a_file(tmp_path: Path, sign: str) -> None:
    lines = [f"{name.replace('-', sign)} = {value}" for name, value in VALUES.items()]
    kinds = COMMANDS["restore"]
    values = read_config(write_config(tmp_path, "\n".join(lines)), *kinds)
    assert {one.key for one in in_order(*kinds)} == {*VALUES, *EXCLUDED, "config"}
    settings = build(RestoreSettings, values)
    default = RestoreSettings()
    same = [name for name in vars(default) if getattr(settings, name) == getattr(default, name)]
    assert same == []
    assert settings.roi == (0, 0, 64, 48)
    assert settings.reading.frame_rate == Fraction(2997, 100)
    assert settings.reading.start == 90
    assert settings.reading.aspect == Fraction(16, 9)
    assert settings.sign == (Path("chain.pem"), Path("key.pem"))
    options = build(RestoreOptions, values)
    assert (options.out, options.quiet, options.dry_run) == (Path("results"), True, True)


@pytest.mark.parametrize(
    "value", ['"chain.pem"', '["chain.pem"]', '["a", "b", "c"]', "5", "[1, 2]"]
)
def test_an_option_of_two_values_takes_a_list_of_two(tmp_path: Path, value: str) -> None:
    with pytest.raises(UsageError, match=r"run.toml, key sign: .* Give the files"):
        read_config(write_config(tmp_path, f"sign = {value}"), *COMMANDS["restore"])


def test_options_absent_from_the_file_have_their_defaults(tmp_path: Path) -> None:
    values = read_config(write_config(tmp_path, "min_face = 20"), *COMMANDS["crop-faces"])
    assert build(CropSettings, values) == CropSettings(min_face=20.0)
    assert read_config(write_config(tmp_path, ""), CropSettings) == {}


def test_a_rectangle_can_be_a_list(tmp_path: Path) -> None:
    values = read_config(write_config(tmp_path, "roi = [1, 2, 30, 40]"), RestoreSettings)
    assert values == {"roi": (1, 2, 30, 40)}


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("min-face = -1", ("key min-face", "at least 0")),
        ('min_face = "10"', ("key min_face", "'10' is not allowed", "a number")),
        ("batch = 1.5", ("key batch", "a whole number")),
        ("label = 1", ("key label", "true or false")),
        ('mode = "paint"', ("key mode", "both, paste or crops")),
        ("scale = 3", ("key scale", "4 or 8")),
        ('start = "soon"', ("key start", "a time such as")),
        ('roi = "1,2,3"', ("key roi", "LEFT,TOP,WIDTH,HEIGHT")),
        ("roi = [1, 2, 30.5, 40]", ("key roi",)),
        ("mode = ['both']", ("key mode",)),
        ("minface = 10", ("key minface", "unknown key", "nearest is min-face", "Allowed keys:")),
        ("[reading]\nfps = 25", ("key reading", "unknown key")),
        ("no-label = true", ("Write label = false.",)),
        ("config = 'other.toml'", ("key config", "unknown key")),
        ("size = 64", ("key size", "unknown key")),
        ("min-face = 1\nmin_face = 2", ("key min_face", "set twice")),
        ("min-track = 2", ("key min-track", "2 is not allowed", "0 to 0.9 (s)", "a duration")),
        ("min_track = 1", ("key min_track", "1 is not allowed", "last 0.08 s")),
        ("min-face", ("not readable as TOML",)),
    ],
)
def test_an_error_states_file_key_and_allowed_values(
    tmp_path: Path, text: str, parts: tuple[str, ...]
) -> None:
    path = write_config(tmp_path, text)
    with pytest.raises(UsageError) as caught:
        read_config(path, *COMMANDS["restore"])
    assert caught.value.exit_code == 2
    assert str(path) in str(caught.value)
    for part in parts:
        assert part in str(caught.value)


def test_a_file_that_cannot_be_read_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"absent\.toml"):
        read_config(tmp_path / "absent.toml", RestoreSettings)
    with pytest.raises(UsageError, match="cannot be read"):
        read_config(tmp_path, RestoreSettings)
    (tmp_path / "latin.toml").write_bytes(b"device = '\xe9'")
    with pytest.raises(UsageError, match="not readable as TOML"):
        read_config(tmp_path / "latin.toml", RestoreSettings)


def test_a_named_pipe_is_refused_and_that_of_a_shell_is_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.toml")
    (tmp_path / "link.toml").symlink_to("pipe.toml")
    for name in ("pipe.toml", "link.toml"):
        with pytest.raises(UsageError, match="is a named pipe"):
            read_config(tmp_path / name, RestoreSettings)
    reading, writing = os.pipe()
    os.write(writing, b"scale = 8\n")
    os.close(writing)
    assert read_config(f"/dev/fd/{reading}", RestoreSettings) == {"scale": 8}
    os.close(reading)
