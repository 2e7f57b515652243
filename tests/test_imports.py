"""Imports between modules: training depends on the installed package, and there is no cycle."""

import ast
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = {"jdsr_cli": ROOT / "jdsr_cli", "jdsr_train": ROOT / "train" / "jdsr_train"}
LAZY_IMPORTERS = ("jdsr_cli.cli.training", "jdsr_cli.cli.weights")
"""Commands that import training inside their functions."""

Graph = dict[str, set[str]]


def sources() -> dict[str, Path]:
    """Return the path of every module by its dotted name."""
    modules = {}
    for name, folder in PACKAGES.items():
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            modules[".".join((name, *(part for part in parts if part != "__init__")))] = path
    return modules


def imported(tree: ast.AST, *, in_functions: bool) -> Iterator[str]:
    """Yield the names that a module imports on import; with `in_functions` also in functions."""
    pending = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif in_functions or not isinstance(
            node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
        ):
            pending += ast.iter_child_nodes(node)


def module_of(name: str, modules: dict[str, Path]) -> str | None:
    """Return the module that has an imported name, or that contains it."""
    return next((one for one in (name, name.rpartition(".")[0]) if one in modules), None)


def graph() -> Graph:
    modules = sources()
    edges: Graph = {}
    for name, path in modules.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if path.name == "__init__.py":  # its lazy exports are declared for type checkers
            tree.body = [node for node in tree.body if not is_type_checking_block(node)]
        targets = (module_of(one, modules) for one in imported(tree, in_functions=False))
        edges[name] = {one for one in targets if one is not None} - {name}
    return edges


def cycles(edges: Graph) -> list[list[str]]:
    """Return groups of modules in a cycle (Tarjan's strongly connected components)."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    groups = []

    def visit(node: str) -> None:
        order[node] = low[node] = len(order)
        stack.append(node)
        for target in edges[node]:
            if target not in order:
                visit(target)
                low[node] = min(low[node], low[target])
            elif target in stack:
                low[node] = min(low[node], order[target])
        if low[node] == order[node]:
            index = stack.index(node)
            group = stack[index:]
            del stack[index:]
            if len(group) > 1:
                groups.append(sorted(group))

    for node in edges:
        if node not in order:
            visit(node)
    return groups


def test_a_cycle_is_detected() -> None:
    edges: Graph = {"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}
    assert cycles(edges) == [["b", "c"]]


ACYCLIC = ("jdsr_cli.synthesis", "jdsr_cli.datasets", "jdsr_cli.evaluation", "jdsr_train.data")


def test_there_are_no_import_cycles_in_synthesis_datasets_and_evaluation() -> None:
    assert [one for one in cycles(graph()) if any(name.startswith(ACYCLIC) for name in one)] == []


def test_there_are_no_import_cycles() -> None:
    assert cycles(graph()) == []


def test_no_module_shares_its_name_with_something_that_it_defines() -> None:
    kinds = ast.FunctionDef | ast.ClassDef
    faults = []
    for name, path in sources().items():
        body = ast.parse(path.read_text(encoding="utf-8")).body
        defined = {node.name for node in body if isinstance(node, kinds)}
        faults += [name for one in defined if one == name.rpartition(".")[2]]
    assert faults == []


def test_no_two_classes_share_a_name() -> None:
    defined: dict[str, list[str]] = {}
    for module, path in sources().items():
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                defined.setdefault(node.name, []).append(module)
    assert {name: modules for name, modules in defined.items() if len(modules) > 1} == {}


def test_no_two_test_modules_share_a_name() -> None:
    """Pytest imports them by their name alone."""
    paths = [path for path in Path(__file__).parent.rglob("*.py") if path.name != "conftest.py"]
    assert [name for name, count in Counter(path.name for path in paths).items() if count > 1] == []


def test_the_installed_package_does_not_import_training() -> None:
    faults = []
    for name, path in sources().items():
        if name.startswith("jdsr_cli"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            if name in LAZY_IMPORTERS:
                tree.body = [node for node in tree.body if not is_type_checking_block(node)]
            names = imported(tree, in_functions=name not in LAZY_IMPORTERS)
            faults += [f"{name}: {one}" for one in names if one.startswith("jdsr_train")]
    assert faults == []


def is_type_checking_block(node: ast.stmt) -> bool:
    """Return whether a statement is a block of imports for annotations."""
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


BLOCKER = """
import sys

BLOCKED = ("lightning_fabric", "tensorboard", "torchmetrics", "jdsr_train")

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"{name} is blocked", name=name)

sys.meta_path.insert(0, Blocker())
from jdsr_cli.cli.app import main
sys.argv[0] = "jdsr"
main()
"""


def without_training(*arguments: str | Path) -> str:
    """Run a command on an installation without the extra `train`."""
    command = [sys.executable, "-c", BLOCKER, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_help_of_eval_needs_no_training_packages() -> None:
    assert "--compare" in without_training("eval", "--help")


def test_an_evaluation_needs_no_training_packages(
    write_faces: Callable[..., Path], tmp_path: Path
) -> None:
    data = write_faces(tmp_path / "faces", ("test.tar",)) / "test.tar"
    out = tmp_path / "out"
    shown = without_training(
        "eval", "--data", data, "--compare", "bicubic", "--limit", "2", "--out", out, "-q"
    )
    assert "PSNR" in shown
    assert (out / "results.json").is_file()


@pytest.mark.parametrize("name", ["lightning_fabric", "jdsr_train"])
def test_blocked_packages_cannot_be_imported(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BLOCKER.replace("from jdsr_cli", f"import {name}\nfrom jdsr_cli")],
        capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip
    assert f"{name} is blocked" in done.stderr
