"""`jdsr export`."""

from __future__ import annotations

from jdsr_cli.cli.options import with_options
from jdsr_cli.cli.terminal import write_line
from jdsr_cli.settings import NetworkExportSettings


@with_options
def export(settings: NetworkExportSettings) -> None:
    """Write a generator as ONNX, for OpenVINO and ONNX Runtime on a CPU.

    The file takes crops in uint8 and gives pictures in uint8; use it with
    'jdsr restore --weights FILE.onnx'. Needs the extra 'export'.
    """
    from jdsr_cli.inference.export import export_onnx
    from jdsr_cli.weights import sha256_of

    file = export_onnx(settings.weights, settings.onnx, settings.int8)
    write_line(f"{file}: {file.stat().st_size / 1e6:.1f} MB, SHA-256 {sha256_of(file)}")
    write_line(f"use it with: jdsr restore VIDEO --weights {file}")
