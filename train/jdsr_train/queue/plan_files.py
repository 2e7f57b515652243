"""Read plans: the trainings of a reproduction in order, and what they take from one another.

A plan is a TOML file with a table ``[[job]]`` for each training and ``[[chain]]`` for each chain of
two trained networks; `train/reproduce.toml` and `train/equal_budget.toml` are found by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jdsr_cli.conventions import TEMPLATE_SIZE
from jdsr_cli.errors import UsageError, one_of, within
from jdsr_train import recipe_files
from jdsr_train.chained_weights import DENOISER, SUPER_RESOLVERS, default_name
from jdsr_train.recipe import Recipe
from jdsr_train.recipe_files import build_table

TABLES = ("2", "3", "generality")
"""Tables of the paper, by the names of `jdsr eval --table`."""
MAX_GPUS = 1024

FOLDER = Path(__file__).parents[1] / "plans"
_CHECKOUT_FOLDER = Path(__file__).parents[2]


@dataclass(frozen=True)
class JobTable:
    """A table ``[[job]]`` of a plan."""

    recipe: str
    """Recipe by name, or a TOML file whose path starts at the plan's folder."""
    gpus: int = 1
    """GPUs that share every step, as far as this machine has them and the batch can be shared."""
    share: float = 1.0
    """Share of `--minutes` that the joint stage gets."""
    labels: str | None = None
    """Earlier job whose parser labels the faces, if it trains one."""
    identity: str | None = None
    """Earlier job whose identity network is used."""
    init: str | None = None
    """Earlier job from whose weights the training starts."""

    def __post_init__(self) -> None:
        within(self, 1, MAX_GPUS, "gpus")
        if not 0 < self.share <= 1:
            raise UsageError(f"{self.share:g} is not above 0 and at most 1", where="share")


@dataclass(frozen=True)
class ChainTable:
    """A table ``[[chain]]`` of a plan."""

    denoiser: str
    """Job that trains the denoiser."""
    super_resolver: str
    """Job that trains the super-resolver."""
    name: str = ""
    """Name of the chain; by default that of `jdsr weights chain`, such as `cbd_drn_x4`."""


@dataclass(frozen=True)
class PlanTable:
    """The content of a plan file."""

    job: tuple[JobTable, ...]
    """In the order in which they run."""
    chain: tuple[ChainTable, ...] = ()
    """Each is made as soon as both of its parts are trained."""
    tables: tuple[str, ...] = ()
    """Tables of the paper that the results fill."""

    def __post_init__(self) -> None:
        for table in self.tables:
            one_of(table, TABLES, "tables")
        if not self.job:
            raise UsageError("no [[job]]", hint="A plan needs at least one")


@dataclass(frozen=True)
class TrainingJob:
    """A training of a queue."""

    name: str
    """Name of its folder: that of the recipe or of the recipe's file."""
    source: str
    """The recipe for `jdsr train --recipe`."""
    recipe: Recipe
    table: JobTable

    @property
    def sources(self) -> Mapping[str, str]:
        """Names of the jobs from which it takes results, by the options of `jdsr train`."""
        found = {
            "labels": self.table.labels, "identity": self.table.identity, "init": self.table.init,
        }  # fmt: skip
        return {option: name for option, name in found.items() if name is not None}


@dataclass(frozen=True)
class ChainJob:
    """A chain of a queue."""

    name: str
    denoiser: TrainingJob
    super_resolver: TrainingJob


@dataclass(frozen=True)
class TrainingQueue:
    """The jobs of a plan, checked."""

    name: str
    jobs: tuple[TrainingJob | ChainJob, ...]
    """In the order in which they run; a chain follows the later one of its parts."""
    tables: tuple[str, ...]
    """Tables of the paper that the results fill."""


def names() -> list[str]:
    """Return the names of the packaged plans."""
    return sorted(path.stem for path in _folder().glob("*.toml"))


