"""Stage what a plan needs on the local machine: split files into parts that fit into calls."""

from __future__ import annotations

import difflib
import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from jdsr_cli.errors import DatasetError, InputMissingError, UsageError
from jdsr_cli.weights.registry import MANIFEST
from jdsr_train.lease.checkout import (
    ASIDE,
    WEIGHTS,
    check_root,
    commit_of,
    copy_package,
    exclude_from_git,
    move_weights_aside,
    tree_size,
)
from jdsr_train.lease.files import (
    FIXED_TIME,
    MIB,
    PartsTable,
    Piece,
    StagedFile,
    copy_range,
    format_mib,
    print_line,
    read_json,
)
from jdsr_train.lease.plan import Plan, format_calls, read_plan
from jdsr_train.lease.workspace import COMMIT, PLAN, SITE

MARGIN = 1 / 32
"""Share of a call that is not used, as a margin for the transport."""
MIN_PIECE = MIB
"""Smallest piece of a file at the end of a part, in bytes."""
TABLES = ("faces.csv", "landmarks68.npz")
CARRIED_PACKAGES = ("tomli_w",)
"""Pure Python packages that training needs and a leased machine may lack."""


@dataclass(frozen=True)
class StagingSources:
    """Local paths of the inputs of a plan."""

    faces: Path
    """Folder with archives train*.tar and val*.tar, and landmarks68.npz or faces.csv."""
    masks: Path | None = None
    features: Path | None = None
    parsing: Path | None = None
    init: Mapping[str, Path] = field(default_factory=dict)
    """Weight files by their names in the plan."""


@dataclass(frozen=True)
class StagedItem:
    """A file to stage."""

    kind: str
    path: str
    """Path in the data folder."""
    source: Path


@dataclass(frozen=True)
class Staged:
    """The result of staging."""

    into: str
    """The staging folder, relative to the checkout."""
    table: PartsTable
    tree: int
    """Size of the checkout in each call, in bytes."""
    sizes: tuple[int, ...]
    """Size of the call of each part, in bytes."""


def stage_plan(
    root: Path,
    plan_path: Path,
    sources: StagingSources,
    *,
    into: str = ".lease",
    call_mib: float = 64.0,
    tree_mib: float | None = None,
    aside: Path | None = None,
) -> Staged:
    """Write the staging folder of a checkout: the common folder of all calls, and the parts.

    Args:
        root: The checkout.
        plan_path: The plan.
        sources: The inputs of the plan.
        into: The staging folder, in the checkout.
        call_mib: Largest size of a call, including the checkout.
        tree_mib: Size of the checkout in a call; measured when None.
        aside: Folder to which the tracked weights are moved, so that calls do not carry them.

    Raises:
        UsageError: An input of the plan is missing, or a call is too large.
        InputMissingError, DatasetError: An input does not exist or is not valid.
        OutputError: The staging folder cannot be written.

    """
    check_root(root)
    plan, staging = read_plan(plan_path), root / into
    if not staging.absolute().is_relative_to(root.absolute()) or ".." in Path(into).parts:
        raise UsageError("must be in the checkout", where=into, hint="Leave --into out")
    exclude_from_git(root, Path(into))
    for old in [staging / "common", *staging.glob("part-*")]:
        if old.exists():
            shutil.rmtree(old)
    # Check all inputs before the weights are moved.
    items = list(_items(root, staging, plan, sources, aside))
    recipes = _recipes(root, plan, plan_path)
    if aside is not None:
        move_weights_aside(root, staging, aside)
        items = list(_items(root, staging, plan, sources, aside))
    common = staging / "common"
    common.mkdir(parents=True)
    for source, name in [(plan_path, PLAN), *((path, path.name) for path in recipes)]:
        shutil.copyfile(source, common / name)
    for name in CARRIED_PACKAGES:
        copy_package(name, common / SITE)
    (common / COMMIT).write_text(commit_of(root) + "\n", encoding="utf-8")
    tree = tree_size(root) if tree_mib is None else int(tree_mib * MIB)
    available = int((1 - MARGIN) * call_mib * MIB) - tree - _size(common) - _table_size(items)
    if available < MIN_PIECE:
        raise UsageError(
            f"{format_mib(tree)} of checkout leave no space in a call of {call_mib:g} MiB",
            where=root,
            hint="Set the tracked weights aside (--set-aside FOLDER), or move out "
            "other large files that git does not ignore",
        )
    table = _write_parts(items, available, staging)
    table.save(common)
    for path in staging.rglob("*"):
        if path.is_file():
            os.utime(path, (FIXED_TIME, FIXED_TIME))
    fixed = tree + _size(common)
    sizes = tuple(fixed + _size(staging / f"part-{n}") for n in range(1, table.parts + 1))
    return Staged(into, table, tree, sizes)


def print_summary(staged: Staged, call_mib: float) -> bool:
    """Print the calls and their sizes; return whether all are within the limit."""
    fit = True
    for number, size in enumerate(staged.sizes, 1):
        paths = [f.path for f in staged.table.files if any(p.part == number for p in f.pieces)]
        fault = "" if size <= call_mib * MIB else "  TOO LARGE"
        print_line(
            f"call {number}: {format_mib(size)} of {call_mib:g}, {_format_names(paths)}{fault}"
        )
        fit = fit and not fault
    print_line(format_calls(staged.into, staged.table.parts, staged.tree / MIB))
    return fit


