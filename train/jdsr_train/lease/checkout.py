"""The checkout at home: what of it travels, and the tracked weights that are set aside."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from jdsr_cli.errors import OutputError, UsageError
from jdsr_train.lease.files import digest, print_line, read_json, write_json

ASIDE = "aside.json"
"""In the staging folder: where the weights were set aside to."""
WEIGHTS = "weights"


def git(root: Path, *arguments: str) -> str:
    """Return what git says in a checkout.

    Raises:
        UsageError: It fails, such as outside of a checkout.

    """
    try:
        return subprocess.run(
            ["git", *arguments], cwd=root, capture_output=True, text=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        told = getattr(error, "stderr", None) or str(error)
        raise UsageError(
            f"git {arguments[0]} failed ({told.strip()})",
            where=root,
            hint="Run this in the root of a checkout",
        ) from error


def check_root(root: Path) -> None:
    """Make sure that a folder is the root of a checkout of this project.

    Raises:
        UsageError: It is not.

    """
    if not (root / "train" / "jdsr_train").is_dir() or not (root / ".git").exists():
        raise UsageError(
            "not the root of a checkout of jdsr",
            where=root,
            hint="Change into it: the machine gets a copy of it",
        )


def carried_files(root: Path) -> list[Path]:
    """Return the files of a checkout that travel with every call, relative to it.

    They are the tracked ones, the others that git does not ignore, and the folder `shared`.
    """
    listed = git(root, "ls-files", "-co", "--exclude-standard", "-z").split("\0")
    found = {Path(name) for name in listed if name}
    found |= {path.relative_to(root) for path in (root / "shared").rglob("*")}
    return sorted(
        path for path in found if (root / path).is_file() and not (root / path).is_symlink()
    )


def tree_size(root: Path) -> int:
    """Return the bytes that travel with every call."""
    return sum((root / path).stat().st_size for path in carried_files(root))


def commit_of(root: Path) -> str:
    """Return the commit of a checkout, marked where tracked files differ from it.

    Weights do not count, which may be set aside: they are told by their own SHA-256.
    """
    commit = git(root, "describe", "--always", "--exclude=*").strip()
    code = ("--", ".", f":(exclude){WEIGHTS}/*.safetensors")
    return f"{commit}-dirty" if git(root, "diff", "--name-only", "HEAD", *code) else commit


def exclude_from_git(root: Path, folder: Path) -> None:
    """Name a folder in the exclusions that are this checkout's own."""
    path = root / git(root, "rev-parse", "--git-path", "info/exclude").strip()
    line = f"/{folder.as_posix()}/"
    known = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    if line not in known:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join([*known, line]) + "\n", encoding="utf-8")


def move_weights_aside(root: Path, staging: Path, aside: Path) -> None:
    """Move the tracked weights to a folder, and remember which.

    Raises:
        UsageError: The folder lies in the checkout, so that they would travel all the same, or
            another one is in use.
        OutputError: They cannot be moved.

    """
    aside = aside.absolute()
    if aside.is_relative_to(root.absolute()):
        raise UsageError(
            "lies in the checkout", where=aside, hint="Choose a folder that does not travel"
        )
    before = read_json(staging / ASIDE)
    if before is not None and Path(before) != aside:
        raise UsageError(
            f"weights are set aside in {before} already",
            where="--set-aside",
            hint="Name that folder, or run `unstage` first",
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
            hint="`unstage` puts back what was moved",
        ) from error


def restore_weights(root: Path, staging: Path, aside: Path | None, remove: bool) -> None:
    """Move the weights back and make sure that they are as committed.

    Args:
        root: The checkout.
        staging: The staging folder in it.
        aside: Where they are; where staging remembers them when None.
        remove: Whether to remove the staging folder.

    Raises:
        UsageError: Another file has taken a place meanwhile, or a file is not as committed.

    """
    remembered = read_json(staging / ASIDE)
    place = aside or (None if remembered is None else Path(remembered))
    for path in sorted(place.glob("*.safetensors")) if place is not None else ():
        home = root / WEIGHTS / path.name
        if not home.exists():
            shutil.move(path, home)
        elif digest(home) == digest(path):
            path.unlink()
        else:
            raise UsageError(
                f"is another file than {path}", where=home, hint="Move one of them away first"
            )
    changed = git(root, "diff", "--name-only", "--", WEIGHTS).split()
    if changed:
        raise UsageError(
            f"not as committed: {', '.join(changed)}",
            where=root / WEIGHTS,
            hint="Name the folder that they were set aside to (--set-aside)",
        )
    (staging / ASIDE).unlink(missing_ok=True)
    if place is not None and place.is_dir() and not any(place.iterdir()):
        place.rmdir()
    if remove and staging.exists():
        shutil.rmtree(staging)
    print_line(f"{WEIGHTS}/ is as committed")
