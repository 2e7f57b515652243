import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from jdsr_cli.evidence import SUMS, write_sums
from jdsr_cli.evidence.sums import Sum, parse_sum

NAMES = ("plain.txt", "two words", "Straße 東京.png", "back\\slash", "two\nlines", "re\rturn",
         "sub/folder/deep\\\\", "-dash", " leading", "*star")  # fmt: skip
needs_program = pytest.mark.skipif(
    shutil.which("sha256sum") is None, reason="the program sha256sum is not installed"
)


def fill(folder: Path) -> None:
    for number, name in enumerate(NAMES):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes([number]) * 70_000)


def check(folder: Path) -> subprocess.CompletedProcess[str]:
    command = ["sha256sum", "--strict", "-c", SUMS]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@needs_program
def test_sha256sum_accepts_the_file_whatever_the_names(tmp_path: Path) -> None:
    fill(tmp_path)
    write_sums(tmp_path)
    done = check(tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(": OK") == len(NAMES)
    (tmp_path / "back\\slash").write_bytes(b"altered")
    assert check(tmp_path).returncode == 1


@needs_program
def test_lines_are_those_that_sha256sum_writes(tmp_path: Path) -> None:
    fill(tmp_path)
    write_sums(tmp_path)
    # Versions before 9.0 do not escape the carriage return.
    names = sorted(name for name in NAMES if name != "re\rturn")
    done = subprocess.run(
        ["sha256sum", "--", *names], cwd=tmp_path, capture_output=True, check=True
    )
    ours = (tmp_path / SUMS).read_bytes().split(b"\n")
    assert [line for line in ours if b"\\r" not in line] == done.stdout.split(b"\n")


@pytest.mark.parametrize("name", NAMES)
def test_every_line_is_read_as_it_was_written(name: str) -> None:
    one = Sum("0" * 64, name)
    assert parse_sum(str(one)) == one
    assert "\n" not in str(one)


@pytest.mark.parametrize(
    "line",
    ["", "0" * 64, "0" * 63 + "  a", "A" * 64 + "  a", "0" * 64 + " *a", "0" * 64 + "  ",
     "\\" + "0" * 64 + "  plain", "0" * 64 + "  back\\slash", "\\" + "0" * 64 + "  a\\x"],
)  # fmt: skip
def test_a_line_of_another_form_is_not_read(line: str) -> None:
    assert parse_sum(line) is None


def test_known_hashes_are_not_computed_again(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a")
    (tmp_path / "b").write_bytes(b"b")
    write_sums(tmp_path, {"a": "1" * 64})
    expected = f"{'1' * 64}  a\n{hashlib.sha256(b'b').hexdigest()}  b\n"
    assert (tmp_path / SUMS).read_text() == expected


@needs_program
def test_results_of_both_commands_pass_sha256sum(result: Path, cropped: Path) -> None:
    for folder in (result, cropped):
        done = check(folder)
        assert done.returncode == 0, done.stderr
        files = [path for path in folder.rglob("*") if path.is_file()]
        assert done.stdout.count(": OK") == len(files) - 1