def load_queue(name_or_path: str) -> TrainingQueue:
    """Read a plan by name or from a file.

    Raises:
        UsageError: There is no such plan, a key or a recipe is unknown, a value is not allowed, or
            a job takes something from a job that does not train it before.

    """
    path = recipe_files.find_file(name_or_path, _folder(), "plan")
    table = build_table(PlanTable, recipe_files.read_table(path), path.name)
    jobs: dict[str, TrainingJob] = {}
    for number, one in enumerate(table.job, 1):
        where = f"{path.name}: job {number}"
        job = _training_job(one, path.parent)
        if job.name in jobs:
            raise UsageError(f"{job.name!r} occurs twice", where=where)
        for option, source in job.sources.items():
            _check_source(job, option, source, jobs, f"{where}: {option}")
        jobs[job.name] = job
    chains: dict[str, ChainJob] = {}
    for number, pair in enumerate(table.chain, 1):
        where = f"{path.name}: chain {number}"
        chain = _chain_job(pair, jobs, where)
        if chain.name in jobs or chain.name in chains:
            raise UsageError(f"{chain.name!r} occurs twice", where=where)
        chains[chain.name] = chain
    return TrainingQueue(path.stem, _in_order(jobs, chains), table.tables)


def _folder() -> Path:
    return FOLDER if FOLDER.is_dir() else _CHECKOUT_FOLDER


def _training_job(table: JobTable, folder: Path) -> TrainingJob:
    source = table.recipe
    if source.endswith(".toml"):
        source = str(folder / source)
    return TrainingJob(Path(table.recipe).stem, source, recipe_files.load(source), table)


_GIVES: Mapping[str, Callable[[Recipe], bool]] = {
    "labels": lambda recipe: "parser" in recipe.stages,
    "identity": lambda recipe: "identity" in recipe.stages,
    "init": lambda _: True,
}
"""Whether a job of a recipe trains what another one takes, by the option."""
_USES: Mapping[str, Callable[[Recipe], bool]] = {
    "labels": lambda recipe: recipe.loss.parsing,
    "identity": lambda recipe: recipe.loss.recognition,
    "init": lambda _: True,
}
"""Whether a recipe uses what is taken, by the option."""


def _check_source(
    job: TrainingJob, option: str, source: str, earlier: Mapping[str, TrainingJob], where: str
) -> None:
    if source not in earlier:
        raise UsageError(
            f"{source!r} is not a job before {job.name}",
            where=where,
            hint=f"Jobs before it: {', '.join(earlier) or 'none'}",
        )
    if not _USES[option](job.recipe):
        raise UsageError(f"nothing in recipe {job.name} uses it", where=where, hint="Leave it out")
    giver = earlier[source].recipe
    if not _GIVES[option](giver):
        raise UsageError(
            f"{source} has no stage that trains it", where=where, hint="Name a job that has"
        )
    one, other = job.recipe.identity, giver.identity
    shapes = [(part.widths, part.blocks, part.features) for part in (one, other)]
    if option == "identity" and shapes[0] != shapes[1]:
        raise UsageError(
            f"the identity networks of {source} and {job.name} have different shapes", where=where
        )


def _chain_job(table: ChainTable, jobs: Mapping[str, TrainingJob], where: str) -> ChainJob:
    denoiser = _part(jobs, table.denoiser, (DENOISER,), f"{where}: denoiser")
    part = _part(jobs, table.super_resolver, SUPER_RESOLVERS, f"{where}: super_resolver")
    scale = part.recipe.generator.scale
    if denoiser.recipe.generator.scale != scale:
        raise UsageError(f"{denoiser.name} and {part.name} have different scales", where=where)
    name = table.name or default_name(part.recipe.name, TEMPLATE_SIZE // scale)
    if Path(name).name != name or name.startswith("."):
        raise UsageError(f"{name!r} cannot be the name of a folder", where=f"{where}: name")
    return ChainJob(name, denoiser, part)


def _part(
    jobs: Mapping[str, TrainingJob], name: str, networks: Sequence[str], where: str
) -> TrainingJob:
    if name not in jobs:
        raise UsageError(
            f"{name!r} is not a job of the plan", where=where, hint=f"Jobs: {', '.join(jobs)}"
        )
    network = jobs[name].recipe.generator.network
    if network not in networks:
        raise UsageError(
            f"{name} trains a {network!r}", where=where, hint=f"Needed: {', '.join(networks)}"
        )
    return jobs[name]


def _in_order(
    jobs: Mapping[str, TrainingJob], chains: Mapping[str, ChainJob]
) -> tuple[TrainingJob | ChainJob, ...]:
    ordered: list[TrainingJob | ChainJob] = []
    trained: set[str] = set()
    waiting = list(chains.values())
    for job in jobs.values():
        ordered.append(job)
        trained.add(job.name)
        ready = [one for one in waiting if {one.denoiser.name, one.super_resolver.name} <= trained]
        ordered += ready
        waiting = [one for one in waiting if one not in ready]
    return tuple(ordered)
