"""Links, commands and lists in README and docs agree with the repository and the program."""

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.main import get_command

import jdsr_cli
from jdsr_cli import errors
from jdsr_cli.cli.app import app

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "train").rglob("*.md"),
        ROOT / "weights" / "MODEL_CARD.md",
        ROOT / "tests" / "benchmarks" / "README.md",
    ]
)
LINK = re.compile(r"!?\[[^\]]*\]\((?P<target>[^)\s]+)\)")
BLOCK = re.compile(r"^```bash\n(?P<code>.*?)^```", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ (?P<title>.+)$", re.MULTILINE)
CODE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def anchors(page: Path) -> set[str]:
    """Return the anchors of the headings of a page."""
    titles = (match["title"] for match in HEADING.finditer(CODE.sub("", page.read_text("utf-8"))))
    words = (re.sub(r"[^\w\- ]", "", title.lower()).strip() for title in titles)
    return {title.replace(" ", "-") for title in words}


def simple_commands(line: str) -> Iterator[list[str]]:
    """Split a line of shell at its operators and yield the words of each command."""
    words = shlex.shlex(line, posix=True, punctuation_chars=True)
    words.whitespace_split = True
    command: list[str] = []
    for word in words:
        if set(word) <= set("();<>|&"):
            yield command
            command = []
        else:
            command.append(word)
    yield command


def commands(page: Path) -> Iterator[list[str]]:
    """Yield the arguments of each call of jdsr in the shell blocks of a page."""
    for block in BLOCK.finditer(page.read_text("utf-8")):
        code = re.sub(r"<<'(\w+)'.*?^\1$", "", block["code"], flags=re.MULTILINE | re.DOTALL)
        for line in code.replace("\\\n", " ").splitlines():
            for words in simple_commands(line):
                calls = [i for i, word in enumerate(words) if is_call(word, words[:i])]
                if calls:
                    yield words[calls[-1] + 1 :]


def is_call(word: str, before: list[str]) -> bool:
    """Return whether a word runs jdsr: the command, the module or the container image."""
    runs = word.rpartition("/")[2] in ("jdsr", "jdsr:cuda", "jdsr_cli")
    return runs and before[-1:] not in (["-t"], ["cd"])


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_relative_links_point_to_existing_files_and_headings(page: Path) -> None:
    for match in LINK.finditer(CODE.sub("", page.read_text("utf-8"))):
        target, _, anchor = match["target"].partition("#")
        if "://" in target:
            continue
        linked = page if not target else (page.parent / target).resolve()
        assert linked.exists(), match[0]
        if anchor and linked.suffix == ".md" and not anchor.startswith("jdsr_cli"):
            assert anchor in anchors(linked), match[0]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_are_accepted_by_the_command_line(page: Path) -> None:
    for words in commands(page):
        if words:
            parse(words)


def parse(words: list[str]) -> None:
    """Parse a command without running it; an unknown option or invalid value raises."""
    command = get_command(app)
    while hasattr(command, "commands"):
        assert words[0] in command.commands, words
        command, words = command.commands[words[0]], words[1:]
    command.make_context(command.name, list(words))


def test_commands_of_the_readme_are_parsed() -> None:
    called = {words[0] for words in commands(ROOT / "README.md") if words}
    assert {"demo", "restore", "crop-faces"} <= called


def test_an_unknown_option_is_an_error() -> None:
    with pytest.raises(Exception, match="--louder"):
        parse(["restore", "clip.mp4", "--louder"])


def test_api_page_shows_every_public_name() -> None:
    page = (ROOT / "docs" / "reference" / "api.md").read_text("utf-8")
    shown = set(re.findall(r"^::: jdsr_cli\.(\w+)$", page, flags=re.MULTILINE))
    assert shown == set(jdsr_cli.__all__) - {"__version__"}


def test_options_page_has_every_command() -> None:
    page = (ROOT / "docs" / "reference" / "options.md").read_text("utf-8")
    names = []
    for name, command in get_command(app).commands.items():
        names += [f"{name} {one}" for one in getattr(command, "commands", {})] or [name]
    headings = re.findall(r"^## `jdsr ([a-z -]+)`$", page, flags=re.MULTILINE)
    assert sorted(headings) == sorted(names)


def first_column(page: str, header: str) -> list[str]:
    """Return the first cells of the table on a page of the guide that starts with `header`."""
    text = (ROOT / "docs" / "guide" / page).read_text("utf-8")
    table = text[text.index(f"\n| {header} |") + 1 :].split("\n\n")[0]
    return [row.split("|")[1].strip() for row in table.splitlines()[2:]]


def test_guide_explains_every_exit_code() -> None:
    codes = {errors.EXIT_OK, errors.EXIT_PARTIAL, errors.EXIT_INTERRUPTED}
    codes |= {
        kind.exit_code
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.JdsrError)
    }
    assert {int(code) for code in first_column("refusals.md", "exit code")} == codes


def test_refusal_kinds_in_the_guide_exist() -> None:
    sources = "".join(
        path.read_text("utf-8") for path in (ROOT / "jdsr_cli" / "restoration").rglob("*.py")
    )
    kinds = [cell.strip("`") for cell in first_column("refusals.md", "kind")]
    assert "too blurred" in kinds
    for kind in kinds:
        assert f'"{kind}"' in sources, kind


def test_configuration_example_uses_options_of_restore() -> None:
    page = (ROOT / "docs" / "reference" / "options.md").read_text("utf-8")
    example = tomllib.loads(page[page.index("```toml\n") + 8 :].split("```")[0])
    options = {name for one in get_command(app).commands["restore"].params for name in one.opts}
    assert {f"--{key}" for key in example} <= options
