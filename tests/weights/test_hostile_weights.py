"""Weight files that anybody may have written: bounded in time and memory, one line, exit code 5."""

from __future__ import annotations

import io
import json
import pickle
import struct
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from weight_folders import TINY, Folders

from jdsr_cli.errors import WeightsCorruptError, WeightsError, WeightsMissingError
from jdsr_cli.inference.loading import open_generator
from jdsr_cli.networks import build
from jdsr_cli.weights import load_generator, load_state, read_state_dict, save_network
from jdsr_cli.weights.headers import read_metadata

TENSOR = {"dtype": "F16", "shape": [1], "data_offsets": [0, 2]}
NESTED = "[" * 100_000 + "]" * 100_000


def refused(action: Callable[[], object]) -> str:
    """Return the message of an error with exit code 5, which must be one short line."""
    with pytest.raises(WeightsError) as raised:
        action()
    message = str(raised.value)
    assert raised.value.exit_code == 5
    assert message.isprintable()
    assert len(message) < 1500
    return message


def raw(path: Path, header: bytes, values: bytes = b"\0\0", length: int | None = None) -> Path:
    stated = len(header) if length is None else length
    path.write_bytes(struct.pack("<Q", stated) + header + values)
    return path


def described(path: Path, network: str, arguments: object) -> Path:
    """Write a file whose metadata state a network."""
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    header = {"__metadata__": {"network": network, "arguments": text}, "x": TENSOR}
    return raw(path, json.dumps(header).encode())


@pytest.mark.parametrize(
    ("network", "arguments"),
    [
        ("lite", {**TINY, "widths": [10**9, 16]}),
        ("lite", {**TINY, "widths": [10**30, 16]}),
        ("lite", {**TINY, "widths": [0, 16]}),
        ("lite", '{"tail_width": ' + "9" * 5000 + "}"),
        ("lite", {**TINY, "encoder_blocks": [10**6, 1]}),
        ("lite", {**TINY, "encoder_blocks": [8192, 8192]}),
        ("lite", {"widths": [16] * 10**5, "encoder_blocks": [1] * 10**5}),
        ("lite", '{"tail_width": NaN}'),
        ("lite", '{"tail_width": Infinity}'),
        ("lite", {**TINY, "tail_width": 16.5}),
        ("lite", {**TINY, "tail_width": -16}),
        ("lite", {**TINY, "tail_blocks": True}),
        ("lite", {**TINY, "tail_width": "x" * 10_000_000}),
        ("lite", {**TINY, "x" * 10_000_000: 1}),
        ("lite", {**TINY, "widths": {"a": 1}}),
        ("lite", {**TINY, "widths": "ab"}),
        ("lite", '{"tail_width": 16, "tail_width": 32}'),
        ("l" * 5_000_000, TINY),
        ("li\nte\x1b[31m", TINY),
        ("lite", NESTED),
        ("lite", '{"widths": ' + NESTED + "}"),
        ("lite", "null"),
        ("jdsr", {"hourglass_blocks": 10**6}),
        ("jdsr", {"landmarks": 10**12}),
        ("jdsr", {"attention": "x"}),
        ("burst", {"rank": 10**9}),
        ("srfbn", {"feedback_steps": 10**9}),
        ("chain", {"super_resolver": "drn", "arguments": {"blocks": 10**6}}),
        ("chain", {"super_resolver": "x\n" * 10**6}),
    ],
    ids=range(29),
)
def test_absurd_arguments_are_refused(
    folders: Folders, tmp_path: Path, network: str, arguments: object
) -> None:
    path = described(tmp_path / "a.safetensors", network, arguments)
    refused(lambda: open_generator(str(path), "cpu", backend="torch"))


META = b'"__metadata__": {"network": "lite", "arguments": "{}"}'


def header(table: str, name: str = "a") -> bytes:
    return b'{%s, "%s": %s}' % (META, name.encode(), table.encode())


@pytest.mark.parametrize(
    ("content", "length"),
    [
        (b"{}", 2**60),
        (b"{}", 2**64 - 1),
        (b"{}", 99_000_000),
        (b"", 0),
        (NESTED.encode(), None),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, None),
        (b'{"__metadata__": ' + NESTED.encode() + b"}", None),
        (b'{"__metadata__": null, "a": ' + json.dumps(TENSOR).encode() + b"}", None),
        (b'{"__metadata__": {"network": 1}}', None),
        (b"{" + META + b", " + META + b"}", None),
        (header('{"dtype": "F16", "shape": [%s], "data_offsets": [0, 2]}' % ("9" * 5000)), None),
        (
            header(json.dumps({**TENSOR, "shape": [1] * 100_000})),
            None,
        ),
        (header(json.dumps({**TENSOR, "shape": [True]})), None),
        (header(json.dumps({**TENSOR, "shape": None})), None),
        (header("1"), None),
        (
            b"{%s, %s}"
            % (META, b", ".join(b'"%d": {"shape": [0]}' % number for number in range(30_000))),
            None,
        ),
        (header(json.dumps(TENSOR)) + b" " * 10_000_000, None),
    ],
    ids=range(17),
)
def test_absurd_headers_are_refused_wherever_they_are_read(
    folders: Folders, tmp_path: Path, content: bytes, length: int | None
) -> None:
    path = raw(tmp_path / "a.safetensors", content, length=length)
    for read in (read_metadata, read_state_dict, load_generator, open_generator):
        assert "safetensors" in refused(partial(read, path))


