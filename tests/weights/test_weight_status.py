"""What is on the machine and what is not."""

from __future__ import annotations

import pytest
from weight_folders import Folders, Install

from jdsr_cli.errors import UsageError, WeightsCorruptError, WeightsMissingError
from jdsr_cli.weights import auxiliary_status, fetch, weight_status


def test_conditions(folders: Folders, install: Install) -> None:
    install()
    good, bad = folders.add("good"), folders.add("bad")
    bad.write_bytes(b"bad")
    folders.add("gone").unlink()
    folders.add_uncarried("large", b"large")
    quick = weight_status(hashed=False)
    assert [(one.name, one.state, one.carried) for one in quick] == [
        ("good", "present", True),
        ("bad", "present", True),
        ("gone", "missing", True),
        ("large", "missing", False),
        ("net", "missing", False),
    ]
    fetch("net")
    found = weight_status(hashed=True)
    assert [one.state for one in found] == [
        "verified", "unusable", "missing", "missing", "verified",
    ]  # fmt: skip
    assert found[0].path == good
    assert found[0].error is None
    assert isinstance(found[1].error, WeightsCorruptError)
    assert found[1].path == bad
    assert found[2].path is None
    assert [one.name for one in weight_status(["net", "good"], hashed=True)] == ["net", "good"]
    with pytest.raises(UsageError, match=r"Did you mean good\? Known are good, bad, .*, net\."):
        weight_status(["god"], hashed=True)


def test_files_of_others_need_no_manifest(folders: Folders, install: Install) -> None:
    install()
    assert [one.state for one in auxiliary_status()] == ["missing"]
    fetch("net")
    assert [one.state for one in weight_status(["net"], hashed=True)] == ["verified"]
    with pytest.raises(WeightsMissingError, match="no manifest"):
        weight_status(hashed=True)
