"""Checkpoints are written completely or not at all."""

from pathlib import Path

import pytest
import torch

from jdsr_cli.errors import OutputError
from jdsr_train.training import checkpoint
from jdsr_train.training.trainer import CHECKPOINT


def test_a_checkpoint_that_cannot_be_written_is_an_output_error(tmp_path: Path) -> None:
    path = tmp_path / "absent" / CHECKPOINT
    with pytest.raises(OutputError, match=r"checkpoint\.pt: cannot be written"):
        checkpoint.save(path, {"recipe": {}})


@pytest.mark.parametrize("fault", [OSError(28, "No space left"), RuntimeError("write failed")])
def test_a_full_disk_leaves_the_old_checkpoint(
    fault: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / CHECKPOINT
    checkpoint.save(path, {"recipe": {}, "value": torch.ones(3)})

    def half(state: object, target: Path) -> None:
        target.write_bytes(b"half")
        raise fault

    with monkeypatch.context() as patched:
        patched.setattr(torch, "save", half)
        with pytest.raises(OutputError, match="cannot be written"):
            checkpoint.save(path, {"recipe": {}, "value": torch.zeros(3)})
    assert [entry.name for entry in tmp_path.iterdir()] == [CHECKPOINT]
    assert checkpoint.load(path, {})["value"].tolist() == [1, 1, 1]
