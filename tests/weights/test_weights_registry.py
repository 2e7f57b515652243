"""Manifests and the files they describe."""

from __future__ import annotations

import pytest
from weight_folders import TINY, Folders, gates_table

from jdsr_cli.errors import UsageError, WeightsCorruptError, WeightsMissingError
from jdsr_cli.weights import entries, entry, locate, locations, read_manifest, verify


def test_entries_have_the_values_of_the_manifest(folders: Folders) -> None:
    path = folders.add("tiny-x8")
    (one,) = entries()
    assert one == entry("tiny-x8")
    assert (one.name, one.file, one.network) == ("tiny-x8", path.name, "lite")
    assert (one.scale, one.lr_size, one.bytes) == (8, 16, path.stat().st_size)
    assert one.arguments == TINY
    assert one.figures == {"psnr_db": 12.5}
    assert locate(one) == verify(one) == path


def test_manifests_are_joined_and_the_first_takes_precedence(folders: Folders) -> None:
    ours = folders.describe("both", "a.safetensors", b"a", data="ours")
    theirs = folders.describe("both", "b.safetensors", b"b", data="theirs")
    folders.write(folders.override, [ours])
    folders.write(
        locations.PACKAGE_FOLDER / "files", [theirs, folders.describe("carried", "c", b"c")]
    )
    assert [(one.name, one.data) for one in entries()] == [("both", "ours"), ("carried", "noise")]


@pytest.mark.parametrize("text", [None, "", "# nothing yet\n"])
def test_a_missing_or_empty_manifest_is_an_error(folders: Folders, text: str | None) -> None:
    if text is not None:
        folders.override.mkdir(exist_ok=True)
        (folders.override / "manifest.toml").write_text(text)
    with pytest.raises(WeightsMissingError, match=r"manifest\.toml.*JDSR_WEIGHTS") as raised:
        entries()
    assert str(folders.override) in str(raised.value)


def test_an_unknown_name_suggests_the_nearest(folders: Folders) -> None:
    folders.add("lite-camera")
    folders.add("lite-x4")
    with pytest.raises(UsageError, match=r"'lite-camra'\. Did you mean lite-camera\? Known are"):
        entry("lite-camra")


def test_the_error_for_a_missing_file_states_its_path(folders: Folders) -> None:
    folders.add("tiny-x8").unlink()
    with pytest.raises(WeightsMissingError) as raised:
        verify(entry("tiny-x8"))
    assert str(folders.override / "tiny-x8.safetensors") in str(raised.value)


