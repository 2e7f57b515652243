"""Tables of gates, and the comparison of weights with the carried ones."""

from __future__ import annotations

from math import inf

import pytest
from weight_folders import Folders, gates_table

from jdsr_cli.errors import WeightsCorruptError
from jdsr_cli.weights import entry, read_manifest
from jdsr_cli.weights.default import GateComparison, compare_gates, gate_figures
from jdsr_cli.weights.gates import GATES, Gate


def compared(folders: Folders, **changes: object) -> GateComparison:
    """Compare weights whose table passes every gate except for the changes; None omits a key."""
    carried = folders.add("lite-camera")
    table = gates_table(carried, **changes)
    folders.add("camera", gates={key: value for key, value in table.items() if value is not None})
    return compare_gates(entry("camera"), entry("lite-camera"))


def test_names_and_directions_of_the_gates() -> None:
    assert [gate.name for gate in GATES if gate.higher] == [
        "plain_psnr", "plain_ssim", "masked_psnr", "masked_ssim", "masked_psnr_covered",
        "sharp_psnr", "masked_iou",
    ]  # fmt: skip
    assert [gate.name for gate in GATES if not gate.higher] == ["plain_covered"]


def test_better_on_every_gate_passes(folders: Folders) -> None:
    comparison = compared(folders)
    assert (comparison.passed, comparison.reasons) == (True, ())
    assert comparison.description == "beats lite-camera on every gate"


@pytest.mark.parametrize("gate", GATES, ids=lambda gate: gate.name)
def test_every_gate_can_fail(folders: Folders, gate: Gate) -> None:
    for pair in ([0.5, 0.5], [0.25, 0.5] if gate.higher else [0.75, 0.5]):
        folders.entries.clear()
        (reason,) = compared(folders, **{gate.name: pair}).reasons
        assert reason.startswith(f"{gate.name} {pair[0]:g} against 0.5")


def test_best_values_on_both_sides_pass(folders: Folders) -> None:
    both = {"plain_covered": [0, 0.0], "masked_iou": [1, 1], "sharp_psnr": [inf, inf]}
    assert compared(folders, **both).passed


@pytest.mark.parametrize(
    ("name", "pair"), [("plain_covered", [1, 1]), ("masked_iou", [0, 0]), ("plain_ssim", [0, 0])]
)
def test_worst_values_on_both_sides_fail(folders: Folders, name: str, pair: list[int]) -> None:
    assert not compared(folders, **{name: pair}).passed


def test_all_failed_and_missing_gates_are_reported(folders: Folders) -> None:
    comparison = compared(
        folders, masked_psnr=[25.1, 25.5], masked_ssim=None, plain_covered=[0.002, 0.001]
    )
    assert comparison.reasons == (
        "masked_psnr 25.1 against 25.5 dB",
        "masked_ssim was not measured",
        "plain_covered 0.002 against 0.001",
    )
    assert "masked_ssim" not in "".join(gate_figures(entry("camera")))
    assert "plain_psnr 0.75 against 0.5 dB" in gate_figures(entry("camera"))


def test_gates_against_other_weights_fail(folders: Folders) -> None:
    (reason,) = compared(folders, sha256="ab" * 32).reasons
    assert reason.startswith("its gates were measured against another lite-camera (abababab, now ")
    folders.entries.clear()
    assert compared(folders, against="lite-x4").reasons == (
        "its gates were measured against lite-x4",
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"plain_psnr": ["nan", 1]}, "plain_psnr is not a pair of numbers"),
        ({"plain_psnr": [float("nan"), 1]}, "plain_psnr is not a pair of numbers"),
        ({"plain_psnr": [True, 1]}, "plain_psnr is not a pair of numbers"),
        ({"plain_psnr": [1, 2, 3]}, "plain_psnr is not a pair of numbers"),
        ({"plain_psnr": 1.5}, "plain_psnr is not a pair of numbers"),
        ({"beauty": [1, 2]}, "unknown key 'beauty'"),
        ({"sha256": "12"}, "not 64 lower-case hexadecimal digits"),
        ({"against": 3}, "against cannot be 3"),
        ({"protocol": ""}, "protocol cannot be ''"),
        ({"protocol": None}, "lacks the key 'protocol'"),
    ],
)
def test_an_invalid_table_of_gates_is_an_error_of_the_manifest(
    folders: Folders, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(WeightsCorruptError, match=message) as raised:
        compared(folders, **changes)
    assert "entry 'camera': its table of gates" in str(raised.value)


def test_gates_that_are_not_a_table_are_refused(folders: Folders) -> None:
    folders.add_uncarried("camera", b"large", gates=[1, 2])
    with pytest.raises(WeightsCorruptError, match="gates cannot be"):
        read_manifest(folders.override / "manifest.toml")
