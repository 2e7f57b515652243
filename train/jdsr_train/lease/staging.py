"""Stage what a plan needs on the local machine: split files into parts that fit into calls."""

from __future__ import annotations

import difflib
import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jdsr_cli.errors import DatasetError, InputMissingError, UsageError
from jdsr_train.lease.checkout import (
    ASIDE,
    WEIGHTS,
    check_root,
    commit_of,
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
from jdsr_train.lease.plan import Plan, read_plan
from jdsr_train.lease.workspace import COMMIT, PLAN

MARGIN = 1 / 32
"""Share of a call that stays free: what the transport adds is not known."""
LEAST_PIECE = MIB
"""Bytes below which a file is not begun at the end of a part."""
TABLES = ("faces.csv", "landmarks68.npz")
MANIFEST = "manifest.toml"


@dataclass(frozen=True)
class StagingSources:
    """What is staged for a plan, as it lies at home."""

    faces: Path
    """Folder of archives train*.tar and val*.tar with landmarks68.npz or faces.csv."""
    masks: Path | None = None
    features: Path | None = None
    parsing: Path | None = None
    init: Mapping[str, Path] = field(default_factory=dict)
    """Weight files by the names that the plan has for them."""


@dataclass(frozen=True)
class StagedItem:
    """A file to be staged."""

    kind: str
    path: str
    """In the data folder."""
    source: Path


@dataclass(frozen=True)
class Staged:
    """What was staged."""

    into: str
    """The staging folder, relative to the checkout."""
    table: PartsTable
    tree: int
    """Bytes of the checkout that travel with each call."""
    sizes: tuple[int, ...]
    """Bytes of each part's call."""


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
    """Fill the staging folder of a checkout: what every call carries, and the parts.

    Args:
        root: The checkout.
        plan_path: The plan.
        sources: What it needs.
        into: The staging folder, in the checkout.
        call_mib: What a call may carry, the checkout included.
        tree_mib: What of the checkout travels; measured where None.
        aside: Folder to move the tracked weights to, so that they do not travel.

    Raises:
        UsageError: Something that the plan needs was not given, or a call does not fit.
        InputMissingError, DatasetError: A source is not there or not as it must be.
        OutputError: The staging folder cannot be written.

    """
    check_root(root)
    plan, staging = read_plan(plan_path), root / into
    if not staging.absolute().is_relative_to(root.absolute()) or ".." in Path(into).parts:
        raise UsageError("must lie in the checkout", where=into, hint="Leave --into out")
    exclude_from_git(root, Path(into))
    for old in [staging / "common", *staging.glob("part-*")]:
        if old.exists():
            shutil.rmtree(old)
    # Everything is looked at before the weights are moved.
    items = list(_items(root, staging, plan, sources, aside))
    recipes = _recipes(root, plan, plan_path)
    if aside is not None:
        move_weights_aside(root, staging, aside)
        items = list(_items(root, staging, plan, sources, aside))
    common = staging / "common"
    common.mkdir(parents=True)
    for source, name in [(plan_path, PLAN), *((path, path.name) for path in recipes)]:
        shutil.copyfile(source, common / name)
    (common / COMMIT).write_text(commit_of(root) + "\n", encoding="utf-8")
    tree = tree_size(root) if tree_mib is None else int(tree_mib * MIB)
    room = int((1 - MARGIN) * call_mib * MIB) - tree - _size(common) - _table_size(items)
    if room < LEAST_PIECE:
        raise UsageError(
            f"{format_mib(tree)} of checkout leave no room in a call of {call_mib:g} MiB",
            where=root,
            hint="Set the tracked weights aside (--set-aside FOLDER), or move away what else is "
            "large and not ignored",
        )
    table = _cut(items, room, staging)
    table.save(common)
    for path in staging.rglob("*"):
        if path.is_file():
            os.utime(path, (FIXED_TIME, FIXED_TIME))
    fixed = tree + _size(common)
    sizes = tuple(fixed + _size(staging / f"part-{n}") for n in range(1, table.parts + 1))
    return Staged(into, table, tree, sizes)


def print_summary(staged: Staged, call_mib: float) -> bool:
    """Print the sizes of the calls and the calls; return whether all fit."""
    fit = True
    for number, size in enumerate(staged.sizes, 1):
        paths = [f.path for f in staged.table.files if any(p.part == number for p in f.pieces)]
        fault = "" if size <= call_mib * MIB else "  TOO LARGE"
        print_line(f"call {number}: {format_mib(size)} of {call_mib:g}, {_listed(paths)}{fault}")
        fit = fit and not fault
    print_line(runbook(staged.into, staged.table.parts, staged.tree / MIB))
    return fit


def _listed(paths: list[str]) -> str:
    names = [Path(path).name for path in paths]
    return ", ".join(names) if len(names) < 12 else f"{', '.join(names[:8])} ... ({len(names)})"


def _items(
    root: Path, staging: Path, plan: Plan, sources: StagingSources, aside: Path | None
) -> Iterator[StagedItem]:
    """List what travels: what the first stages need comes first, the archives of faces last."""
    for kind in ("parsing", "features", "masks"):
        if kind not in plan.needed_inputs:
            continue
        source: Path | None = getattr(sources, kind)
        if source is None:
            raise UsageError(f"the plan uses {kind}", hint=f"Give --{kind}")
        yield from _inside(kind, source)
    folders = [root / WEIGHTS]
    remembered = read_json(staging / ASIDE)
    folders += [Path(remembered)] if remembered else []
    folders += [aside] if aside is not None else []
    for name in plan.needed_weights:
        yield StagedItem("weights", f"weights/{name}.safetensors", _weights(name, sources, folders))
    if plan.needed_weights and (root / WEIGHTS / MANIFEST).is_file():
        yield StagedItem("weights", f"weights/{MANIFEST}", root / WEIGHTS / MANIFEST)
    yield from _faces(sources.faces)


def _inside(kind: str, source: Path) -> Iterator[StagedItem]:
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


def _weights(name: str, sources: StagingSources, folders: list[Path]) -> Path:
    given = sources.init.get(name)
    found = [given] if given else [folder / f"{name}.safetensors" for folder in folders]
    for path in found:
        if path.is_file():
            return path
    known = sorted({path.stem for folder in folders for path in folder.glob("*.safetensors")})
    raise InputMissingError(
        f"the plan needs the weights {name!r}",
        where=found[0],
        hint=f"Give --init {name}=FILE, or name some of weights/: {', '.join(known) or 'none'}",
    )


def _faces(folder: Path) -> Iterator[StagedItem]:
    if not folder.is_dir():
        raise InputMissingError("no such folder", where=folder)
    archives = {split: sorted(folder.glob(f"{split}*.tar")) for split in ("val", "train")}
    lacking = [split for split, found in archives.items() if not found]
    tables = [folder / name for name in TABLES if (folder / name).is_file()]
    if lacking or not tables:
        what = f"no archives {lacking[0]}*.tar" if lacking else f"neither {' nor '.join(TABLES)}"
        raise DatasetError(
            what, where=folder, hint="Pack aligned 128x128 faces into train*.tar and val*.tar"
        )
    name = folder.resolve().name
    for path in (*tables, *archives["val"], *archives["train"]):
        yield StagedItem("faces", f"faces/{name}/{path.name}", path)


def _recipes(root: Path, plan: Plan, plan_path: Path) -> list[Path]:
    """Return the recipe files of a plan; recipes that it names must be in the checkout."""
    known = sorted(path.stem for path in (root / "train" / "recipes").glob("*.toml"))
    files = []
    for model in plan.models:
        if model.recipe.endswith(".toml"):
            path = plan_path.parent / model.recipe
            if not path.is_file() or path.name == PLAN:
                raise InputMissingError(
                    "no such recipe", where=path, hint=f"Recipe files lie beside {plan_path.name}"
                )
            files.append(path)
        elif model.recipe not in known:
            near = difflib.get_close_matches(model.recipe, known, 1, 0.0)
            raise UsageError(
                f"no recipe {model.recipe!r}",
                where=plan_path,
                hint=f"Nearest: {near[0]}" if near else "The checkout has none",
            )
    return files


def _cut(items: list[StagedItem], room: int, staging: Path) -> PartsTable:
    """Write the parts, each filled to the brim before the next is begun."""
    part, left = 1, room
    files = []
    for item in items:
        size, first = item.source.stat().st_size, 0
        whole, pieces = hashlib.sha256(), list[Piece]()
        while first < size or not pieces:
            rest = size - first
            if rest > left and left < min(rest, LEAST_PIECE):
                part, left = part + 1, room
                continue
            length = min(rest, left)
            path = item.path if length == size else f"{item.path}.piece{len(pieces)}"
            sha256 = copy_range(
                item.source, staging / f"part-{part}" / path, first, length, whole.update
            )
            pieces.append(Piece(part, path, length, sha256))
            first, left = first + length, left - length
        files.append(StagedFile(item.kind, item.path, size, whole.hexdigest(), tuple(pieces)))
    given: dict[str, str] = {}
    for item in items:
        if item.kind != "weights":
            given.setdefault(item.kind, "/".join(item.path.split("/")[:2]))
    return PartsTable(part, tuple(files), given)


def _table_size(items: list[StagedItem]) -> int:
    """Return at least as many bytes as the table of parts will have."""
    return 4096 + sum(1000 + 4 * len(item.path) for item in items)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


LEFT = "SECONDS_LEFT"
"""In a printed command: the seconds for which the machine is still lent, less a minute."""
COMMAND = "PYTHONPATH=train python3 -m jdsr_train.lease"
WATCHED = 560
"""Seconds that a watching call waits at most."""


@dataclass(frozen=True)
class Call:
    """One call to the machine."""

    command: str
    carry: tuple[str, ...]
    timeout: int

    def told(self) -> str:
        """Return it as a line to be read."""
        return f"carry {', '.join(self.carry)}; timeout {self.timeout} s\n    {self.command}"


def upload_calls(into: str, parts: int, seconds: str = LEFT) -> list[Call]:
    """Return the calls that bring everything; the first one starts the plan.

    Args:
        into: The staging folder.
        parts: How many parts there are.
        seconds: How long the machine is still lent.

    """
    return [
        Call(
            f"{COMMAND} take {part} --lease {into} && {COMMAND} start {seconds}",
            (f"{into}/common", f"{into}/part-{part}"),
            240 if part == 1 else 120,
        )
        for part in range(1, parts + 1)
    ]


def watch_call(into: str, seconds: int, words: Sequence[str] = ()) -> Call:
    """Return the call that waits for a model and brings it home."""
    command = " ".join([COMMAND, "watch", str(seconds), *words])
    return Call(command, (f"{into}/common",), seconds + 30)


def runbook(into: str, parts: int, tree_mib: float) -> str:
    """Return all calls as text."""
    lines = [f"The calls, one after the other ({tree_mib:.1f} MiB of checkout travel with each):"]
    calls = [
        *upload_calls(into, parts),
        watch_call(into, WATCHED),
        watch_call(into, 420, ["--midway"]),
    ]
    lines += [f"{number}. {call.told()}" for number, call in enumerate(calls, 1)]
    lines += [
        f"{LEFT}: what the lender says is left, less 60 for the call itself; the later number "
        "corrects the earlier one.",
        "Call `watch` again until it says that all models are home. After each, at once:",
        "    PYTHONPATH=train python3 -m jdsr_train.lease join FILES_AT TARGET",
        f"Then give the machine back, and: {COMMAND} unstage --remove",
    ]
    return "\n".join(lines)
