"""The options of each job of a queue: what its recipe uses, and what it takes from other jobs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from queue_plans import settings, write_plan

from jdsr_cli.settings import TrainSettings
from jdsr_train.queue.job_options import (
    QueueOptions,
    describe_difference,
    result_options,
    to_words,
)
from jdsr_train.queue.plan_files import ChainJob, TrainingJob, load_queue


def jobs_of(plan: str) -> dict[str, TrainingJob]:
    return {one.name: one for one in load_queue(plan).jobs if isinstance(one, TrainingJob)}


@pytest.fixture(scope="module")
def published() -> dict[str, TrainingJob]:
    return jobs_of("reproduce")


GIVEN = TrainSettings(
    Path("faces"), plan="reproduce", masks=Path("masks"), landmarks="fan",
    parsing=Path("labelled.tar"), features="vgg.pth", minutes=10, workers=3, compiled=True,
    export_every=60,
)  # fmt: skip


def words_of(
    name: str, jobs: dict[str, TrainingJob], given: TrainSettings = GIVEN, gpus: int = 0
) -> dict[str, str]:
    """Return the options of a job's command by name."""
    options = QueueOptions(given, Path("out"), gpus)
    taken = {option: path for option, (_, path) in options.taken(jobs[name], jobs).items()}
    words = to_words(options.settings_of(jobs[name], taken))
    assert words[0] == "train"
    found: dict[str, str] = {}
    for word in words[1:]:
        if word.startswith("--"):
            flag = word
            found[flag] = ""
        else:
            found[flag] = word
    return found


COMMON = {
    "--data": "faces", "--landmarks": "fan", "--cache": "out/cache", "--workers": "3",
    "--compile": "", "--export-every": "60.0",
}  # fmt: skip


def test_the_first_job_trains_parser_and_identity_network(
    published: dict[str, TrainingJob],
) -> None:
    assert words_of("paper_x4", published) == {
        **COMMON, "--recipe": "paper_x4", "--out": "out/paper_x4", "--minutes": "10.0",
        "--masks": "masks", "--features": "vgg.pth", "--parsing": "labelled.tar",
    }  # fmt: skip


def test_a_later_job_takes_both_and_leaves_out_their_stages(
    published: dict[str, TrainingJob],
) -> None:
    assert words_of("without_style", published) == {
        **COMMON, "--recipe": "without_style", "--out": "out/without_style", "--minutes": "10.0",
        "--masks": "masks", "--features": "vgg.pth",
        "--labels": "out/paper_x4/parser/parser.safetensors",
        "--identity": "out/paper_x4/identity/identity.safetensors",
    }  # fmt: skip


def test_options_that_a_recipe_does_not_use_are_left_out(
    published: dict[str, TrainingJob],
) -> None:
    assert words_of("drn_x4", published) == {
        **{option: value for option, value in COMMON.items() if option != "--landmarks"},
        "--recipe": "drn_x4", "--out": "out/drn_x4", "--minutes": "5.0",
    }  # fmt: skip
    assert words_of("cbdnet_x4", published).keys() - COMMON.keys() == {
        "--recipe", "--out", "--minutes", "--masks",
    }  # fmt: skip
    assert "--identity" not in words_of("without_identity", published)
    assert "--labels" not in words_of("dic_x4", published)


def test_a_job_starts_from_the_weights_of_another(published: dict[str, TrainingJob]) -> None:
    words = words_of("dicgan_x8", published)
    assert words["--init"] == "out/dic_x8/weights/dic_x8.safetensors"
    assert words["--minutes"] == "2.5"


def test_without_labelled_faces_no_labels_are_taken(published: dict[str, TrainingJob]) -> None:
    words = words_of("without_style", published, replace(GIVEN, parsing=None))
    assert "--labels" not in words
    assert "--identity" in words


def test_options_of_the_command_have_precedence_over_the_plan(
    published: dict[str, TrainingJob],
) -> None:
    given = replace(GIVEN, labels="facexlib", identity=Path("own.safetensors"), parsing=None)
    for name in ("paper_x4", "without_style", "fsrgan_x4"):
        words = words_of(name, published, given)
        assert words["--labels"] == "facexlib"
        assert words.get("--identity") == (None if name == "fsrgan_x4" else "own.safetensors")


def test_a_labelled_set_is_not_used_beside_labels_of_a_file(
    published: dict[str, TrainingJob],
) -> None:
    words = words_of("paper_x4", published, replace(GIVEN, labels="parser.safetensors"))
    assert words["--labels"] == "parser.safetensors"
    assert "--parsing" not in words


@pytest.mark.parametrize(
    ("name", "gpus", "wanted", "processes"),
    [
        ("paper_x4", 0, 1, 1),
        ("paper_x4", 1, 1, 1),
        ("paper_x4", 3, 1, 2),
        ("paper_x4", 8, 1, 4),
        ("fsrgan_x4", 8, 1, 1),
        ("fsrgan_x4", 8, 4, 2),
        ("paper_x4", 0, 2, 2),
    ],
)
def test_processes_are_those_of_plan_and_machine_that_can_share_a_batch(
    published: dict[str, TrainingJob], name: str, gpus: int, wanted: int, processes: int
) -> None:
    given = replace(GIVEN, processes=wanted)
    assert QueueOptions(given, Path("out"), gpus).processes(published[name]) == processes
    words = words_of(name, published, given, gpus)
    assert words.get("--processes", "1") == str(processes)


