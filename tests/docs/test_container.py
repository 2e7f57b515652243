"""The Dockerfile matches the repository, as far as can be checked without a container engine."""

import re
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINES = (ROOT / "Dockerfile").read_text("utf-8").replace("\\\n", " ").splitlines()
INSTRUCTIONS = [line.split() for line in LINES if line.strip() and not line.startswith("#")]
IGNORED = [
    line
    for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    if line and not line.startswith("#")
]


def sources() -> list[str]:
    """Return the paths copied from the build context."""
    copies = [words[1:-1] for words in INSTRUCTIONS if words[0] == "COPY"]
    return [name for words in copies if not words[0].startswith("--from") for name in words]


def is_in_context(name: str) -> bool:
    """Return whether a path is in the build context; the last matching pattern decides."""
    inside = True
    for pattern in IGNORED:
        matches = any(
            fnmatch(str(path), pattern.removeprefix("!").removeprefix("**/"))
            for path in (Path(name), *Path(name).parents)
        )
        inside = pattern.startswith("!") if matches else inside
    return inside


@pytest.mark.parametrize("name", sources())
def test_every_copied_source_exists_and_is_in_the_build_context(name: str) -> None:
    assert (ROOT / name).exists()
    assert is_in_context(name)


def test_the_sources_of_the_wheel_are_copied() -> None:
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    wheel = project[project.index("[tool.hatch.build.targets.wheel") :]
    wheel = wheel[: wheel.index("[tool.hatch.build.targets.sdist]")]
    included = re.findall(r'^"([^"]+)" = ', wheel, flags=re.MULTILINE)
    included += re.findall(r'"([^"]+)"', wheel[: wheel.index("\n\n")])
    assert any(name.endswith("lite-camera.safetensors") for name in included)
    for name in (*included, "README.md", "LICENSE"):
        assert any(Path(name).is_relative_to(source) for source in sources()), name
        assert is_in_context(name), name


def test_pictures_and_tests_are_not_in_the_build_context() -> None:
    assert not is_in_context("weights/pictures/camera-masked-32.png")
    assert not is_in_context("tests/conftest.py")
    assert not is_in_context(".git/HEAD")


def test_the_container_runs_jdsr_as_an_unprivileged_user() -> None:
    last = {words[0]: words[1:] for words in INSTRUCTIONS}
    assert last["ENTRYPOINT"] == ['["jdsr"]']
    assert last["USER"] == ["1000:1000"]
    after = [words[0] for words in INSTRUCTIONS[INSTRUCTIONS.index(["USER", "1000:1000"]) :]]
    assert "USER" not in after[1:]
    assert "RUN" not in after


def test_the_variants_are_the_last_stages_and_the_cpu_is_the_default() -> None:
    stages = [words[-1] for words in INSTRUCTIONS if words[0] == "FROM"]
    assert stages == ["build", "runtime", "cuda", "cpu"]


def test_the_dockerfile_contains_no_address() -> None:
    assert "://" not in (ROOT / "Dockerfile").read_text("utf-8")
