"""Options on who is restored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jdsr_cli.errors import UsageError
from jdsr_cli.settings import CropSettings, PrivacySettings, RestoreSettings, build, read_config

ONE = {"only_track": "1", "blur_others": True}


@pytest.mark.parametrize(
    ("given", "numbers"),
    [("3", (3,)), ("7,3", (3, 7)), (" 12 , 1", (1, 12)), ([4, 2], (2, 4)), ((5,), (5,))],
)
def test_numbers_of_tracks(given: Any, numbers: tuple[int, ...]) -> None:
    assert PrivacySettings(only_track=given).only_track == numbers


@pytest.mark.parametrize(
    "given", ["", "0", "-1", "3,3", "1.5", "a", "1,,2", "1;2", [], [0], [1, 1], 3, [True], "1,0"]
)
def test_other_numbers_are_refused(given: Any) -> None:
    with pytest.raises(UsageError, match=r"--only-track: .* is not allowed\. Give different num"):
        PrivacySettings(only_track=given)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"blur_others": True}, "--blur-others: nobody is selected"),
        ({"reference": "a.png"}, "--reference: faces cannot be compared"),
        ({"reference": "a.png", "identity": "n.pt", "only_track": "1"}, "--reference: it cannot"),
        ({**ONE, "roi": "0,0,64,64"}, "--roi: faces that are not searched"),
        ({**ONE, "min_face": 20.0}, "--min-face: faces that are not searched"),
        ({"reference_level": 1.5}, "--reference-level"),
        ({"reference_level": 0.5}, "--reference-level: there is no photograph"),
        ({"reference_level": 0.5, "only_track": "1"}, "--reference-level: there is no photograph"),
        ({**ONE, "reference_level": -1.0}, "--reference-level: there is no photograph"),
    ],
)
@pytest.mark.parametrize("kind", [RestoreSettings, CropSettings])
def test_options_that_cannot_work_together(
    kind: type[RestoreSettings], values: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        build(kind, values)


@pytest.mark.parametrize("values", [{**ONE, "min_face": 5.0}, {"only_track": "1", "min_face": 90}])
def test_options_that_work_together(values: dict[str, Any]) -> None:
    assert build(RestoreSettings, values).privacy.only_track == (1,)


def test_the_path_of_the_photograph_decides_nothing() -> None:
    some, other = (
        build(CropSettings, {"reference": name, "identity": "n.pt"}).deciding()
        for name in ("a.png", "b.png")
    )
    assert some == other
    assert some["privacy"] == {"only_track": None, "reference_level": 0.35, "blur_others": False}
    assert "device" not in some


def test_options_of_a_configuration_file(tmp_path: Path) -> None:
    path = tmp_path / "one.toml"
    path.write_text("only-track = [7, 3]\nblur-others = true\n")
    settings = build(RestoreSettings, read_config(path, RestoreSettings))
    assert settings.privacy == PrivacySettings(only_track=(3, 7), blur_others=True)
