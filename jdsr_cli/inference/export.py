"""Export of generators to ONNX, in float32 or with int8 convolutions."""

from __future__ import annotations

import contextlib
import io
import logging
import re
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from jdsr_cli.atomic import atomic_file
from jdsr_cli.errors import InputError, UsageError
from jdsr_cli.inference.generator import INPUT_NAME
from jdsr_cli.inference.offline_imports import import_offline
from jdsr_cli.inference.torch_generator import FusedGenerator, fold_batch_normalisation
from jdsr_cli.weights import load_generator

OPSET = 18
OUTPUTS = ("images", "occlusions", "finite")
CALIBRATION = 300
"""Most pictures from which the ranges of activations are measured."""
QUANTISED = re.compile(r"\.(conv1|conv2)\.weight$|\.(down|up)\.\d+\.weight$")
"""Weights of the convolutions that are quantised: those of residual blocks, and between levels.

They are nine tenths of the multiplications. The first and last layers, the attention and all
additions stay in float32: with them in int8 faces of lite-camera differ from float32 by 32 dB, with
these convolutions alone by 52 dB.
"""


def export_onnx(weights: str, file: Path, calibration: Path | None = None) -> Path:
    """Write a generator as ONNX with conversion from and to uint8; see `FusedGenerator`.

    Args:
        weights: Name of a manifest entry, or a weight file.
        file: The file to be written.
        calibration: Folder of inputs of the generator (PNG, also in sub-folders), such as
            `jdsr eval --write-inputs` writes; with it the convolutions of blocks become int8.

    Raises:
        UsageError: A package that is needed is not installed.
        InputError: The folder has no pictures of the input's size.
        WeightsError: The weights are missing, altered or cannot be read.
        OutputError: The file cannot be written.

    """
    _require("onnx", "onnxscript", *(["nncf"] if calibration else []))
    import onnx

    loaded = load_generator(weights, "cpu", "float32")
    pictures = None if calibration is None else _read_pictures(calibration, loaded.lr_size)
    fused = FusedGenerator(fold_batch_normalisation(loaded.network)).eval()
    name = INPUT_NAME + ("float32" if pictures is None else "int8")
    example = torch.zeros(2, loaded.lr_size, loaded.lr_size, 3, dtype=torch.uint8)
    with _quiet():
        program = torch.onnx.export(
            fused, (example,), dynamo=True, opset_version=OPSET, verbose=False,
            input_names=[name], output_names=list(OUTPUTS),
            dynamic_shapes=({0: torch.export.Dim("faces")},),
        )  # fmt: skip
    assert program is not None
    model = program.model_proto
    if pictures is not None:
        model = _quantise(model, name, pictures)
    model.doc_string = f"Generator with the weights {loaded.sha256}"
    file.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(file) as part:
        onnx.save(model, str(part))
    return file


def _require(*packages: str) -> None:
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        raise UsageError(
            f"exporting networks needs {' and '.join(missing)}",
            hint="Run `pip install 'jdsr[export]'`.",
        )


def _read_pictures(folder: Path, side: int) -> list[NDArray[np.uint8]]:
    """Return evenly spaced pictures of a folder, each RGB uint8 (1, side, side, 3)."""
    paths = sorted(folder.rglob("*.png"))
    count = min(CALIBRATION, len(paths))
    chosen = [paths[number * len(paths) // count] for number in range(count)]
    pictures = []
    for path in chosen:
        try:
            with Image.open(path, formats=("PNG",)) as picture:
                # A picture of another size is not decoded: it may state any.
                expected = picture.size == (side, side)
                image = np.asarray(picture.convert("RGB"), np.uint8) if expected else None
        except Exception:  # Pillow raises errors of any type for damaged files
            image = None
        if image is None:
            raise InputError(
                f"is not a picture of {side}x{side} pixels",
                where=path,
                hint="Give the inputs that `jdsr eval --write-inputs` writes for these weights.",
            )
        pictures.append(image[None])
    if not pictures:
        raise InputError(
            "has no PNG pictures",
            where=folder,
            hint="Give the inputs that `jdsr eval --write-inputs` writes for these weights.",
        )
    return pictures


def _quantise(model: Any, name: str, pictures: list[NDArray[np.uint8]]) -> Any:
    """Return the network with int8 convolutions in its blocks (NNCF, symmetric weights)."""
    with _quiet():
        nncf = import_offline("nncf")
        ignored = [
            node.name
            for node in model.graph.node
            if not (node.op_type == "Conv" and QUANTISED.search(node.input[1]))
        ]
        return nncf.quantize(
            model,
            nncf.Dataset([{name: picture} for picture in pictures]),
            subset_size=len(pictures),
            preset=nncf.QuantizationPreset.MIXED,
            ignored_scope=nncf.IgnoredScope(names=ignored, validate=False),
        )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the reports of the exporters from the terminal."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
