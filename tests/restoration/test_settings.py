import pytest

from jdsr_cli.errors import UsageError
from jdsr_cli.settings import CropSettings, RestoreSettings


@pytest.mark.parametrize(
    ("option", "arguments"),
    [
        ("--scale", {"scale": 3}),
        ("--mode", {"mode": "paint"}),
        ("--detector", {"detector": "haar"}),
        ("--threshold", {"threshold": 1.5}),
        ("--min-face", {"min_face": -1.0}),
        ("--min-face", {"min_face": float("nan")}),
        ("--detection-scale", {"detection_scale": 0.0}),
        ("--frame-scale", {"frame_scale": 0}),
        ("--batch", {"batch": 0}),
        ("--precision", {"precision": "int8"}),
        ("--crf", {"crf": 64}),
        ("--crops", {"crops": "some"}),
        ("--shots", {"shots": 0}),
        ("--min-sharpness", {"min_sharpness": 1.5}),
        ("--detect-every", {"detect_every": 0}),
        ("--detect-every", {"detect_every": 33}),
        ("--min-track", {"min_track": 0}),
        ("--smoothing", {"smoothing": -1.0}),
        ("--roi", {"roi": (-1, 0, 50, 50)}),
        ("--roi", {"roi": (0, 0, 5, 50)}),
        ("--segment", {"segment": 100}),
        ("--segment", {"segment": 0}),
    ],
)
def test_what_cannot_work_is_refused_by_name(option: str, arguments: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=option) as caught:
        RestoreSettings(**arguments)  # type: ignore[arg-type]
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("arguments", [{"size": 8}, {"detect_every": 0}, {"detector": "x"}])
def test_crop_settings_are_checked_as_well(arguments: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        CropSettings(**arguments)  # type: ignore[arg-type]


def test_modes_say_what_is_written() -> None:
    modes = {mode: RestoreSettings(mode=mode) for mode in ("both", "paste", "crops")}
    assert [(s.pastes, s.exports_crops) for s in modes.values()] == [
        (True, True),
        (True, False),
        (False, True),
    ]


def test_what_decides_about_bytes_leaves_out_what_does_not() -> None:
    plain = RestoreSettings()
    changes = ({"batch": 1}, {"force": True}, {"resume": True}, {"device": "cpu"}, {"weights": "x"})
    for same in changes:
        assert RestoreSettings(**same).deciding() == plain.deciding()  # type: ignore[arg-type]
    for other in ({"scale": 8}, {"label": False}, {"segment": 80}, {"min_face": 11.0}):
        assert RestoreSettings(**other).deciding() != plain.deciding()  # type: ignore[arg-type]
