"""Exported networks that are open for inference in OpenVINO or ONNX Runtime.

Outputs come in the order of the file. Examples of one shape run one by one, in as many streams as
there are threads, so that no result depends on the others in its batch.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.errors import WeightsCorruptError
from jdsr_cli.inference.backends import compiled_directory, cpu_threads

Outputs = tuple[NDArray[Any], ...]
Shape = tuple[int | None, ...]


class ExportedModel(Protocol):
    """An open exported network with one input."""

    backend: str
    input_name: str
    """Name of its input."""
    input_shape: Shape
    """Shape of its input; None where any length is allowed."""

    def run(self, batch: NDArray[Any]) -> Outputs:
        """Return its outputs for one input."""

    def run_each(self, examples: NDArray[Any]) -> list[Outputs]:
        """Return the outputs for each example (n, ...), as an input with a batch of one."""


def open_model(path: Path, backend: str) -> ExportedModel:
    """Open an ONNX file for batches of one, otherwise of the shape that the file states.

    Args:
        path: The file.
        backend: ``openvino`` or ``onnx``; it must be installed.

    Raises:
        WeightsCorruptError: The file is not a network that the backend can run.

    """
    return OpenVinoModel(path) if backend == "openvino" else OnnxRuntimeModel(path)


class OpenVinoModel:
    """An `ExportedModel` in OpenVINO.

    Args:
        path: The ONNX file.
        shape: Shape of the inputs; None for a batch of one and otherwise the shape that the file
            states. Such networks are compiled once and kept in the cache of jdsr.

    Raises:
        WeightsCorruptError: The file is not a network that OpenVINO can run.

    """

    backend = "openvino"

    def __init__(self, path: Path, shape: Shape | None = None) -> None:
        import openvino

        threads = cpu_threads()
        options: dict[str, Any] = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
        core = openvino.Core()
        if shape is None:
            core.set_property({"CACHE_DIR": str(compiled_directory())})
            options |= {"PERFORMANCE_HINT": "THROUGHPUT", "NUM_STREAMS": threads}
        try:
            model = core.read_model(str(path))
            self.input_shape = shape or _batch_of_one(model)
            model.reshape([-1 if length is None else length for length in self.input_shape])
            self._compiled = core.compile_model(model, "CPU", options)
        except RuntimeError as error:
            raise _corrupt(path, self.backend) from error
        self.input_name = model.input(0).get_any_name()
        self._request = self._compiled.create_infer_request()
        self._queue = openvino.AsyncInferQueue(self._compiled) if threads > 1 else None

    def run(self, batch: NDArray[Any]) -> Outputs:
        """Return its outputs for one input."""
        found = self._request.infer([batch], share_inputs=True)
        return tuple(np.array(value) for value in found.values())

    def run_each(self, examples: NDArray[Any]) -> list[Outputs]:
        """Return the outputs for each example."""
        if self._queue is None:
            return [self.run(examples[number : number + 1]) for number in range(len(examples))]
        results: list[Outputs] = [()] * len(examples)

        def keep(request: Any, number: int) -> None:
            results[number] = tuple(np.array(one.data) for one in request.output_tensors)

        self._queue.set_callback(keep)
        for number in range(len(examples)):
            self._queue.start_async([examples[number : number + 1]], number)
        self._queue.wait_all()
        return results


def _batch_of_one(model: Any) -> Shape:
    """Return the input shape of a network with the batch replaced by one."""
    return (1, *(one.get_length() for one in model.input(0).partial_shape[1:]))


class OnnxRuntimeModel:
    """An `ExportedModel` in ONNX Runtime.

    Args:
        path: The ONNX file.

    Raises:
        WeightsCorruptError: The file is not a network that ONNX Runtime can run.

    """

    backend = "onnx"

    def __init__(self, path: Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = cpu_threads()
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its exceptions have no common base class
            raise _corrupt(path, self.backend) from error
        given = self._session.get_inputs()[0]
        self.input_name = given.name
        self.input_shape = (1, *given.shape[1:])

    def run(self, batch: NDArray[Any]) -> Outputs:
        """Return its outputs for one input."""
        return tuple(self._session.run(None, {self.input_name: batch}))

    def run_each(self, examples: NDArray[Any]) -> list[Outputs]:
        """Return the outputs for each example."""
        return [self.run(examples[number : number + 1]) for number in range(len(examples))]


def _corrupt(path: Path, backend: str) -> WeightsCorruptError:
    return WeightsCorruptError(
        f"is not a network that {backend} can run",
        where=path,
        hint="Export it again with `jdsr export`, or take the file from its source again.",
    )