@pytest.mark.parametrize(
    "tables",
    [
        {"a": TENSOR, "b": TENSOR},
        {"a": {**TENSOR, "data_offsets": [0, 2000]}},
        {"a": {**TENSOR, "data_offsets": [-2, 0]}},
        {"a": {**TENSOR, "data_offsets": [2, 0]}},
        {"a": {**TENSOR, "shape": [2**62]}},
        {"a": {**TENSOR, "shape": [2**32, 2**32]}},
        {"a": {**TENSOR, "shape": [2**63, 2], "data_offsets": [0, 0]}},
        {"a": {**TENSOR, "dtype": "F4"}},
        {"a": {**TENSOR, "dtype": "C64", "data_offsets": [0, 8]}},
    ],
    ids=range(9),
)
def test_absurd_tensors_are_refused(tmp_path: Path, tables: dict[str, object]) -> None:
    path = raw(tmp_path / "a.safetensors", json.dumps(tables).encode(), b"\0" * 8)
    refused(lambda: read_state_dict(path))


def test_a_base_that_is_no_name_has_exit_code_5(folders: Folders, tmp_path: Path) -> None:
    folders.add("tiny")
    stored = {"network": "burst", "arguments": "{}", "base": "../../../etc/passwd"}
    path = raw(
        tmp_path / "a.safetensors", json.dumps({"__metadata__": stored, "x": TENSOR}).encode()
    )
    with pytest.raises(WeightsMissingError, match="which no manifest lists"):
        load_generator(path, "cpu")


def test_a_flipped_byte_of_an_unlisted_file_is_found(folders: Folders, tmp_path: Path) -> None:
    path = tmp_path / "own.safetensors"
    save_network(path, "lite", TINY, build("lite", TINY))
    assert load_generator(path, "cpu").lr_size == 16
    data = bytearray(path.read_bytes())
    data[-1000] ^= 1
    path.write_bytes(data)
    assert "SHA-256" in refused(lambda: load_generator(path, "cpu"))
    assert "SHA-256" in refused(lambda: read_state_dict(path))


def test_a_file_that_the_manifest_beside_it_lists_otherwise_is_refused(
    folders: Folders, tmp_path: Path
) -> None:
    path = tmp_path / "own.safetensors"
    module = build("lite", TINY)
    state = {name: value.half() for name, value in module.state_dict().items()}
    stored = {"network": "lite", "arguments": json.dumps(TINY)}
    folders.add("tiny")
    safetensors.torch.save_file(state, path, stored)
    folders.write(tmp_path, [folders.describe("own", path.name, path.read_bytes())])
    assert load_generator(path, "cpu").lr_size == 16
    data = bytearray(path.read_bytes())
    data[-1000] ^= 1
    path.write_bytes(data)
    for read in (load_generator, open_generator):
        assert "SHA-256" in refused(partial(read, path))


class Executed:
    """An object whose pickle creates a file when it is read."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.marker,)


def _archive(entries: dict[str, bytes], kind: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", kind) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return stream.getvalue()


def _saved(value: object, **options: object) -> bytes:
    stream = io.BytesIO()
    torch.save(value, stream, **options)  # type: ignore[arg-type]
    return stream.getvalue()


def _npz(value: object) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, a=np.array([value], object))
    return stream.getvalue()


def _pickles(trap: Executed) -> dict[str, bytes]:
    data = pickle.dumps({"a": trap})
    return {
        "torch": _saved({"a": trap}),
        "torch before 1.6": _saved({"a": trap}, _use_new_zipfile_serialization=False),
        "pickle": data,
        "pickle 0": pickle.dumps(trap, 0),
        "in an archive": _archive({"data.pkl": data, "version": b"3"}),
        "in a constant": _archive({"a/data.pkl": data, "a/constants.pkl": data, "a/version": b"3"}),
        "packed": _archive({"a/data.pkl": data, "a/version": b"3"}, zipfile.ZIP_DEFLATED),
        "array of objects": _npz(trap),
    }


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".pkl", ".bin", ".safetensors"])
def test_no_pickle_is_executed(folders: Folders, tmp_path: Path, suffix: str) -> None:
    marker = tmp_path / "executed"
    for name, data in _pickles(Executed(marker)).items():
        path = tmp_path / f"a{suffix}"
        path.write_bytes(data)
        for read in (read_state_dict, load_state, load_generator, open_generator):
            refused(partial(read, path))
        assert not marker.exists(), name
    pickle.loads(pickle.dumps(Executed(marker)))
    assert marker.exists()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["expanded", "shared", "sparse", "meta", "complex", "quantised"])
def test_tensors_that_are_not_in_the_file_are_refused(tmp_path: Path, kind: str) -> None:
    one = torch.ones(1000)
    tensors = {
        "expanded": lambda: {"a": torch.ones(1).expand(2**40)},
        "shared": lambda: {str(number): one for number in range(1000)},
        "sparse": lambda: {
            "a": torch.sparse_coo_tensor(torch.zeros(2, 1, dtype=torch.long), torch.ones(1),
                                         (2**30, 2**30))
        },
        "meta": lambda: {"a": torch.empty(2**40, device="meta")},
        "complex": lambda: {"a": torch.ones(2, dtype=torch.complex64)},
        "quantised": lambda: {"a": torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8)},
    }[kind]()  # fmt: skip
    path = tmp_path / "a.pth"
    torch.save(tensors, path)
    with pytest.raises(WeightsCorruptError, match="tensor"):
        read_state_dict(path)


def test_a_packed_archive_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    with zipfile.ZipFile(io.BytesIO(_saved({"a": torch.zeros(4)}))) as archive:
        entries = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    (values,) = (name for name in entries if name.endswith("data/0"))
    entries[values] = b"\0" * 50_000_000
    path.write_bytes(_archive(entries, zipfile.ZIP_DEFLATED))
    assert path.stat().st_size < 100_000
    assert "was not opened" in refused(lambda: read_state_dict(path))
