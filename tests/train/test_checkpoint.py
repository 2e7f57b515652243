"""Checkpoints are whole or not there."""

from pathlib import Path

import pytest
import torch

from jdsr_cli.errors import OutputError
from jdsr_train import checkpoint
from jdsr_train.trainer import CHECKPOINT


def test_a_checkpoint_that_cannot_be_written_is_an_output_error(tmp_path: Path) -> None:
    path = tmp_path / "absent" / CHECKPOINT
    with pytest.raises(OutputError, match=r"checkpoint\.pt: the checkpoint cannot be written"):
        checkpoint.save(path, {"recipe": {}})


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_a_full_disk_leaves_the_old_checkpoint(tmp_path: Path) -> None:
    path, partial = tmp_path / CHECKPOINT, tmp_path / "checkpoint.part"
    checkpoint.save(path, {"recipe": {}, "value": torch.ones(3)})
    assert not partial.exists()
    partial.symlink_to("/dev/full")
    with pytest.raises(OutputError, match="cannot be written"):
        checkpoint.save(path, {"recipe": {}, "value": torch.zeros(100_000)})
    assert not partial.is_symlink()
    assert checkpoint.load(path, {})["value"].tolist() == [1, 1, 1]