def test_chains_have_a_folder_of_their_own() -> None:
    options = QueueOptions(GIVEN, Path("out"), 0)
    chain = next(one for one in load_queue("reproduce").jobs if isinstance(one, ChainJob))
    assert options.weights(chain) == Path("out/cbd_drn_x4/weights/cbd_drn_x4.safetensors")


def test_what_changes_the_weights_is_compared_and_nothing_else(tmp_path: Path) -> None:
    jobs = jobs_of(str(write_plan(tmp_path)))
    job = jobs["ablation"]

    def recorded(given: TrainSettings) -> dict[str, str]:
        options = QueueOptions(given, tmp_path / "out", 0)
        taken = options.taken(job, jobs)
        own = options.settings_of(job, {name: path for name, (_, path) in taken.items()})
        return result_options(own, job, {name: one.name for name, (one, _) in taken.items()})

    before = recorded(settings(tmp_path))
    assert before["--labels"] == before["--identity"] == "whole"
    assert before["--data"] == str(tmp_path / "faces")
    same = settings(tmp_path, workers=4, compiled=True, validate_every=3, checkpoint_every=2)
    assert describe_difference(before, recorded(same)) is None
    for changed, text in (
        ({"masks": tmp_path / "m"}, f"no --masks, not {tmp_path / 'm'}"),
        ({"landmarks": "fan"}, "--landmarks five, not fan"),
        ({"steps": 5}, "no --steps, not 5"),
        ({"features": None}, f"--features {tmp_path / 'vgg.pth'}, not without it"),
    ):
        found = describe_difference(before, recorded(settings(tmp_path, **changed)))
        assert found == text
    recipe = tmp_path / "ablation.toml"
    recipe.write_text(recipe.read_text() + "pixel_hr = 2.0\n")
    job = jobs_of(str(tmp_path / "plan.toml"))["ablation"]
    found = describe_difference(before, recorded(settings(tmp_path)))
    assert found == "another content of its recipe"


FILES = {"features": "vgg.pth", "landmarks": "fan.onnx", "labels": "parser.safetensors"}


@pytest.fixture
def inside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a plan, which is the working folder."""
    monkeypatch.chdir(folder)
    return folder


def options_of(folder: Path, option: str, value: str) -> dict[str, str]:
    """Return what is recorded of a job of the plan in a folder with an option."""
    jobs = jobs_of(str(folder / "plan.toml"))
    options = QueueOptions(settings(folder, **{option: value}), folder / "out", 0)
    taken = options.taken(jobs["ablation"], jobs)
    own = options.settings_of(jobs["ablation"], {name: path for name, (_, path) in taken.items()})
    names = {name: one.name for name, (one, _) in taken.items()}
    return result_options(own, jobs["ablation"], names)


@pytest.mark.parametrize(("option", "name"), FILES.items())
def test_a_file_is_the_same_by_every_spelling_of_its_path(
    inside: Path, monkeypatch: pytest.MonkeyPatch, option: str, name: str
) -> None:
    (inside / "sub").mkdir()
    (inside / name).touch()
    (inside / "link").symlink_to(name)
    before = options_of(inside, option, str(inside / name))
    assert before[f"--{option}"] == str((inside / name).resolve())
    for spelling in (name, f"./{name}", f"sub/../{name}", "link", str(inside / "link")):
        assert describe_difference(before, options_of(inside, option, spelling)) is None
    monkeypatch.chdir(inside / "sub")
    assert describe_difference(before, options_of(inside, option, f"../{name}")) is None
    (inside / "sub" / name).touch()
    found = describe_difference(before, options_of(inside, option, name))
    assert found == f"--{option} {inside / name}, not {inside / 'sub' / name}"


@pytest.mark.parametrize(("option", "name"), FILES.items())
def test_a_file_stays_the_same_after_it_was_removed(inside: Path, option: str, name: str) -> None:
    (inside / name).touch()
    before = options_of(inside, option, name)
    (inside / name).unlink()
    assert describe_difference(before, options_of(inside, option, name)) is None


@pytest.mark.parametrize(
    ("option", "name"),
    [("landmarks", "five"), ("landmarks", "fan"), ("labels", "facexlib"), ("labels", "none"),
     ("features", "vgg16")],
)  # fmt: skip
def test_a_name_is_no_file_even_if_one_is_called_so(inside: Path, option: str, name: str) -> None:
    (inside / name).touch()
    assert options_of(inside, option, name)[f"--{option}"] == name


@pytest.mark.parametrize(("option", "name"), FILES.items())
def test_relative_paths_of_earlier_records_start_at_the_working_folder(
    inside: Path, monkeypatch: pytest.MonkeyPatch, option: str, name: str
) -> None:
    (inside / "sub").mkdir()
    now = options_of(inside, option, name)
    earlier = {**now, f"--{option}": name}
    assert describe_difference(earlier, now) is None
    monkeypatch.chdir(inside / "sub")
    assert describe_difference(earlier, now) == f"--{option} {name}, not {inside / name}"


def test_a_job_is_not_a_file_of_its_name(inside: Path) -> None:
    (inside / "whole").touch()
    before = options_of(inside, "labels", "own")
    assert before["--labels"] == "whole"
    now = options_of(inside, "labels", "whole")
    found = describe_difference(before, now, ["whole"])
    assert found == f"--labels whole, not {inside / 'whole'}"
