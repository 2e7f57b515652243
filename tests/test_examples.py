"""The examples in the docstrings of the public names run as they are."""

import doctest
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import jdsr_cli
from jdsr_cli import settings

NAMES = [name for name in jdsr_cli.__all__ if name != "__version__"]


def run_examples(text: str | None, name: str) -> None:
    example = doctest.DocTestParser().get_doctest(text or "", {}, name, name, 0)
    assert example.examples, f"{name} has no example"
    output: list[str] = []
    doctest.DocTestRunner().run(example, out=output.append)
    assert "".join(output) == ""


@pytest.fixture(autouse=True)
def folder(astronaut: NDArray[np.uint8], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory with a portrait."""
    Image.fromarray(astronaut).save(tmp_path / "photo.png")
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_has_an_example_that_runs(name: str) -> None:
    run_examples(getattr(jdsr_cli, name).__doc__, name)


def test_the_example_of_the_package_runs() -> None:
    run_examples(jdsr_cli.__doc__, "jdsr_cli")


def test_the_example_of_the_rows_of_options_runs() -> None:
    run_examples(settings.options_of.__doc__, "options_of")


def test_an_incorrect_example_fails() -> None:
    with pytest.raises(AssertionError, match="Expected"):
        run_examples(">>> 1 + 1\n3\n", "incorrect")
