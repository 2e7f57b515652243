"""The local checkout: the files that calls carry, and the tracked weights that are moved aside."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from pathlib import Path

from jdsr_cli.errors import OutputError, UsageError
from jdsr_train.lease.files import digest, print_line, read_json, write_json

ASIDE = "aside.json"
"""File in the staging folder with the folder to which the weights were moved."""
WEIGHTS = "weights"


def git(root: Path, *arguments: str) -> str:
    """Return the output of git in a checkout.

    Raises:
        UsageError: Git fails, for example outside of a checkout.

    """
    try:
        return subprocess.run(
            ["git", *arguments], cwd=root, capture_output=True, text=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        message = getattr(error, "stderr", None) or str(error)
        raise UsageError(
            f"git {arguments[0]} failed ({message.strip()})",
            where=root,
            hint="Run this in the root of a checkout",
        ) from error


def check_root(root: Path) -> None:
    """Check that a folder is the root of a checkout of this project.

    Raises:
        UsageError: It is not.

    """
    if not (root / "train" / "jdsr_train").is_dir() or not (root / ".git").exists():
        raise UsageError(
            "not the root of a checkout of jdsr",
            where=root,
            hint="Change into it: the machine receives a copy of it",
        )


def carried_files(root: Path) -> list[Path]:
    """Return the files that every call carries, relative to the checkout.

    These are the tracked files, other files that git does not ignore, and the folder `shared`.
    """
    listed = git(root, "ls-files", "-co", "--exclude-standard", "-z").split("\0")
    paths = {Path(name) for name in listed if name}
    paths |= {path.relative_to(root) for path in (root / "shared").rglob("*")}
    return sorted(
        path for path in paths if (root / path).is_file() and not (root / path).is_symlink()
    )


def tree_size(root: Path) -> int:
    """Return the size of the files that every call carries, in bytes."""
    return sum((root / path).stat().st_size for path in carried_files(root))


def commit_of(root: Path) -> str:
    """Return the commit of a checkout, with ``-dirty`` if tracked files differ from it.

    Weights are ignored, since they can be moved aside; their SHA-256 identifies them.
    """
    commit = git(root, "describe", "--always", "--exclude=*").strip()
    code = ("--", ".", f":(exclude){WEIGHTS}/*.safetensors")
    return f"{commit}-dirty" if git(root, "diff", "--name-only", "HEAD", *code) else commit


def exclude_from_git(root: Path, folder: Path) -> None:
    """Add a folder to the local git exclusions of a checkout."""
    path = root / git(root, "rev-parse", "--git-path", "info/exclude").strip()
    line = f"/{folder.as_posix()}/"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    if line not in lines:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join([*lines, line]) + "\n", encoding="utf-8")


def move_weights_aside(root: Path, staging: Path, aside: Path) -> None:
    """Move the tracked weights to a folder, whose path is stored in the staging folder.

    Raises:
        UsageError: The folder is in the checkout, or another folder is in use.
        OutputError: They cannot be moved.

    """
    aside = aside.absolute()
    if aside.is_relative_to(root.absolute()):
        raise UsageError("is in the checkout", where=aside, hint="Choose a folder outside of it")
    before = read_json(staging / ASIDE)
    if before is not None and Path(before) != aside:
        raise UsageError(
            f"weights are set aside in {before} already",
            where="--set-aside",
            hint="Give that folder, or run `unstage` first",
        )
    write_json(staging / ASIDE, str(aside))
    try:
        aside.mkdir(parents=True, exist_ok=True)
        tracked = git(root, "ls-files", "-z", "--", f"{WEIGHTS}/*.safetensors").split("\0")
        for name in tracked:
            if name and (root / name).exists():
                shutil.move(root / name, aside / Path(name).name)
    except OSError as error:
        raise OutputError(
            f"weights cannot be set aside ({error})",
            where=aside,
            hint="`unstage` moves them back",
        ) from error


def restore_weights(root: Path, staging: Path, aside: Path | None, remove: bool) -> None:
    """Move the weights back and check that they are identical to the commit.

    Args:
        root: The checkout.
        staging: The staging folder in it.
        aside: Folder of the weights; the stored path when None.
        remove: Whether to remove the staging folder.

    Raises:
        UsageError: A different file has the name of one, or a file differs from the commit.

    """
    recorded = read_json(staging / ASIDE)
    folder = aside or (None if recorded is None else Path(recorded))
    for path in sorted(folder.glob("*.safetensors")) if folder is not None else ():
        target = root / WEIGHTS / path.name
        if not target.exists():
            shutil.move(path, target)
        elif digest(target) == digest(path):
            path.unlink()
        else:
            raise UsageError(
                f"differs from {path}", where=target, hint="Move or delete one of them first"
            )
    changed = git(root, "diff", "--name-only", "--", WEIGHTS).split()
    if changed:
        raise UsageError(
            f"differ from the commit: {', '.join(changed)}",
            where=root / WEIGHTS,
            hint="Give the folder to which they were moved (--set-aside)",
        )
    (staging / ASIDE).unlink(missing_ok=True)
    if folder is not None and folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
    if remove and staging.exists():
        shutil.rmtree(staging)
    print_line(f"{WEIGHTS}/ is identical to the commit")


def copy_package(name: str, site: Path) -> None:
    """Copy an installed pure Python package.

    Raises:
        UsageError: It is not installed.

    """
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise UsageError(f"{name} is not installed", hint="pip install 'jdsr[train]'")
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(spec.origin).parent, site / name, ignore=ignored)
