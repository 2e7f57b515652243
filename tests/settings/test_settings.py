"""The declarations of options, and the values that settings accept."""

from dataclasses import asdict
from fractions import Fraction
from pathlib import Path

import pytest

from jdsr_cli.errors import UsageError
from jdsr_cli.settings import (
    COMMANDS,
    CropSettings,
    DemoSettings,
    DetectorSettings,
    EvalSettings,
    ReadSettings,
    RestoreSettings,
    Settings,
    TrackerSettings,
    TrainSettings,
    declared,
    options_of,
)


@pytest.mark.parametrize(
    ("option", "arguments"),
    [
        ("--scale", {"scale": 3}),
        ("--scale", {"scale": "4"}),
        ("--mode", {"mode": "paint"}),
        ("--detector", {"detector": "haar"}),
        ("--threshold", {"threshold": 1.5}),
        ("--threshold", {"threshold": 0.0}),
        ("--min-face", {"min_face": -1.0}),
        ("--min-face", {"min_face": float("nan")}),
        ("--min-face", {"min_face": float("inf")}),
        ("--min-face", {"min_face": None}),
        ("--detection-scale", {"detection_scale": 0.0}),
        ("--frame-scale", {"frame_scale": 0}),
        ("--batch", {"batch": 0}),
        ("--batch", {"batch": 1.5}),
        ("--batch", {"batch": True}),
        ("--precision", {"precision": "int4"}),
        ("--codec", {"codec": "vp9"}),
        ("--crf", {"crf": 64}),
        ("--crops", {"crops": "some"}),
        ("--restore", {"restore": "mask"}),
        ("--shots", {"shots": 0}),
        ("--min-sharpness", {"min_sharpness": 1.5}),
        ("--detect-every", {"detect_every": 0}),
        ("--detect-every", {"detect_every": 33}),
        ("--min-track", {"min_track": 1}),
        ("--min-track", {"min_track": -0.1}),
        ("--smoothing", {"smoothing": -1.0}),
        ("--roi", {"roi": (-1, 0, 50, 50)}),
        ("--roi", {"roi": (0, 0, 5, 50)}),
        ("--roi", {"roi": (0, 0, 50)}),
        ("--roi", {"roi": "0,0,50"}),
        ("--segment", {"segment": 100}),
        ("--segment", {"segment": 0}),
        ("--label", {"label": 1}),
        ("--sign", {"sign": "chain.pem"}),
        ("--sign", {"sign": ("chain.pem",)}),
        ("--device", {"device": 0}),
    ],
)
def test_the_error_for_an_invalid_value_names_the_option(
    option: str, arguments: dict[str, object]
) -> None:
    with pytest.raises(UsageError, match=option) as caught:
        RestoreSettings(**arguments)  # type: ignore[arg-type]
    assert caught.value.where == option
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        ({"crops": "some"}, "'some' is not allowed. Give best or all."),
        ({"min_face": -1.0}, "-1.0 is not allowed. Give a number, at least 0 (px)."),
        ({"threshold": 2.0}, "2.0 is not allowed. Give a number, above 0, up to 1."),
        ({"shots": 0}, "0 is not allowed. Give a whole number, 1 to 100."),
        ({"segment": 9}, "9 is not allowed. Give a whole number, at least 8, a multiple of 8 (fra"),
        ({"roi": "a"}, "'a' is not allowed. Give LEFT,TOP,WIDTH,HEIGHT of at least 16x16 pixels."),
    ],
)
def test_errors_state_what_is_allowed(value: dict[str, object], hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        RestoreSettings(**value)  # type: ignore[arg-type]
    assert hint in str(caught.value)


def test_what_is_not_recorded_is_in_no_request_and_no_manifest() -> None:
    settings = RestoreSettings(sign=("a.pem", "b.pem"), scale=8)  # type: ignore[arg-type]
    assert settings.sign == (Path("a.pem"), Path("b.pem"))
    expected = asdict(settings)
    del expected["sign"], expected["verify"], expected["privacy"]["reference"]
    assert settings.recorded() == expected
    assert settings.deciding() == RestoreSettings(scale=8).deciding()


@pytest.mark.parametrize("arguments", [{"size": 8}, {"detect_every": 0}, {"detector": "x"}])
def test_crop_settings_are_checked_as_well(arguments: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        CropSettings(**arguments)  # type: ignore[arg-type]


def test_component_settings_share_ranges_and_defaults_with_the_run() -> None:
    for kind, field in ((DetectorSettings, "threshold"), (TrackerSettings, "smoothing")):
        own = next(one for one in declared(kind) if one.field == field)
        whole = next(one for one in declared(RestoreSettings) if one.field == field)
        assert own == whole
    with pytest.raises(UsageError, match="--detection-scale"):
        DetectorSettings(scale=9.0)
    with pytest.raises(UsageError, match="bridge: -1"):
        TrackerSettings(bridge=-1.0)


def test_values_are_converted_to_their_type() -> None:
    reading = ReadSettings(frame_rate=29.97, start="1:30", end=120, aspect="16:9")  # type: ignore[arg-type]
    assert reading == ReadSettings(
        frame_rate=Fraction(2997, 100),
        start=Fraction(90),
        end=Fraction(120),
        aspect=Fraction(16, 9),
    )
    settings = RestoreSettings(min_face=12, roi=[0, 0, 64, 48])  # type: ignore[arg-type]
    assert (type(settings.min_face), settings.roi) == (float, (0, 0, 64, 48))
    evaluation = EvalSettings(data="faces", methods="a, b", results=["x=dir"])  # type: ignore[arg-type]
    assert evaluation.data == Path("faces")
    assert evaluation.methods == ("a", "b")
    assert evaluation.results == (("x", Path("dir")),)


def test_an_end_before_the_start_is_refused() -> None:
    with pytest.raises(UsageError, match="--end"):
        ReadSettings(start=Fraction(2), end=Fraction(2))


def test_steps_and_minutes_exclude_each_other() -> None:
    TrainSettings(data=Path("faces"), steps=5, deadline=60.0)
    with pytest.raises(UsageError, match="--steps and --minutes exclude each other"):
        TrainSettings(data=Path("faces"), steps=5, minutes=2.0)


def test_modes_determine_the_written_files() -> None:
    modes = [RestoreSettings(mode=mode) for mode in ("both", "paste", "crops")]
    assert [(one.pastes, one.exports_crops) for one in modes] == [
        (True, True),
        (True, False),
        (False, True),
    ]


def test_settings_that_do_not_affect_the_result_are_left_out() -> None:
    default = RestoreSettings()
    unchanged = {
        "batch": 1,
        "force": True,
        "resume": True,
        "device": "cpu",
        "weights": "x",
        "backend": "torch",
    }
    for name, value in {**unchanged, "precision": "float32"}.items():
        assert RestoreSettings(**{name: value}).deciding() == default.deciding()  # type: ignore[arg-type]
    for other in ({"scale": 8}, {"label": False}, {"segment": 80}, {"min_face": 11.0}):
        assert RestoreSettings(**other).deciding() != default.deciding()  # type: ignore[arg-type]


def test_fields_of_the_manifest_are_pinned() -> None:
    assert list(RestoreSettings().deciding()) == [
        "reading", "privacy", "detector", "threshold", "min_face", "min_sharpness",
        "detection_scale", "rotated_faces", "detect_every", "roi", "min_track", "smoothing",
        "identity", "segment", "scale", "mode", "crops", "restore", "shots", "stabilise", "window",
        "doubt", "error_bound", "confidence", "frame_scale", "codec", "crf", "label", "overlay",
        "compare", "compare_boxes",
    ]  # fmt: skip
    assert list(asdict(ReadSettings())) == [
        "frame_rate", "stream", "start", "end", "deinterlace", "aspect", "decoder",
        "max_megapixels",
    ]  # fmt: skip


def test_the_demo_restores_with_all_crops() -> None:
    settings = DemoSettings(weights="lite-x4", device="cpu", force=True)
    assert settings.restoration == RestoreSettings(
        weights="lite-x4", device="cpu", force=True, crops="all"
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_described(command: str) -> None:
    rows = options_of(command)
    assert len({row.option for row in rows}) == len(rows)
    for row in rows:
        assert row.option.startswith("-")
        assert row.help.endswith(".")
        assert row.type


def test_rows_of_options_have_default_range_and_unit() -> None:
    rows = {row.option: row for row in options_of("restore")}
    assert rows["--min-face"][1:5] == ("PX", "10.0", "at least 0", "px")
    assert rows["--label, --no-label"][1:4] == ("flag", "true", "")
    assert rows["--fps"].default == "that of the file, or 25"
    assert rows["--fps"].range == "above 0, up to 1000"
    assert rows["-o, --out"].default == "jdsr-out"
    assert options_of("train")[0][:3] == ("--data", "DIR", "required")


@pytest.mark.parametrize("kinds", COMMANDS.values())
def test_names_of_fields_and_options_are_unique_in_a_command(
    kinds: tuple[type[Settings], ...],
) -> None:
    options = [one for kind in kinds for one in declared(kind)]
    assert len({one.field for one in options}) == len({one.key for one in options}) == len(options)
