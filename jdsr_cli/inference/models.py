"""Exported networks that are open for inference in OpenVINO or ONNX Runtime.

Outputs come in the order of the file. Examples of one shape run one by one, in as many streams as
there are threads, so that no result depends on the others in its batch.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.errors import WeightsCorruptError
from jdsr_cli.inference.backends import compiled_directory, cpu_threads
from jdsr_cli.inference.offline_imports import import_offline

Outputs = tuple[NDArray[Any], ...]
Shape = tuple[int | None, ...]
COMPILED_FROM = 3
"""Number of the picture of one size with which the network is compiled for that size."""
SMALL_PIXELS = 256 * 256
"""Pixels up to which a picture of a compiled size runs in one thread. With two, a run on two cores
takes 5 % longer: the other stages wait for a core."""
COMPILED_SIZES = 12
"""Most sizes for which a network stays compiled."""
_OTHER_FILE = b"\x0a\x08location"
"""Key of the place of weights that are not in the ONNX file, as an entry of `external_data`."""


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
        WeightsCorruptError: The file is not a network that the backend can run, or refers to other
            files.

    """
    if _OTHER_FILE in path.read_bytes():
        raise WeightsCorruptError(
            "refers to other files, which are not read",
            where=path,
            hint="Export the network again, with its weights in the same file.",
        )
    return OpenVinoModel(path) if backend == "openvino" else OnnxRuntimeModel(path)


class OpenVinoModel:
    """An `ExportedModel` in OpenVINO, compiled for a batch of one and kept in the cache of jdsr.

    Args:
        path: The ONNX file.

    Raises:
        WeightsCorruptError: The file is not a network that OpenVINO can run.

    """

    backend = "openvino"

    def __init__(self, path: Path) -> None:
        openvino = import_offline("openvino")
        threads = cpu_threads()
        model = _read(path)
        self.input_name = model.input(0).get_any_name()
        self.input_shape = _batch_of_one(model, path)
        self._compiled = _compile(model, path, self.input_shape, streams=threads)
        self._request = self._compiled.create_infer_request()
        self._queue = openvino.AsyncInferQueue(self._compiled) if threads > 1 else None

    def run(self, batch: NDArray[Any]) -> Outputs:
        """Return its outputs for one input."""
        return _infer(self._request, batch)

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
        if () in results:
            # Its thread drops errors of `keep`, which needs nothing but memory.
            raise MemoryError("a result of OpenVINO is missing")
        return results


class OpenVinoImageModel:
    """A network for pictures (n, 3, H, W) of any size in OpenVINO.

    It receives them as uint8 (n, H, W, 3) and converts them itself, which takes less memory than
    arrays in float32: 75 MB at 1920x1080.

    A network compiled for one size takes half of the time of one for any size on small pictures,
    but a tenth of a second to compile: sizes that come again are compiled.

    Args:
        path: The ONNX file.

    Raises:
        WeightsCorruptError: The file is not a network that OpenVINO can run.

    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._model = _receive_bytes(_read(path))
        self._compiled = _compile(self._model, path, (None, None, None, 3))
        self._any_size = self._compiled.create_infer_request()
        self._uses: Counter[Shape] = Counter()
        self._requests: OrderedDict[Shape, Any] = OrderedDict()

    def run(self, batch: NDArray[np.uint8]) -> Outputs:
        """Return the outputs for some pictures (n, H, W, 3) of one size."""
        shape: Shape = (1, *batch.shape[1:])
        self._uses[shape] += len(batch)
        if self._uses[shape] < COMPILED_FROM:
            return _infer(self._any_size, batch)
        request = self._requests.get(shape)
        if request is None:
            small = batch.shape[1] * batch.shape[2] <= SMALL_PIXELS
            compiled = _compile(self._model, self._path, shape, threads=1 if small else None)
            request = self._requests[shape] = compiled.create_infer_request()
            # The network for any size keeps buffers for its largest picture, 0.4 GB at 1920 x 1080.
            self._compiled.release_memory()
            if len(self._requests) > COMPILED_SIZES:
                self._requests.popitem(last=False)
        self._requests.move_to_end(shape)
        results = [_infer(request, batch[number : number + 1]) for number in range(len(batch))]
        return tuple(np.concatenate(parts) for parts in zip(*results, strict=True))


@cache
def _core() -> Any:
    """Return OpenVINO, of which a process must have one instance that lasts.

    Its CPU plugin sets the stack of signal handlers, and the one before when an instance ends. With
    two instances that end in the order in which they began, that one is freed memory, and the next
    signal that Python handles (Ctrl-C, the end of a child) ends the process.
    """
    return import_offline("openvino").Core()


def _read(path: Path) -> Any:
    """Return the network of a file for OpenVINO."""
    try:
        return _core().read_model(str(path))
    except RuntimeError as error:
        raise _corrupt(path, OpenVinoModel.backend) from error


def _receive_bytes(model: Any) -> Any:
    """Return a network for pictures with an input of uint8 (n, H, W, 3) in the same range."""
    from openvino import Layout, Type
    from openvino.preprocess import PrePostProcessor

    processor = PrePostProcessor(model)
    given = processor.input()
    given.tensor().set_element_type(Type.u8).set_layout(Layout("NHWC"))
    given.model().set_layout(Layout("NCHW"))
    return processor.build()


def _compile(
    model: Any, path: Path, shape: Shape, streams: int = 1, threads: int | None = None
) -> Any:
    """Return the network compiled for inputs of one shape, or of any length where it has None.

    Args:
        model: The network.
        path: Its file.
        shape: Shape of the input.
        streams: Inputs that run at the same time.
        threads: Threads in all; None for all that this process may use.

    """
    threads = threads or cpu_threads()
    hint = "LATENCY" if streams == 1 else "THROUGHPUT"
    options = {
        "INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": hint, "NUM_STREAMS": streams,
        # As the file says: by default, processors that have bfloat16 compute with it.
        "INFERENCE_PRECISION_HINT": "f32", "CACHE_DIR": str(compiled_directory()),
    }  # fmt: skip
    try:
        shaped = model.clone()
        shaped.reshape([-1 if length is None else length for length in shape])
        return _core().compile_model(shaped, "CPU", options)
    except RuntimeError as error:
        raise _corrupt(path, OpenVinoModel.backend) from error


def _infer(request: Any, batch: NDArray[Any]) -> Outputs:
    return tuple(np.array(value) for value in request.infer([batch], share_inputs=True).values())


def _batch_of_one(model: Any, path: Path) -> Shape:
    """Return the input shape of a network with the batch replaced by one."""
    lengths = list(model.input(0).partial_shape)[1:]
    if not all(length.is_static for length in lengths):
        raise _corrupt(path, OpenVinoModel.backend)
    return (1, *(length.get_length() for length in lengths))


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