def test_an_altered_file_is_detected_by_size_and_by_hash(folders: Folders) -> None:
    path = folders.add("tiny-x8")
    data = path.read_bytes()
    path.write_bytes(data[:-1])
    with pytest.raises(WeightsCorruptError, match=f"recorded are {len(data):,}"):
        verify(entry("tiny-x8"))
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(WeightsCorruptError, match="SHA-256 is"):
        verify(entry("tiny-x8"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sha256": "ABC"}, "sha256 is not 64"),
        ({"file": "../a.safetensors"}, "without folders"),
        ({"file": ".."}, "without folders"),
        ({"file": "..\\\\a"}, "without folders"),
        ({"file": "a" * 300}, "without folders"),
        ({"name": "a\\u001b[31m"}, "name cannot be"),
        ({"name": "x" * 20_000}, "name cannot be"),
        ({"bytes": 0}, "bytes cannot be 0"),
        ({"bytes": -5}, "bytes cannot be -5"),
        ({"bytes": 10**18}, "bytes cannot be 1000"),
        ({"bytes": "12"}, "bytes cannot be '12'"),
        ({"scale": 4.0}, "scale cannot be 4.0"),
        ({"scale": True}, "scale cannot be True"),
        ({"carried": 0}, "carried cannot be 0"),
        ({"carried": "no"}, "carried cannot be 'no'"),
        ({"url": ""}, "url cannot be ''"),
        ({"url": "ftp://host/file"}, "url is not an https:// or http:// address"),
        ({"url": "https://host"}, "url is not an https:// or http:// address"),
        ({"url": "weights/a"}, "url is not an https:// or http:// address"),
        ({"licence": ""}, "licence cannot be ''"),
        ({"arguments": [1]}, "arguments cannot be"),
        ({"mask_decision": [1]}, "mask_decision cannot be"),
        ({"doubt": [1]}, "doubt cannot be"),
        ({"occlusion_calibration": 0.5}, "occlusion_calibration cannot be"),
        ({"colour": "red"}, "unknown field 'colour'"),
        ({"licence": None}, "lacks the field 'licence'"),
        ({"name": None}, r"\(without a name\)"),
    ],
)
def test_an_invalid_entry_is_an_error(
    folders: Folders, changes: dict[str, object], message: str
) -> None:
    table = {**folders.describe("odd", "a.safetensors", b"a"), **changes}
    path = folders.write(folders.override, [{k: v for k, v in table.items() if v is not None}])
    with pytest.raises(WeightsCorruptError, match=message) as raised:
        read_manifest(path)
    assert str(path) in str(raised.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[weights]", "cannot be read"),
        ('weights = "all"', "not a list"),
        ("weights = [1]", "not a list"),
    ],
)
def test_a_file_that_is_not_a_manifest_is_an_error(
    folders: Folders, text: str, message: str
) -> None:
    folders.override.mkdir(exist_ok=True)
    (folders.override / "manifest.toml").write_text(text)
    with pytest.raises(WeightsCorruptError, match=message):
        entries()


def test_a_name_listed_twice_is_refused(folders: Folders) -> None:
    one = folders.describe("twin", "a.safetensors", b"a")
    folders.write(folders.override, [one, one])
    with pytest.raises(WeightsCorruptError, match="'twin' is listed more than once"):
        entries()


def test_the_error_for_a_missing_uncarried_file_names_the_command(folders: Folders) -> None:
    folders.add_uncarried("large", b"large")
    with pytest.raises(WeightsMissingError) as raised:
        locate(entry("large"))
    assert "`jdsr weights fetch large`" in str(raised.value)
    assert str(folders.cache / "large.safetensors") in str(raised.value)
    folders.cache.mkdir(parents=True)
    (folders.cache / "large.safetensors").write_bytes(b"Large")
    with pytest.raises(WeightsCorruptError, match="delete it and run `jdsr weights fetch large`"):
        verify(entry("large"))


def test_generators_on_the_128_px_grid_are_listed(folders: Folders) -> None:
    folders.write(folders.override, [folders.describe("same", "a", b"a", scale=1, lr_size=128)])
    assert (entry("same").scale, entry("same").lr_size) == (1, 128)


def test_optional_fields_may_be_left_out(folders: Folders) -> None:
    one = folders.describe("plain", "a.safetensors", b"a")
    del one["arguments"], one["figures"]
    folders.write(folders.override, [one])
    assert entry("plain").arguments == {}
    assert entry("plain").figures == {}
    assert entry("plain").carried is True
    assert entry("plain").url is None


@pytest.mark.parametrize(
    ("table", "value"),
    [
        ("mask_decision", {"level": 0.5}),
        ("occlusion_calibration", {"a": 1.0, "b": 1.0, "c": 0.0}),
        ("doubt", {"delta": 0.1}),
        ("gates", None),
        ("exports", {"int8": {"file": "a.onnx", "sha256": "0" * 64, "bytes": 3}}),
    ],
)
def test_weights_with_a_base_have_no_tables_of_single_shots(
    folders: Folders, table: str, value: object
) -> None:
    path = folders.add("single")
    value = gates_table(path) if value is None else value
    more = folders.describe("more", "more.safetensors", b"more", **{table: value})
    folders.write(folders.override, [*folders.entries, more])
    assert getattr(entry("more"), table)

    folders.write(folders.override, [*folders.entries, {**more, "base": "single"}])

    with pytest.raises(WeightsCorruptError, match=f"'more' extends 'single', whose table {table}"):
        entries()
