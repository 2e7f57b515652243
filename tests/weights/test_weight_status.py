"""The status of weight files."""

from __future__ import annotations

import pytest
from weight_folders import Folders, Install

from jdsr_cli.errors import UsageError, WeightsCorruptError, WeightsMissingError
from jdsr_cli.weights import auxiliary_status, fetch, weight_status


def test_files_are_present_missing_verified_or_unusable(folders: Folders, install: Install) -> None:
    install()
    valid, altered = folders.add("valid"), folders.add("altered")
    altered.write_bytes(b"altered")
    folders.add("lost").unlink()
    folders.add_uncarried("large", b"large")
    unhashed = weight_status(hashed=False)
    assert [(one.name, one.state, one.carried) for one in unhashed] == [
        ("valid", "present", True),
        ("altered", "present", True),
        ("lost", "missing", True),
        ("large", "missing", False),
        ("net", "missing", False),
    ]
    fetch("net")
    verified = weight_status(hashed=True)
    assert [one.state for one in verified] == [
        "verified", "unusable", "missing", "missing", "verified",
    ]  # fmt: skip
    assert verified[0].path == valid
    assert verified[0].error is None
    assert isinstance(verified[1].error, WeightsCorruptError)
    assert verified[1].path == altered
    assert verified[2].path is None
    assert [one.name for one in weight_status(["net", "valid"], hashed=True)] == ["net", "valid"]
    with pytest.raises(
        UsageError, match=r"Did you mean valid\? Known are valid, altered, .*, net\."
    ):
        weight_status(["valit"], hashed=True)


def test_auxiliary_files_need_no_manifest(folders: Folders, install: Install) -> None:
    install()
    assert [one.state for one in auxiliary_status()] == ["missing"]
    fetch("net")
    assert [one.state for one in weight_status(["net"], hashed=True)] == ["verified"]
    with pytest.raises(WeightsMissingError, match="no manifest"):
        weight_status(hashed=True)
