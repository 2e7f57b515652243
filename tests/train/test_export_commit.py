"""The commit that is recorded with exported weights."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from jdsr_cli import __version__
from jdsr_train.export import COMMIT_FILE, ROOT, commit

VERSION = f"jdsr {__version__}"


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with one commit of one file."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    git(folder, "init", "-q")
    (folder / "code.py").write_text("1\n")
    git(folder, "add", "code.py")
    git(folder, "commit", "-qm", "one")
    return folder


def test_the_root_contains_the_packages() -> None:
    assert (ROOT / "train" / "jdsr_train" / "export.py").is_file()


def test_a_checkout_has_its_commit(checkout: Path) -> None:
    head = git(checkout, "rev-parse", "HEAD")
    name = commit(checkout)
    assert re.fullmatch("[0-9a-f]{7,40}", name)
    assert head.startswith(name)
    git(checkout, "tag", "-a", "v9", "-m", "nine")
    assert commit(checkout) == name


def test_a_modified_checkout_is_marked_as_dirty(checkout: Path) -> None:
    clean = commit(checkout)
    (checkout / "new.py").write_text("not tracked\n")
    assert commit(checkout) == clean
    (checkout / "code.py").write_text("2\n")
    assert commit(checkout) == f"{clean}-dirty"


def test_a_surrounding_repository_is_ignored(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = checkout / "lib" / "python"
    inside.mkdir(parents=True)
    assert commit(inside) == VERSION
    monkeypatch.setenv("GIT_DIR", str(checkout / ".git"))
    assert commit(inside) == VERSION


def test_a_staged_commit_takes_precedence(checkout: Path, tmp_path: Path) -> None:
    for folder in (checkout, tmp_path):
        (folder / COMMIT_FILE).write_text("abc1234-dirty\n")
        assert commit(folder) == "abc1234-dirty"
    (tmp_path / COMMIT_FILE).write_text("\n")
    assert commit(tmp_path) == VERSION
    (tmp_path / COMMIT_FILE).write_bytes(b"\xff\xfe")
    assert commit(tmp_path) == VERSION


def test_a_copy_without_a_commit_has_the_version(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert commit(tmp_path) == VERSION
    monkeypatch.setenv("PATH", str(tmp_path))
    assert commit(checkout) == VERSION
