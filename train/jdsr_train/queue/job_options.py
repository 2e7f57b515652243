"""Options of the `jdsr train` of each job: those of the queue, as far as its recipe uses them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from jdsr_cli.datasets.cropping import LANDMARKS
from jdsr_cli.settings import TrainSettings, declared
from jdsr_train.data.part_labellers import LABELS
from jdsr_train.frozen_features import VGG16
from jdsr_train.queue.plan_files import ChainJob, TrainingJob
from jdsr_train.recipe import Recipe
from jdsr_train.recipe_files import to_dict
from jdsr_train.request import OWN_PARSER, stage_weights_path

RESULT_OPTIONS = (
    "data", "masks", "landmarks", "parsing", "labels", "features", "init", "identity", "minutes",
    "steps",
)  # fmt: skip
"""Options on which the trained weights depend, besides the recipe."""
CHOICES: Mapping[str, Collection[str]] = {
    "landmarks": LANDMARKS, "labels": (OWN_PARSER, *LABELS), "features": (VGG16,),
}  # fmt: skip
"""Values of the options whose text is a file otherwise."""


@dataclass(frozen=True)
class QueueOptions:
    """The options that all jobs of a queue share."""

    settings: TrainSettings
    """Options of the command."""
    out: Path
    """Folder of the queue, with a folder for each job."""
    gpus: int
    """GPUs of this machine that the jobs may use; 0 if they train on another device."""

    def folder(self, job: TrainingJob | ChainJob) -> Path:
        """Return the folder of a job."""
        return self.out / job.name

    def weights(self, job: TrainingJob | ChainJob) -> Path:
        """Return the path of the weights that a job writes."""
        if isinstance(job, TrainingJob):
            return stage_weights_path(self.folder(job), "joint", job.recipe)
        return self.folder(job) / "weights" / f"{job.name}.safetensors"

    def trains_parser(self, job: TrainingJob) -> bool:
        """Return whether a job trains a parser for the labels of faces."""
        settings = self.settings
        return (
            "parser" in job.recipe.stages
            and job.recipe.loss.parsing
            and settings.parsing is not None
            and settings.labels == OWN_PARSER
            and "labels" not in job.sources
        )

    def taken(
        self, job: TrainingJob, jobs: Mapping[str, TrainingJob]
    ) -> dict[str, tuple[TrainingJob, Path]]:
        """Return what a job takes from earlier ones: the job and the file, by the option.

        An option of the command has precedence over the plan. Where no parser is trained, none is
        taken.

        Args:
            job: The job.
            jobs: All jobs by name.

        """
        given = {
            "labels": self.settings.labels != OWN_PARSER,
            "identity": self.settings.identity is not None,
            "init": False,
        }
        found = {}
        for option, name in job.sources.items():
            source = jobs[name]
            if given[option] or (option == "labels" and not self.trains_parser(source)):
                continue
            stage = {"labels": "parser", "identity": "identity", "init": "joint"}[option]
            path = stage_weights_path(self.folder(source), stage, source.recipe)
            found[option] = (source, path)
        return found

    def processes(self, job: TrainingJob) -> int:
        """Return the number of processes of a job.

        That is the largest number that divides the faces of a step of each of its stages, up to
        `--processes`, or up to the GPUs of the plan and of this machine.
        """
        wanted = self.settings.processes
        most = wanted if wanted > 1 else max(1, min(job.table.gpus, self.gpus))
        batches = [job.recipe.steps(stage).batch for stage in job.recipe.stages]
        return max(n for n in range(1, most + 1) if all(batch % n == 0 for batch in batches))

    def settings_of(self, job: TrainingJob, taken: Mapping[str, Path]) -> TrainSettings:
        """Return the options of the `jdsr train` of a job.

        Options that its recipe does not use are left out.

        Args:
            job: The job.
            taken: Files that it takes from earlier jobs, by the option.

        Raises:
            UsageError: The share of `--minutes` is too short.

        """
        given, recipe = self.settings, job.recipe
        loss, stages, masked = recipe.loss, recipe.stages, recipe.data.masked > 0
        labels = str(taken["labels"]) if "labels" in taken else given.labels
        parts = loss.parsing
        has_parser = parts and "parser" in stages and labels == OWN_PARSER
        minutes = None if given.minutes is None else given.minutes * job.table.share
        init = taken.get("init")
        return replace(
            given,
            plan=None, recipe=job.source, out=self.folder(job), cache=given.cache or self.cache,
            masks=given.masks if masked else None,
            landmarks=given.landmarks if loss.prior > 0 or masked else "five",
            features=given.features if loss.features else None,
            parsing=given.parsing if has_parser else None,
            labels=labels if parts else OWN_PARSER,
            identity=taken.get("identity", given.identity) if loss.recognition else None,
            init=None if init is None else str(init),
            minutes=minutes, processes=self.processes(job),
        )  # fmt: skip

    @property
    def cache(self) -> Path:
        """Folder of the prepared faces of all jobs."""
        return self.out / "cache"


def to_words(settings: TrainSettings) -> list[str]:
    """Return the words of `jdsr train` for settings; what has its default is left out."""
    return ["train", *_option_words(settings)]


def _option_words(settings: TrainSettings) -> Iterator[str]:
    for one in declared(type(settings)):
        value = getattr(settings, one.field)
        if value is None or value == one.default:
            continue
        yield one.flag
        if one.kind is not bool:
            yield one.text(value)


def result_options(
    settings: TrainSettings, job: TrainingJob, names: Mapping[str, str]
) -> dict[str, str]:
    """Return on what the weights of a job depend, as text by option.

    Args:
        settings: Options of its `jdsr train`.
        job: The job.
        names: Names of the jobs from which it takes results, by the option; they stand for files.

    """
    found = {"recipe": recipe_digest(job.recipe)}
    for option in RESULT_OPTIONS:
        value = getattr(settings, option)
        if option in names:
            found[f"--{option}"] = names[option]
        elif isinstance(value, Path):
            found[f"--{option}"] = str(value.resolve())
        elif value is not None:
            found[f"--{option}"] = _with_resolved_file(option, str(value))
    return found


def _with_resolved_file(option: str, text: str) -> str:
    """Return the text of an option; if it names a file, the file's absolute path."""
    if option not in CHOICES or text in CHOICES[option]:
        return text
    return str(Path(text).resolve())


def recipe_digest(recipe: Recipe) -> str:
    """Return the SHA-256 of a recipe in hexadecimal."""
    text = json.dumps(to_dict(recipe), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def describe_difference(
    before: Mapping[str, str], now: Mapping[str, str], jobs: Collection[str] = ()
) -> str | None:
    """Describe the first option that differs, if any.

    Args:
        before: Options of a record; earlier versions recorded relative paths of some files, which
            start at the working folder.
        now: Options as `result_options` returns them.
        jobs: Names of jobs, which are no such paths.

    """
    for option in dict.fromkeys((*before, *now)):
        old, new = before.get(option), now.get(option)
        if old == new:
            continue
        if (
            old is not None
            and old not in jobs
            and _with_resolved_file(option.removeprefix("--"), old) == new
        ):
            continue
        if option == "recipe":
            return "another content of its recipe"
        return f"{'no ' + option if old is None else f'{option} {old}'}, not {new or 'without it'}"
    return None


def chain_words(denoiser: Path, super_resolver: Path, out: Path) -> list[str]:
    """Return the words of `jdsr weights chain`."""
    return ["weights", "chain", str(denoiser), str(super_resolver), "--out", str(out)]