def _format_names(paths: list[str]) -> str:
    names = [Path(path).name for path in paths]
    return ", ".join(names) if len(names) < 12 else f"{', '.join(names[:8])} ... ({len(names)})"


def _items(
    root: Path, staging: Path, plan: Plan, sources: StagingSources, aside: Path | None
) -> Iterator[StagedItem]:
    """List the files to stage: inputs of the first stages first, archives of faces last."""
    for kind in ("parsing", "features", "masks"):
        if kind not in plan.needed_inputs:
            continue
        source: Path | None = getattr(sources, kind)
        if source is None:
            raise UsageError(f"the plan uses {kind}", hint=f"Give --{kind}")
        yield from _input_items(kind, source)
    folders = [root / WEIGHTS]
    recorded = read_json(staging / ASIDE)
    folders += [Path(recorded)] if recorded else []
    folders += [aside] if aside is not None else []
    for name in plan.needed_weights:
        yield StagedItem(
            "weights", f"weights/{name}.safetensors", _find_weights(name, sources, folders)
        )
    if plan.needed_weights and (root / WEIGHTS / MANIFEST).is_file():
        yield StagedItem("weights", f"weights/{MANIFEST}", root / WEIGHTS / MANIFEST)
    yield from _face_items(sources.faces)


def _input_items(kind: str, source: Path) -> Iterator[StagedItem]:
    if not source.exists():
        raise InputMissingError("no such file or folder", where=source)
    if source.is_file():
        yield StagedItem(kind, f"{kind}/{source.name}", source)
        return
    files = sorted(path for path in source.rglob("*") if path.is_file())
    if not files:
        raise DatasetError("no files", where=source)
    name = source.resolve().name
    for path in files:
        yield StagedItem(kind, f"{kind}/{name}/{path.relative_to(source).as_posix()}", path)


def _find_weights(name: str, sources: StagingSources, folders: list[Path]) -> Path:
    given = sources.init.get(name)
    candidates = [given] if given else [folder / f"{name}.safetensors" for folder in folders]
    for path in candidates:
        if path.is_file():
            return path
    known = sorted({path.stem for folder in folders for path in folder.glob("*.safetensors")})
    raise InputMissingError(
        f"the plan needs the weights {name!r}",
        where=candidates[0],
        hint=f"Give --init {name}=FILE, or use one of weights/: {', '.join(known) or 'none'}",
    )


def _face_items(folder: Path) -> Iterator[StagedItem]:
    if not folder.is_dir():
        raise InputMissingError("no such folder", where=folder)
    archives = {split: sorted(folder.glob(f"{split}*.tar")) for split in ("val", "train")}
    missing = [split for split, found in archives.items() if not found]
    tables = [folder / name for name in TABLES if (folder / name).is_file()]
    if missing or not tables:
        message = f"no archives {missing[0]}*.tar" if missing else f"neither {' nor '.join(TABLES)}"
        raise DatasetError(
            message, where=folder, hint="Pack aligned 128x128 faces into train*.tar and val*.tar"
        )
    name = folder.resolve().name
    for path in (*tables, *archives["val"], *archives["train"]):
        yield StagedItem("faces", f"faces/{name}/{path.name}", path)


def _recipes(root: Path, plan: Plan, plan_path: Path) -> list[Path]:
    """Return the recipe files of a plan; recipes given by name must be in the checkout."""
    known = sorted(path.stem for path in (root / "train" / "recipes").glob("*.toml"))
    files = []
    for model in plan.models:
        if model.recipe.endswith(".toml"):
            path = plan_path.parent / model.recipe
            if not path.is_file() or path.name == PLAN:
                raise InputMissingError(
                    "no such recipe",
                    where=path,
                    hint=f"Recipe files must be beside {plan_path.name}",
                )
            files.append(path)
        elif model.recipe not in known:
            nearest = difflib.get_close_matches(model.recipe, known, 1, 0.0)
            raise UsageError(
                f"no recipe {model.recipe!r}",
                where=plan_path,
                hint=f"Nearest: {nearest[0]}" if nearest else "The checkout has none",
            )
    return files


def _write_parts(items: list[StagedItem], available: int, staging: Path) -> PartsTable:
    """Write the parts; each is filled before the next one."""
    part, remaining = 1, available
    files = []
    for item in items:
        size, first = item.source.stat().st_size, 0
        hasher, pieces = hashlib.sha256(), list[Piece]()
        while first < size or not pieces:
            rest = size - first
            if rest > remaining and remaining < min(rest, MIN_PIECE):
                part, remaining = part + 1, available
                continue
            length = min(rest, remaining)
            path = item.path if length == size else f"{item.path}.piece{len(pieces)}"
            sha256 = copy_range(
                item.source, staging / f"part-{part}" / path, first, length, hasher.update
            )
            pieces.append(Piece(part, path, length, sha256))
            first, remaining = first + length, remaining - length
        files.append(StagedFile(item.kind, item.path, size, hasher.hexdigest(), tuple(pieces)))
    given: dict[str, str] = {}
    for item in items:
        if item.kind != "weights":
            given.setdefault(item.kind, "/".join(item.path.split("/")[:2]))
    return PartsTable(part, tuple(files), given)


def _table_size(items: list[StagedItem]) -> int:
    """Return an upper bound of the size of the table of parts, in bytes."""
    return 4096 + sum(1000 + 4 * len(item.path) for item in items)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
