"""Plans: the packaged ones, what a file may contain, and in which order its jobs run."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from queue_plans import ORDER, PLAN, write_plan

from jdsr_cli.errors import UsageError
from jdsr_train import recipe_files
from jdsr_train.queue import plan_files
from jdsr_train.queue.plan_files import ChainJob, TrainingJob, load_queue

ROOT = Path(__file__).parents[3]
ABLATIONS = {"style", "perceptual", "identity", "smooth", "attention"}


def trainings(name: str) -> dict[str, TrainingJob]:
    return {one.name: one for one in load_queue(name).jobs if isinstance(one, TrainingJob)}


def chains(name: str) -> set[str]:
    return {one.name for one in load_queue(name).jobs if isinstance(one, ChainJob)}


def test_the_reproduction_has_every_row_of_the_tables() -> None:
    jobs = trainings("reproduce")
    assert set(jobs) == {
        "paper_x4", "paper_x8", *(f"without_{part}" for part in ABLATIONS),
        *(f"{one}_x4" for one in ("cbdnet", "drn", "srfbn", "sicnn", "fsrgan", "dic", "dicgan")),
        *(f"{one}_x8" for one in ("cbdnet", "drn", "fsrgan", "dic", "dicgan")),
    }  # fmt: skip
    assert chains("reproduce") == {
        *(f"cbd_{one}_x4" for one in ("drn", "srfbn", "sicnn", "fsrgan", "dicgan")),
        *(f"cbd_{one}_x8" for one in ("drn", "fsrgan", "dicgan")),
    }
    assert load_queue("reproduce").tables == ("2", "3", "generality")


def test_the_comparison_on_a_cpu_has_small_recipes_only() -> None:
    jobs = trainings("equal_budget")
    assert set(jobs) == {
        "paper_x4_small", *(f"without_{part}_small" for part in ABLATIONS),
        *(f"{one}_x4_small" for one in ("cbdnet", "drn", "srfbn", "sicnn", "fsrgan")),
        "dic_x4_small", "dicgan_x4_small",
    }  # fmt: skip
    assert all(one.table.gpus == 1 for one in jobs.values())
    assert chains("equal_budget") == {
        f"cbd_{one}_x4_small" for one in ("drn", "srfbn", "sicnn", "fsrgan", "dicgan")
    }


@pytest.mark.parametrize("name", plan_files.names())
def test_the_parts_of_a_chain_have_the_time_of_one_system(name: str) -> None:
    jobs = trainings(name)
    for chain in load_queue(name).jobs:
        if isinstance(chain, ChainJob):
            parts = [jobs[chain.denoiser.name], jobs[chain.super_resolver.name]]
            parts += [jobs[part.table.init] for part in parts if part.table.init is not None]
            assert sum(part.table.share for part in parts) == 1
    assert all(jobs[one].table.share == 1 for one in jobs if one.startswith(("paper", "without")))


@pytest.mark.parametrize("name", plan_files.names())
def test_jobs_start_from_the_weights_from_which_their_publication_does(name: str) -> None:
    jobs = trainings(name).values()
    assert {one.name: one.table.init for one in jobs} == {
        one.name: one.recipe.starts_from for one in jobs
    }
    assert any(one.table.init for one in jobs)


@pytest.mark.parametrize("name", plan_files.names())
def test_every_job_takes_the_parser_and_the_identity_network_that_are_trained_first(
    name: str,
) -> None:
    first, *others = trainings(name).values()
    assert first.sources == {}
    for job in others:
        takes = {
            "labels": job.recipe.loss.parsing, "identity": job.recipe.loss.recognition,
        }  # fmt: skip
        expected = {option: first.name for option, used in takes.items() if used}
        assert {key: one for key, one in job.sources.items() if key != "init"} == expected


def test_a_chain_follows_the_later_one_of_its_parts(tmp_path: Path) -> None:
    queue = load_queue(str(write_plan(tmp_path)))
    assert [one.name for one in queue.jobs] == ORDER
    assert queue.name == "plan"


def test_recipes_are_those_beside_the_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_plan(tmp_path / "plans")
    monkeypatch.chdir(tmp_path)
    job = load_queue(str(path.relative_to(tmp_path))).jobs[0]
    assert isinstance(job, TrainingJob)
    assert recipe_files.load(job.source) == job.recipe


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("gpus = 4", "gpu = 4", "job 1: unknown key 'gpu'. Nearest: gpus"),
        ("gpus = 4", "gpus = 0", "job 1: gpus: 0 is out of range"),
        ("share = 0.5", "share = 0", "job 3: share: 0 is not above 0"),
        ("share = 0.5", 'share = "half"', "job 3: share: 'half' is not of type float"),
        ("[[chain]]", "[[chains]]", "unknown key 'chains'. Nearest: chain"),
        ("[[job]]", "[[jobs]]", "plan.toml: unknown key 'jobs'. Nearest: job"),
        ('"2", "g', '"4", "g', "tables: '4' is not known. Use 2, 3, generality"),
        ('recipe = "longer.toml"', 'recipe = "drn_x5"', "no recipe 'drn_x5'. Nearest: drn_x"),
        ('recipe = "longer.toml"', 'recipe = "resolver.toml"', "job 5: 'resolver' occurs twice"),
        ('labels = "whole"', 'labels = "hole"', "job 2: labels: 'hole' is not a job before"),
        ('init = "resolver"', 'init = "longer"', "job 5: init: 'longer' is not a job before"),
        ('init = "resolver"', 'labels = "whole"', "job 5: labels: nothing in recipe longer uses"),
        ('identity = "whole"', 'identity = "ablation"', "'ablation' is not a job before ablation"),
        ('denoiser = "denoiser"', 'denoiser = "whole"', "denoiser: whole trains a 'jdsr'"),
        ('super_resolver = "resolver"', 'super_resolver = "denoiser"', "trains a 'cbdnet'"),
        ('denoiser = "denoiser"', 'denoiser = "other"', "'other' is not a job of the plan"),
        ('denoiser = "denoiser"', 'denoiser = "denoiser"\nname = "whole"', "'whole' occurs twice"),
        ('denoiser = "denoiser"', 'denoiser = "denoiser"\nname = "../x"', "cannot be the name"),
    ],
)
def test_a_faulty_plan_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in PLAN
    path = write_plan(tmp_path, PLAN.replace(old, new))
    with pytest.raises(UsageError) as error:
        load_queue(str(path))
    assert message in str(error.value)


def test_a_job_takes_only_what_another_one_trains(tmp_path: Path) -> None:
    first = '[[job]]\nrecipe = "resolver.toml"\n'
    text = f'{first}[[job]]\nrecipe = "whole.toml"\nlabels = "resolver"\n'
    with pytest.raises(UsageError, match="resolver has no stage that trains it"):
        load_queue(str(write_plan(tmp_path, text)))
    text = '[[job]]\nrecipe = "paper_x4"\n[[job]]\nrecipe = "whole.toml"\nidentity = "paper_x4"\n'
    with pytest.raises(UsageError, match="have different shapes"):
        load_queue(str(write_plan(tmp_path, text)))


def test_parts_of_different_scales_are_not_chained(tmp_path: Path) -> None:
    text = PLAN.replace('"denoiser.toml"', '"cbdnet_x8"').replace('"denoiser"', '"cbdnet_x8"')
    with pytest.raises(UsageError, match="have different scales"):
        load_queue(str(write_plan(tmp_path, text)))


def test_every_plan_is_part_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    included = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert {f"{name}.toml" for name in plan_files.names()} == {
        Path(source).name for source, place in included.items() if "/plans/" in place
    }


def test_plans_of_an_installation_are_found_beside_its_modules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_plan(tmp_path / "plans")
    monkeypatch.setattr(plan_files, "FOLDER", tmp_path / "plans")
    assert "plan" in plan_files.names()
    assert "reproduce" not in plan_files.names()
    assert load_queue("plan").name == "plan"


def test_an_unknown_plan_is_answered_with_the_nearest_one() -> None:
    with pytest.raises(UsageError, match=r"no plan 'reproduction'\. Nearest: reproduce"):
        load_queue("reproduction")


def test_a_plan_needs_a_job(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no \[\[job\]\]"):
        load_queue(str(write_plan(tmp_path, "job = []\n")))


def test_only_the_equal_budget_has_no_denoise_stage_beside_the_minutes() -> None:
    """`--minutes` is the time of the joint stage; plan and documentation state the difference."""

    def with_denoiser(plan: str) -> set[str]:
        jobs = (one for one in load_queue(plan).jobs if isinstance(one, TrainingJob))
        return {one.name for one in jobs if "denoise" in one.recipe.stages}

    assert with_denoiser("equal_budget") == set()
    longer = with_denoiser("reproduce")
    assert {name.partition("_")[0] for name in longer} == {"paper", "without"}
    assert {"paper_x4", "paper_x8"} < longer
    texts = [ROOT / "train/reproduce.toml", ROOT / "docs/training.md", ROOT / "docs/evaluation.md"]
    for text in texts:
        assert "denoise" in text.read_text(encoding="utf-8").partition("--minutes")[2], text
