"""Building networks by name."""

from __future__ import annotations

import pytest
import torch

from jdsr_cli.errors import UsageError
from jdsr_cli.networks import NETWORKS, JDSRConfig, JDSRGenerator, LiteConfig, LiteGenerator, build


def test_the_available_networks_are_listed() -> None:
    assert NETWORKS == ("lite", "burst", "jdsr")


def test_arguments_may_be_lists() -> None:
    arguments = {"lr_size": 16, "widths": [16, 16], "encoder_blocks": [1, 1], "decoder_blocks": [1]}
    network = build("lite", arguments)
    assert isinstance(network, LiteGenerator)
    assert network.config == LiteConfig(16, (16, 16), (1, 1), (1,))


def test_the_paper_generator_is_built() -> None:
    with torch.device("meta"):
        network = build("jdsr", {"grid": "lr", "landmarks": 68})
    assert isinstance(network, JDSRGenerator)
    assert network.config == JDSRConfig(grid="lr", landmarks=68)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("light", {}, "'light'.*lite, burst, jdsr"),
        ("lite", {"scale": 4}, "no argument 'scale'.*lr_size"),
        ("lite", {"lr_size": 48}, "lr_size is 48"),
        ("lite", {"widths": 16}, "widths is 16, a list is required"),
        ("jdsr", {"width": "wide"}, "a whole number is required"),
    ],
)
def test_invalid_networks_are_refused(
    name: str, arguments: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        build(name, arguments)
