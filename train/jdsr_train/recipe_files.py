"""Read recipe files (TOML) into the classes of `recipe`, and convert recipes to plain values."""

from __future__ import annotations

import dataclasses
import difflib
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from jdsr_cli.errors import UsageError
from jdsr_cli.toml_files import read_toml
from jdsr_train.recipe import Recipe

T = TypeVar("T")


def build_table(kind: type[T], values: dict[str, Any], where: str) -> T:
    """Build a dataclass from the values of a table; nested dataclasses are nested tables.

    Args:
        kind: The dataclass.
        values: The values of the table.
        where: Name of the table, for errors.

    Raises:
        UsageError: A key is unknown or missing, or a value has the wrong type or is not allowed.

    """
    hints = get_type_hints(kind)
    ready: dict[str, Any] = {}
    for key, value in values.items():
        if key not in hints:
            nearest = difflib.get_close_matches(key, hints, 1, 0.0)
            raise UsageError(f"unknown key {key!r}", where=where, hint=f"Nearest: {nearest[0]}")
        ready[key] = _convert(hints[key], value, f"{where}: {key}")
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        required = field.default is field.default_factory is dataclasses.MISSING
        if required and field.name not in ready:
            raise UsageError(f"the key {field.name!r} is missing", where=where)
    try:
        return kind(**ready)
    except UsageError as fault:  # it states the key, not the file and the table
        location = where if fault.where is None else f"{where}: {fault.where}"
        raise UsageError(fault.what, where=location, hint=fault.hint) from fault


def _convert(hint: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        if not isinstance(value, dict):
            raise UsageError("a table is needed", where=where)
        return build_table(hint, value, where)
    base = getattr(hint, "__origin__", hint)
    if base is tuple and isinstance(value, list):
        parts = hint.__args__
        if parts[-1] is Ellipsis:
            tables = dataclasses.is_dataclass(parts[0])
            return tuple(
                _convert(parts[0], item, f"{where} {number}" if tables else where)
                for number, item in enumerate(value, 1)
            )
        if len(value) != len(parts):
            raise UsageError(f"{len(parts)} values are needed, not {len(value)}", where=where)
        return tuple(_convert(*pair, where) for pair in zip(parts, value, strict=True))
    if base is float and isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError as error:
            raise UsageError("the number is too large", where=where) from error
    if not isinstance(value, base) or (isinstance(value, bool) and base is not bool):
        name = "list" if base is tuple else getattr(base, "__name__", str(base))
        raise UsageError(f"{value!r} is not of type {name}", where=where)
    return value


FOLDER = Path(__file__).parent / "recipes"
_CHECKOUT_FOLDER = Path(__file__).parents[1] / "recipes"


def names() -> list[str]:
    """Return the names of the packaged recipes."""
    return sorted(path.stem for path in _folder().glob("*.toml"))


def load(name_or_path: str) -> Recipe:
    """Read a recipe by name or from a file.

    ``base = "NAME"`` starts from another recipe, whose values the other keys of the file replace.

    Raises:
        UsageError: The recipe does not exist, or has an unknown key or a value that is not allowed.

    """
    path = _find(name_or_path)
    return build_table(Recipe, {"name": path.stem, **_read(path)}, path.name)


def _find(name_or_path: str) -> Path:
    return find_file(name_or_path, _folder(), "recipe")


def find_file(name_or_path: str, folder: Path, kind: str) -> Path:
    """Return the TOML file of a name in a folder, or the named file.

    Args:
        name_or_path: Name of a file in the folder without its suffix, or a path that ends in .toml.
        folder: The folder.
        kind: What the files are, for errors.

    Raises:
        UsageError: There is none; the error states the most similar name.

    """
    path = Path(name_or_path)
    if path.suffix != ".toml":
        path = folder / f"{name_or_path}.toml"
    if not path.is_file():
        known = sorted(one.stem for one in folder.glob("*.toml"))
        nearest = difflib.get_close_matches(name_or_path, known, 1, 0.0)
        raise UsageError(
            f"no {kind} {name_or_path!r}", hint=f"Nearest: {nearest[0]}" if nearest else None
        )
    return path


def read_table(path: Path) -> dict[str, Any]:
    """Return the values of a TOML file.

    Raises:
        UsageError: It cannot be read, or is not TOML.

    """
    try:
        return read_toml(path)
    except (ValueError, OSError) as error:
        raise UsageError(f"not readable as TOML ({error})", where=path) from error


def _read(path: Path, derived: tuple[Path, ...] = ()) -> dict[str, Any]:
    """Return the values of a file, merged with those of its base."""
    values = read_table(path)
    base = values.pop("base", None)
    if base is None:
        return values
    if not isinstance(base, str) or path in derived:
        raise UsageError(f"base = {base!r} is circular or not a recipe", where=path)
    return _merge(_read(_find(base), (*derived, path)), values)


def _merge(base: dict[str, Any], override: dict[str, Any]) -> dict[str, Any]:
    merged = {
        key: _merge(base[key], value)
        if isinstance(value, dict) and isinstance(base.get(key), dict)
        else value
        for key, value in override.items()
    }
    return {**base, **merged}


def without_stage(recipe: Recipe, stage: str) -> Recipe:
    """Return the recipe without a stage and without the loss term that needs its network."""
    if stage == "identity":
        loss = dataclasses.replace(recipe.loss, identity=0.0, super_identity=0.0)
        recipe = dataclasses.replace(recipe, loss=loss)
    stages = tuple(name for name in recipe.stages if name != stage)
    return dataclasses.replace(recipe, stages=stages)


def shortened(recipe: Recipe, steps: int) -> Recipe:
    """Return the recipe with this number of steps in every stage, for a trial."""
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
    """Return a recipe as plain values, as stored in checkpoints."""
    return _tuples_to_lists(dataclasses.asdict(recipe))  # type: ignore[no-any-return]


def from_dict(values: dict[str, Any], where: str) -> Recipe:
    """Return the recipe of plain values, for example from a checkpoint.

    Args:
        values: As returned by `to_dict`.
        where: Their origin, for errors.

    Raises:
        UsageError: A key is unknown in this version, or a value is not allowed.

    """
    return build_table(Recipe, values, where)


def _folder() -> Path:
    return FOLDER if FOLDER.is_dir() else _CHECKOUT_FOLDER


def _tuples_to_lists(value: Any) -> Any:
    """Convert tuples to lists, as in JSON and TOML."""
    if isinstance(value, dict):
        return {key: _tuples_to_lists(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_tuples_to_lists(item) for item in value]
    return value
