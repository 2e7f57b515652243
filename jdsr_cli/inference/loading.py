"""Open a generator by the name or file of its weights, in the backend that is asked for."""

from __future__ import annotations

from pathlib import Path

from jdsr_cli.errors import UsageError
from jdsr_cli.inference.backends import compiled_directory, resolve_backend
from jdsr_cli.inference.generator import EXPORT_FORMAT, ExportedGenerator, GeneratorNetwork
from jdsr_cli.weights.bases import base_of_file
from jdsr_cli.weights.locations import sha256_of
from jdsr_cli.weights.names import entry_of_file, no_such_file, path_of
from jdsr_cli.weights.registry import WeightEntry, entry, verify_export

ONNX = ".onnx"
EXPORTED_PRECISIONS = ("int8", "float32")
"""Precisions of exported generators, the fastest first."""


def open_generator(
    name_or_path: str,
    device: str = "cpu",
    precision: str = "auto",
    backend: str = "auto",
    *,
    batch: int = 32,
) -> GeneratorNetwork:
    """Open a generator.

    Exported weights are those that the manifest lists beside an entry, or an ONNX file. ``auto``
    runs them in the first installed of OpenVINO and ONNX Runtime on a CPU; everything else runs in
    torch. Where ``openvino`` or ``onnx`` is asked for, weights without an exported form are
    exported in float32 once and kept in the cache of jdsr.

    Args:
        name_or_path: Name of a manifest entry, or a safetensors or ONNX file.
        device: ``cpu``, or the name of another device of torch.
        precision: ``auto``, ``int8`` (exported weights only), ``float32``, ``bfloat16`` or
            ``float16``. ``auto`` is the fastest exported one, or torch's choice.
        backend: ``auto``, ``torch``, ``openvino`` or ``onnx``.
        batch: Faces in each pass on a GPU.

    Raises:
        UsageError: The combination is not possible, or the weights extend others and restore no
            single shots.
        WeightsError: The weights are missing, altered or cannot be read.
        DeviceError: The device is not on this machine.

    """
    _refuse_extensions(name_or_path)
    if Path(name_or_path).suffix == ONNX:
        return _open_file(Path(name_or_path), device, precision, backend)
    chosen = resolve_backend(backend, device)
    if chosen != "torch":
        wanted = EXPORTED_PRECISIONS if precision == "auto" else (precision,)
        listed = _find_entry(name_or_path)
        files = (verify_export(listed, one) for one in wanted) if listed is not None else ()
        path = next((file for file in files if file is not None), None)
        if path is not None:
            return ExportedGenerator(path, chosen, listed)
    if precision == "int8":
        raise UsageError(
            f"{name_or_path} cannot run in int8 on this machine",
            where="--precision",
            hint="It needs an int8 export (`jdsr export --int8`), a CPU, and OpenVINO or ONNX "
            "Runtime.",
        )
    if backend in ("auto", "torch"):
        return _open_torch(name_or_path, device, precision, batch)
    if precision not in ("auto", "float32"):
        raise UsageError(
            f"{precision} is not possible with the backend {chosen}",
            where="--precision",
            hint="Use auto, float32, or --backend torch.",
        )
    return _convert(name_or_path, chosen)


def _refuse_extensions(name_or_path: str) -> None:
    """Raise `UsageError` for weights that restore several shots of a face and extend others."""
    path = path_of(name_or_path)
    if path is None:
        base = entry(name_or_path).base
    else:
        stated = base_of_file(path)
        base = None if stated is None else stated.name
    if base is not None:
        raise UsageError(
            f"{name_or_path} restores fused faces only, from several shots; single faces, their "
            "doubt and their calibrations need its base",
            where="--weights",
            hint=f"Use --weights {base}: fused faces are then restored with the weights that "
            "extend it.",
        )


def _open_file(path: Path, device: str, precision: str, backend: str) -> GeneratorNetwork:
    """Open an ONNX file; its precision is what it is."""
    if not path.is_file():
        raise no_such_file(path)
    chosen = resolve_backend(backend, device)
    if chosen == "torch":
        raise UsageError(
            "exported networks run in OpenVINO or ONNX Runtime on a CPU, not in torch",
            where=path,
            hint="Use --device cpu and install one of them: pip install 'jdsr[cpu]'.",
        )
    generator = ExportedGenerator(path, chosen, entry_of_file(path, sha256_of(path)))
    if precision not in ("auto", generator.precision):
        raise UsageError(
            f"the network was exported in {generator.precision}, not {precision}",
            where=path,
            hint="Leave --precision out.",
        )
    return generator


def _find_entry(name_or_path: str) -> WeightEntry | None:
    """Return the manifest entry of weights, None for a file that no manifest lists."""
    path = path_of(name_or_path)
    return entry_of_file(path, sha256_of(path)) if path is not None else entry(name_or_path)


def _open_torch(name_or_path: str, device: str, precision: str, batch: int) -> GeneratorNetwork:
    from jdsr_cli.inference.torch_generator import TorchGenerator
    from jdsr_cli.weights import load_generator

    return TorchGenerator(load_generator(name_or_path, device, precision), batch)


def _convert(name_or_path: str, backend: str) -> GeneratorNetwork:
    """Open weights that have no exported form, which is made in the cache if it is missing."""
    path = path_of(name_or_path)
    digest = entry(name_or_path).sha256 if path is None else sha256_of(path)
    file = compiled_directory() / f"{digest[:32]}-{EXPORT_FORMAT}-float32{ONNX}"
    if not file.is_file():
        from jdsr_cli.inference.export import export_onnx

        export_onnx(name_or_path, file)
    return ExportedGenerator(file, backend, _find_entry(name_or_path))
