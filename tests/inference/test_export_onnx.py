"""Export of generators to ONNX, and files that are not what they should be."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image, PngImagePlugin

from jdsr_cli.errors import InputError, UsageError, WeightsCorruptError
from jdsr_cli.faces.detection.centerface import _packaged_file
from jdsr_cli.inference import export
from jdsr_cli.inference.generator import ExportedGenerator
from jdsr_cli.inference.loading import open_generator
from jdsr_cli.media import write_image
from jdsr_cli.weights.registry import read_manifest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
Weights = Callable[[int], Path]


@pytest.fixture(scope="session")
def exported(tiny_weights: Weights, tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Small generators of two input sizes as ONNX."""
    folder = tmp_path_factory.mktemp("exported")
    sides = (32, 64)
    return {
        side: export.export_onnx(str(tiny_weights(side)), folder / f"{side}.onnx") for side in sides
    }


@pytest.mark.parametrize("side", [32, 64])
@pytest.mark.parametrize("backend", ["openvino", "onnx"])
def test_an_exported_generator_gives_the_pictures_of_torch(
    exported: dict[int, Path], tiny_weights: Weights, side: int, backend: str
) -> None:
    pytest.importorskip({"openvino": "openvino", "onnx": "onnxruntime"}[backend])
    crops = np.random.default_rng(0).integers(0, 256, (3, side, side, 3), np.uint8)
    expected = open_generator(str(tiny_weights(side)), "cpu", "float32", "torch").restore(crops)
    generator = open_generator(str(exported[side]), "cpu", "auto", backend)
    assert (generator.side, generator.precision, generator.backend) == (side, "float32", backend)
    found = generator.restore(crops)
    for one, other in zip(found[:2], expected[:2], strict=True):
        assert one.shape == other.shape
        assert np.abs(one.astype(int) - other).max() <= 1
    assert found.finite.all()
    alone = generator.restore(crops[1:2])
    np.testing.assert_array_equal(alone.images[0], found.images[1])


def test_a_file_of_another_precision_is_a_usage_error(exported: dict[int, Path]) -> None:
    pytest.importorskip("onnxruntime")
    with pytest.raises(UsageError, match="exported in float32, not int8"):
        open_generator(str(exported[32]), "cpu", "int8", "onnx")


def test_weights_are_exported_into_the_cache_where_a_backend_is_asked_for(
    tiny_weights: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    opened = open_generator(str(tiny_weights(32)), "cpu", "auto", "onnx")
    assert (opened.backend, opened.precision) == ("onnx", "float32")
    (file,) = (tmp_path / "jdsr" / "compiled").glob("*-float32.onnx")
    before = file.stat().st_mtime_ns
    open_generator(str(tiny_weights(32)), "cpu", "float32", "onnx")
    assert file.stat().st_mtime_ns == before
    with pytest.raises(UsageError, match="bfloat16 is not possible"):
        open_generator(str(tiny_weights(32)), "cpu", "bfloat16", "onnx")


def network(folder: Path, name: str, shape: list[Any], kind: int = 2) -> Path:
    """Write a network that returns its input."""
    values = [onnx.helper.make_tensor_value_info(one, kind, shape) for one in ("x", "y")]
    node = onnx.helper.make_node("Identity", ["x"], ["y"])
    graph = onnx.helper.make_graph([node], "g", values[:1], values[1:])
    opsets = [onnx.helper.make_opsetid("", 18)]
    path = folder / f"{name}.onnx"
    onnx.save(onnx.helper.make_model(graph, opset_imports=opsets, ir_version=9), path)
    return path


@pytest.mark.parametrize("backend", ["openvino", "onnx"])
@pytest.mark.parametrize("kind", ["dynamic", "fixed", "vector", "detector", "damaged"])
def test_a_network_that_is_no_generator_is_corrupt(
    exported: dict[int, Path], tmp_path: Path, kind: str, backend: str
) -> None:
    pytest.importorskip({"openvino": "openvino", "onnx": "onnxruntime"}[backend])
    shapes: dict[str, list[Any]] = {
        "dynamic": ["n", "h", "w", 3], "fixed": [1, 8, 8, 3], "vector": [1, 8],
    }  # fmt: skip
    if kind in shapes:
        path = network(tmp_path, kind, shapes[kind])
    elif kind == "detector":
        path = _packaged_file()
    else:
        path = tmp_path / "damaged.onnx"
        path.write_bytes(exported[32].read_bytes()[:2000])
    with pytest.raises(WeightsCorruptError, match="is not a"):
        ExportedGenerator(path, backend, None)


def test_int8_needs_pictures_of_the_right_size(tiny_weights: Weights, tmp_path: Path) -> None:
    weights, out = str(tiny_weights(32)), tmp_path / "out.onnx"
    pytest.importorskip("nncf")
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match="no PNG"):
        export.export_onnx(weights, out, tmp_path / "none")
    write_image(tmp_path / "none" / "a.png", np.zeros((16, 16, 3), np.uint8))
    with pytest.raises(InputError, match="32x32"):
        export.export_onnx(weights, out, tmp_path / "none")
    assert not out.exists()


