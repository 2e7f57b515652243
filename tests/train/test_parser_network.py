"""The face parser."""

import pytest
import torch

from jdsr_cli.errors import UsageError
from jdsr_train import losses
from jdsr_train.networks import Parser, labels


def test_the_parser_returns_logits_of_eleven_parts_for_every_pixel() -> None:
    with torch.device("meta"):
        parser = Parser()
        logits = parser(torch.zeros(2, 3, 128, 128))
    assert sum(weight.numel() for weight in parser.parameters()) == 1_949_131
    assert logits.shape == (2, 11, 128, 128)
    assert logits.dtype == torch.float32
    assert (parser.width, parser.levels) == (32, 4)


@pytest.mark.parametrize(("width", "levels"), [(4, 1), (2, 3)])
def test_other_sizes_are_supported(width: int, levels: int) -> None:
    parser = Parser(width=width, levels=levels)
    assert parser(torch.rand(1, 3, 16, 24)).shape == (1, 11, 16, 24)


def test_sizes_that_cannot_be_built_are_refused() -> None:
    with pytest.raises(UsageError, match="width 0"):
        Parser(width=0)
    with pytest.raises(UsageError, match="0 levels"):
        Parser(levels=0)


def test_labels_are_the_most_likely_classes() -> None:
    expected = torch.tensor([[[0, 10], [3, 5]]])
    logits = torch.nn.functional.one_hot(expected, 11).permute(0, 3, 1, 2).float()
    actual = labels(logits)
    assert actual.dtype == torch.int64
    assert torch.equal(actual, expected)


def test_the_parser_learns_the_parts() -> None:
    torch.manual_seed(0)
    parser = Parser(width=8, levels=1)
    parts = torch.zeros(2, 8, 8, dtype=torch.int64)
    parts[:, 2:6, 2:6], parts[:, 4:6, 4:6] = 1, 6
    images = torch.rand(2, 3, 8, 8) * 0.2 + parts[:, None] / 10
    optimiser = torch.optim.Adam(parser.parameters(), 2e-2)
    values = []
    for _ in range(30):
        optimiser.zero_grad()
        loss = losses.parsing_loss(parser(images), parts, "ce")
        loss.backward()
        optimiser.step()
        values.append(float(loss.detach()))
    assert values[-1] < 0.1 * values[0]
    assert float((labels(parser(images)) == parts).float().mean()) > 0.95
