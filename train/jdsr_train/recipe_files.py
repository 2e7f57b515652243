"""Recipe files: TOML to `Recipe` and back. An unknown key is an error that names the nearest."""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from jdsr_cli.errors import UsageError
from jdsr_train.recipe import Recipe

FOLDER = Path(__file__).parent / "recipes"
_CHECKOUT = Path(__file__).parents[1] / "recipes"

T = TypeVar("T")


def names() -> list[str]:
    """Return the recipes that come with the package."""
    return sorted(path.stem for path in _folder().glob("*.toml"))


def load(name_or_path: str) -> Recipe:
    """Read a recipe by name or from a file.

    A file may start from another recipe with ``base = "NAME"``; its own keys come on top.

    Raises:
        UsageError: No such recipe, an unknown key (the nearest is named), or a bad value.

    """
    path = _find(name_or_path)
    return _build(Recipe, {"name": path.stem, **_read(path)}, path.name)


def _find(name_or_path: str) -> Path:
    path = Path(name_or_path)
    if path.suffix != ".toml":
        path = _folder() / f"{name_or_path}.toml"
    if not path.is_file():
        near = difflib.get_close_matches(name_or_path, names(), 1, 0.0)
        raise UsageError(
            f"no recipe {name_or_path!r}", hint=f"Nearest: {near[0]}" if near else None
        )
    return path


def _read(path: Path, followed: tuple[Path, ...] = ()) -> dict[str, Any]:
    """Return the values of a file on top of those of its base."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise UsageError(f"not readable as TOML ({error})", where=path) from error
    base = values.pop("base", None)
    if base is None:
        return values
    if not isinstance(base, str) or path in followed:
        raise UsageError(f"base = {base!r} cannot be followed", where=path)
    return _merge(_read(_find(base), (*followed, path)), values)


def _merge(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    both = {
        key: _merge(under[key], value)
        if isinstance(value, dict) and isinstance(under.get(key), dict)
        else value
        for key, value in over.items()
    }
    return {**under, **both}


def without_stage(recipe: Recipe, stage: str) -> Recipe:
    """Return the recipe without a stage and without the loss term that needs its network."""
    if stage == "identity":
        loss = dataclasses.replace(recipe.loss, identity=0.0)
        recipe = dataclasses.replace(recipe, loss=loss)
    stages = tuple(name for name in recipe.stages if name != stage)
    return dataclasses.replace(recipe, stages=stages)


def shortened(recipe: Recipe, steps: int) -> Recipe:
    """Return the recipe with this many steps in every stage, for a trial."""
    changed: dict[str, Any] = {
        "optimiser": dataclasses.replace(recipe.optimiser, steps=steps),
        "denoise": dataclasses.replace(recipe.denoise, steps=steps),
    }
    for stage in ("identity", "parser"):
        table = getattr(recipe, stage)
        optimiser = dataclasses.replace(table.optimiser, steps=steps)
        changed[stage] = dataclasses.replace(table, optimiser=optimiser)
    return dataclasses.replace(recipe, **changed)


def to_dict(recipe: Recipe) -> dict[str, Any]:
    """Return the recipe as plain values, as kept in checkpoints and manifests."""
    return _plain(dataclasses.asdict(recipe))  # type: ignore[no-any-return]


def from_dict(values: dict[str, Any], where: str) -> Recipe:
    """Return the recipe of plain values, such as a checkpoint holds.

    Args:
        values: As `to_dict` gives them.
        where: Named in errors.

    Raises:
        UsageError: A value that this version does not know, or a bad one.

    """
    return _build(Recipe, values, where)


def _folder() -> Path:
    return FOLDER if FOLDER.is_dir() else _CHECKOUT


def _build(kind: type[T], values: dict[str, Any], where: str) -> T:
    hints = get_type_hints(kind)
    ready: dict[str, Any] = {}
    for key, value in values.items():
        if key not in hints:
            near = difflib.get_close_matches(key, hints, 1, 0.0)
            raise UsageError(f"unknown key {key!r}", where=where, hint=f"Nearest: {near[0]}")
        ready[key] = _convert(hints[key], value, f"{where}: {key}")
    try:
        return kind(**ready)
    except UsageError as fault:  # it knows the key, not the file and the table
        place = where if fault.where is None else f"{where}: {fault.where}"
        raise UsageError(fault.what, where=place, hint=fault.hint) from fault


def _convert(hint: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        if not isinstance(value, dict):
            raise UsageError("a table is needed", where=where)
        return _build(hint, value, where)
    plain = getattr(hint, "__origin__", hint)
    if plain is tuple and isinstance(value, list):
        parts = hint.__args__
        if parts[-1] is Ellipsis:
            return tuple(_convert(parts[0], item, where) for item in value)
        if len(value) != len(parts):
            raise UsageError(f"{len(parts)} values are needed, not {len(value)}", where=where)
        return tuple(_convert(*pair, where) for pair in zip(parts, value, strict=True))
    if plain is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, plain) or (isinstance(value, bool) and plain is not bool):
        kind = getattr(plain, "__name__", str(plain))  # a union such as `str | None` has none
        raise UsageError(f"{value!r} is not of type {kind}", where=where)
    return value


def _plain(value: Any) -> Any:
    """Turn tuples into lists, as they come back from JSON and TOML."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
