"""Open face recognition networks: ONNX, which is data alone, or TorchScript, which holds code.

A TorchScript file is a program: it can read and write any file that the user can. ONNX files that
refer to other files are refused.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jdsr_cli.errors import UsageError, WeightsCorruptError, WeightsMissingError

if TYPE_CHECKING:
    from torch import Tensor

ONNX = ".onnx"
Network = Callable[["Tensor"], object]
"""Takes (B, 3, 112, 112) RGB 0 to 255, float32 on the CPU."""


def open_recognition(path: Path, device: str) -> Network:
    """Open a network by the suffix of its file: ONNX, or TorchScript for any other.

    Args:
        path: The file. ONNX runs in OpenVINO or ONNX Runtime on the CPU, one face at a time.
        device: Where TorchScript runs.

    Raises:
        WeightsMissingError: The file does not exist.
        WeightsCorruptError: It is not such a file.
        UsageError: It is ONNX, and neither package is installed.

    """
    if not path.is_file():
        raise WeightsMissingError("no identity network", where=path, hint="Give --identity FILE")
    return _onnx(path) if path.suffix == ONNX else _torchscript(path, device)


def _onnx(path: Path) -> Network:
    from jdsr_cli.inference.backends import resolve_backend
    from jdsr_cli.inference.models import open_model

    backend = resolve_backend("auto", "cpu")
    if backend == "torch":
        raise UsageError(
            "an ONNX network needs OpenVINO or ONNX Runtime",
            where=path,
            hint="Run `pip install 'jdsr[cpu]'`.",
        )
    model = open_model(path, backend)

    def run(faces: Tensor) -> object:
        import torch

        try:
            rows = [outputs[0] for outputs in model.run_each(faces.numpy())]
            return torch.from_numpy(np.concatenate(rows))
        except (IndexError, TypeError, ValueError) as error:
            raise RuntimeError("no vectors") from error

    return run


def _torchscript(path: Path, device: str) -> Network:
    import torch

    try:
        with warnings.catch_warnings():
            # torch discourages TorchScript for new files; existing networks are such files.
            warnings.simplefilter("ignore", FutureWarning)
            warnings.simplefilter("ignore", DeprecationWarning)
            network = torch.jit.load(  # type: ignore[no-untyped-call]
                str(path), map_location=device
            ).eval()
    except (RuntimeError, ValueError, OSError) as error:
        raise WeightsCorruptError(
            "is neither an ONNX (.onnx) nor a TorchScript network", where=path
        ) from error
    return lambda faces: network(faces.to(device))
