"""Files of identity levels: interpolation, where they are found, and files that are refused."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from jdsr_cli.errors import WeightsCorruptError, WeightsMissingError
from jdsr_cli.faces import identity_levels
from jdsr_cli.faces.identity_levels import (
    BUILT_IN,
    SIDECAR,
    TABLES,
    IdentityLevels,
    find_levels,
    read_levels,
)
from jdsr_cli.weights import sha256_of

LEVELS = IdentityLevels(
    "0" * 64, 0.05, (16.0, 32.0, 128.0), dict.fromkeys(TABLES, (0.1, 0.3, 0.75))
)


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """A file that only has a hash."""
    path = tmp_path / "net.pt"
    path.write_bytes(b"a network")
    return path


def write(path: Path, levels: IdentityLevels) -> Path:
    path.write_text(levels.text("Levels of a test.\nIn two lines."), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("width", "level"),
    [(1, 0.1), (16, 0.1), (22.627417, 0.2), (32, 0.3), (64, 0.525), (128, 0.75), (4000, 0.75)],
)
def test_levels_are_interpolated_over_the_logarithm_of_the_width(
    width: float, level: float
) -> None:
    assert LEVELS.level("bare", width) == pytest.approx(level, abs=1e-6)


@pytest.mark.parametrize(
    "levels",
    [
        LEVELS,
        IdentityLevels("ab" * 32, 0.5, (20.0,), dict.fromkeys(TABLES, (-1.0,))),
        replace(LEVELS, honest_share=0.01, tables={**LEVELS.tables, "bare": (-0.25, 0.0, 1.0)}),
    ],
)
def test_written_levels_are_read_again(tmp_path: Path, levels: IdentityLevels) -> None:
    assert read_levels(write(tmp_path / "levels.toml", levels)) == levels


def test_given_levels_come_before_the_sidecar_and_that_before_carried_ones(
    network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = sha256_of(network)
    (tmp_path / "carried").mkdir()
    monkeypatch.setattr(identity_levels, "BUILT_IN", tmp_path / "carried")
    assert find_levels(network) is None
    found = []
    for number, path in enumerate((
        tmp_path / "carried" / f"{digest}.toml",
        network.with_name(network.name + SIDECAR),
        tmp_path / "given.toml",
    ), 1):  # fmt: skip
        write(path, replace(LEVELS, network_sha256=digest, honest_share=0.1 * number))
        found.append(find_levels(network, path if path.name == "given.toml" else None))
    assert [one.honest_share for one in found if one] == pytest.approx([0.1, 0.2, 0.3])


def test_carried_levels_are_named_after_their_network() -> None:
    files = sorted(BUILT_IN.glob("*.toml"))
    assert files
    for path in files:
        levels = read_levels(path)
        assert levels.network_sha256 == path.stem
        for values in levels.tables.values():
            assert list(values) == sorted(values)


def test_levels_of_another_network_or_an_absent_file_are_refused(
    network: Path, tmp_path: Path
) -> None:
    with pytest.raises(WeightsMissingError, match=r"absent\.toml: no such file.*fit_identity"):
        find_levels(network, tmp_path / "absent.toml")
    other = write(tmp_path / "other.toml", LEVELS)
    with pytest.raises(WeightsCorruptError, match=r"other\.toml: .*another network.*0000.*net\.pt"):
        find_levels(network, other)
    write(network.with_name(network.name + SIDECAR), LEVELS)
    with pytest.raises(WeightsCorruptError, match=r"net\.pt\.levels\.toml: .*another network"):
        find_levels(network)


Edit = Callable[[str], str]


def replaced(old: str, new: str) -> Edit:
    return lambda text: text.replace(old, new)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda _: "\x00\x01 no text", "cannot be read"),
        (lambda _: "widths = [", "cannot be read"),
        (lambda _: "", "format is not"),
        (replaced("levels 1", "levels 2"), "format is not"),
        (replaced("honest_share = 0.05\n", ""), "lacks 'honest_share'"),
        (replaced("track_bare", "track_bear"), "lacks 'track_bare'"),
        (lambda text: text + "share = 1\n", "unknown field 'share'"),
        (replaced("000000", "00000G"), "64 lower-case"),
        (replaced("= 0.05", "= 0.7"), "honest_share"),
        (replaced("= 0.05", "= 0"), "honest_share"),
        (replaced("= 0.05", '= "0.05"'), "honest_share"),
        (replaced("[16, 32, 128]", "[16, 128, 32]"), "do not increase"),
        (replaced("[16, 32, 128]", "[16, 32]"), "3 levels for 2 widths"),
        (replaced("[16, 32, 128]", "[]"), "widths is not a list"),
        (replaced("[16, 32, 128]", "[0, 32, 128]"), "widths has a value"),
        (replaced("\nbare = [0.100", "\nbare = [true"), "bare has a value"),
        (replaced("\nbare = [0.100", "\nbare = [nan"), "bare has a value"),
        (replaced("\nbare = [0.100", "\nbare = [1.01"), "bare has a value"),
    ],
)
def test_wrong_files_are_refused_with_the_reason(tmp_path: Path, edit: Edit, message: str) -> None:
    path = tmp_path / "levels.toml"
    text = LEVELS.text("Levels of a test.")
    edited = edit(text)
    assert edited != text
    path.write_text(edited, encoding="utf-8")
    with pytest.raises(WeightsCorruptError, match=message) as error:
        read_levels(path)
    assert str(path) in str(error.value)
    assert "fit_identity_levels.py" in str(error.value)
