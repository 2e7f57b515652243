"""Networks of other packages, by their entry points."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

import pytest

from jdsr_cli.errors import UsageError
from jdsr_cli.networks import LiteGenerator, build, known_networks

CODE = """
from dataclasses import dataclass
from torch import nn

@dataclass(frozen=True)
class ShallowConfig:
    lr_size: int = 32

class Shallow(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config, self.lr_size = config, config.lr_size

PAIR = (ShallowConfig, Shallow)
SINGLE = Shallow
REVERSED = (Shallow, ShallowConfig)
PLAIN = (Shallow, Shallow)
"""
POINTS = {
    "shallow": "shallow_package:PAIR",
    "lite": "shallow_package:PAIR",
    "absent-module": "absent_package:PAIR",
    "absent-name": "shallow_package:ABSENT",
    "single": "shallow_package:SINGLE",
    "reversed": "shallow_package:REVERSED",
    "plain": "shallow_package:PLAIN",
    "failing": "failing_package:PAIR",
}


@pytest.fixture(autouse=True)
def _installed_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    information = tmp_path / "shallow_package-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: shallow-package\n")
    lines = [f"{name} = {target}" for name, target in POINTS.items()]
    text = "\n".join(["[jdsr.networks]", *lines, ""])
    (information / "entry_points.txt").write_text(text)
    (tmp_path / "shallow_package.py").write_text(CODE)
    (tmp_path / "failing_package.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)


def test_a_network_of_an_installed_package_is_built() -> None:
    network = build("shallow", {"lr_size": 16})
    assert type(network).__name__ == "Shallow"
    assert network.lr_size == 16


def test_a_name_of_this_package_means_its_own_network() -> None:
    arguments = {"widths": [16], "encoder_blocks": [1], "decoder_blocks": [], "tail_width": 16}
    assert isinstance(build("lite", arguments), LiteGenerator)
    assert known_networks().count("lite") == 1


def test_an_own_network_needs_no_metadata(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: str) -> None:
        raise AssertionError("entry points were read")

    monkeypatch.setattr("jdsr_cli.networks.further.entry_points", fail)
    build("lite", {"widths": [16], "encoder_blocks": [1], "decoder_blocks": [], "tail_width": 16})


def test_an_unknown_name_is_answered_with_all_known_ones() -> None:
    with pytest.raises(UsageError, match=r"'deep'.*lite, burst, jdsr, .*shallow"):
        build("deep", {})


def test_arguments_of_a_further_network_are_checked() -> None:
    with pytest.raises(UsageError, match=r"'shallow' has no argument 'size'.*lr_size"):
        build("shallow", {"size": 1})


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("absent-module", "cannot be imported from absent_package:PAIR: No module named"),
        ("absent-name", "cannot be imported from shallow_package:ABSENT"),
        ("failing", "cannot be imported from failing_package:PAIR: division by zero"),
        ("single", "shallow_package:SINGLE is not a pair of a dataclass and a module"),
        ("plain", "shallow_package:PLAIN is not a pair of a dataclass and a module"),
        ("reversed", "shallow_package:REVERSED is not a pair of a dataclass and a module"),
    ],
)
def test_a_broken_entry_point_is_an_error_of_usage(name: str, message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        build(name, {})


def test_listing_names_imports_nothing() -> None:
    assert {"failing", "absent-module"} <= set(known_networks())
    assert "failing" in {point.name for point in metadata.entry_points(group="jdsr.networks")}