def test_pictures_of_another_size_or_kind_are_not_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("it was decoded")

    path = tmp_path / "a.png"
    for pixels, form in ((32, "PNG"), (33, "PNG"), (32, "EPS"), (32, "TIFF")):
        Image.new("RGB", (pixels, pixels), (1, 2, 3)).save(path, format=form)
        if (pixels, form) == (32, "PNG"):
            (found,) = export._read_pictures(tmp_path, 32)
            assert found.shape == (1, 32, 32, 3)
            assert found[0, 0, 0].tolist() == [1, 2, 3]
            monkeypatch.setattr(PngImagePlugin.PngImageFile, "load_prepare", fail)
            monkeypatch.setattr(EpsImagePlugin, "Ghostscript", fail)
            continue
        with pytest.raises(InputError, match="32x32"):
            export._read_pictures(tmp_path, 32)


def test_a_missing_exporter_is_a_usage_error(
    tiny_weights: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "find_spec", lambda name: None if name == "onnxscript" else 1)
    with pytest.raises(UsageError, match="needs onnxscript"):
        export.export_onnx(str(tiny_weights(32)), tmp_path / "out.onnx")


ENTRY = """
[[weights]]
name = "mine"
file = "mine.safetensors"
sha256 = "{zeros}"
bytes = 10
network = "lite"
scale = 4
lr_size = 32
data = "d"
licence = "l"
commit = "c"
recipe = "r"

[weights.exports.int8]
{table}
"""
TABLE = 'file = "mine.onnx"\nsha256 = "{zeros}"\nbytes = 5\n'


def manifest(folder: Path, table: str) -> Path:
    path = folder / "manifest.toml"
    text = ENTRY.format(zeros="0" * 64, table=table.format(zeros="0" * 64))
    path.write_text(text, encoding="utf-8")
    return path


def test_exported_forms_are_listed(tmp_path: Path) -> None:
    (listed,) = read_manifest(manifest(tmp_path, TABLE))
    assert listed.exports["int8"].file == "mine.onnx"
    assert listed.exports["int8"].bytes == 5
    assert listed.exports["int8"].figures == {}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (TABLE.replace("bytes = 5\n", ""), "needs file, sha256, bytes"),
        (TABLE + 'url = "x"\n', "needs file, sha256, bytes"),
        (TABLE.replace("= 5", '= "5"'), "bytes cannot be '5'"),
        (TABLE.replace("{zeros}", "abc"), "64 lower-case"),
        (TABLE.replace("mine.onnx", "../mine.onnx"), "name without folders"),
    ],
)
def test_a_faulty_table_of_an_exported_form_is_an_error(
    tmp_path: Path, table: str, message: str
) -> None:
    with pytest.raises(WeightsCorruptError, match=message):
        read_manifest(manifest(tmp_path, table))
