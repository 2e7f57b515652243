"""The commands `python -m jdsr_train.lease COMMAND`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from jdsr_cli.errors import EXIT_INTERRUPTED, JdsrError, OutputError, UsageError
from jdsr_cli.file_names import as_text
from jdsr_train.lease.plan import Limits
from jdsr_train.lease.staging import StagingSources, print_summary, stage_plan
from jdsr_train.lease.workspace import LeaseWorkspace

FAULTS = ("killed", "failed", "slow")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code, or that of the error that it raises."""
    given = _parser().parse_args(arguments)
    try:
        return _COMMANDS[given.command](given)
    except JdsrError as error:
        sys.stderr.write(f"error: {as_text(str(error))}\n")
        return error.exit_code
    except OSError as error:
        sys.stderr.write(f"error: {as_text(str(error))}\n")
        return OutputError.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return EXIT_INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m jdsr_train.lease",
        description="Train on a machine that is leased for a short time; see train/gpu/README.md.",
    )
    commands = parser.add_subparsers(dest="command", required=True)

    stage = commands.add_parser("stage", help="locally: split the inputs of a plan into parts")
    _add_sources(stage)
    stage.add_argument("--into", default=".lease", help="staging folder [.lease]")
    stage.add_argument("--call-mib", type=float, default=64.0, help="largest size of a call [64]")
    stage.add_argument(
        "--tree-mib",
        default="auto",
        metavar="N|auto",
        help="size of the checkout in each call [auto: measured]",
    )
    stage.add_argument(
        "--set-aside",
        type=Path,
        metavar="FOLDER",
        help="move the tracked weights there, so that calls do not carry them",
    )

    unstage = commands.add_parser("unstage", help="locally: move the tracked weights back")
    unstage.add_argument("--into", default=".lease", help="staging folder [.lease]")
    unstage.add_argument(
        "--set-aside", type=Path, metavar="FOLDER", help="where they are [as staged]"
    )
    unstage.add_argument("--remove", action="store_true", help="remove the staging folder")

    take = commands.add_parser("take", help="on the machine: install a part")
    take.add_argument("part", type=int, help="its number")
    take.add_argument("--lease", type=Path, default=Path(".lease"), help="staging folder [.lease]")

    start_runner = commands.add_parser(
        "start", help="on the machine: start the plan, or update its end"
    )
    start_runner.add_argument("seconds", type=float, help="remaining seconds of the lease")

    commands.add_parser("run", help="on the machine: run the plan; called by `start`")

    watch = commands.add_parser("watch", help="on the machine: wait for a model and return it")
    watch.add_argument("seconds", type=float, help="longest wait")
    watch.add_argument(
        "--midway", action="store_true", help="return the running model if nothing else is ready"
    )
    watch.add_argument(
        "--again", action="store_true", help="send pieces again that were already sent"
    )
    watch.add_argument(
        "--out",
        type=Path,
        default=Path(os.environ.get("OUT") or "out"),
        help="folder whose files are returned [$OUT]",
    )
    defaults = Limits()
    watch.add_argument(
        "--files", type=int, default=defaults.files, help="largest number of returned files [8]"
    )
    watch.add_argument(
        "--file-mib", type=float, default=defaults.file_mib, help="largest size of a file [16]"
    )
    watch.add_argument(
        "--total-mib", type=float, default=defaults.total_mib, help="largest size of all files [64]"
    )

    join = commands.add_parser("join", help="locally: join the files that calls have returned")
    join.add_argument("files_at", type=Path, help="folder of a call's files")
    join.add_argument("target", type=Path, help="folder of the weights")

    rehearse = commands.add_parser("rehearse", help="locally: simulate a lease with tiny networks")
    _add_sources(rehearse)
    rehearse.add_argument(
        "--seconds", type=float, default=240.0, help="duration of the lease [240]"
    )
    rehearse.add_argument(
        "--fault",
        action="append",
        choices=FAULTS,
        default=[],
        help="simulate a fault; can be repeated",
    )
    rehearse.add_argument("--work", type=Path, help="working folder [a temporary one]")
    rehearse.add_argument(
        "--call-mib", type=float, default=64.0, help="largest size of a call [64]"
    )
    return parser


def _add_sources(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("plan", type=Path, help="plan, such as train/gpu/plans/lite_x4.toml")
    parser.add_argument(
        "--faces", type=Path, required=True, metavar="DIR", help="train*.tar, val*.tar, landmarks"
    )
    parser.add_argument("--masks", type=Path, metavar="DIR", help="mask templates")
    parser.add_argument(
        "--features", type=Path, metavar="FILE", help="weights of the feature network"
    )
    parser.add_argument("--parsing", type=Path, metavar="FILE", help="faces with labelled parts")
    parser.add_argument(
        "--init",
        action="append",
        default=[],
        metavar="NAME=FILE",
        help="weights of the plan that are not in weights/",
    )


def _stage(given: argparse.Namespace) -> int:
    staged = stage_plan(
        Path.cwd(), given.plan, _sources(given), into=given.into, call_mib=given.call_mib,
        tree_mib=_tree(given.tree_mib), aside=given.set_aside,
    )  # fmt: skip
    return 0 if print_summary(staged, given.call_mib) else UsageError.exit_code


def _sources(given: argparse.Namespace) -> StagingSources:
    init = {}
    for pair in given.init:
        name, sign, path = pair.partition("=")
        if not (name and sign and path):
            raise UsageError(f"{pair!r} is not NAME=FILE", where="--init")
        init[name] = Path(path)
    return StagingSources(given.faces, given.masks, given.features, given.parsing, init)


def _tree(text: str) -> float | None:
    if text == "auto":
        return None
    try:
        return float(text)
    except ValueError as error:
        raise UsageError(
            f"{text!r} is not a number", where="--tree-mib", hint="Give a number or auto"
        ) from error


def _unstage(given: argparse.Namespace) -> int:
    from jdsr_train.lease.checkout import check_root, restore_weights

    check_root(Path.cwd())
    restore_weights(Path.cwd(), Path.cwd() / given.into, given.set_aside, given.remove)
    return 0


def _take(given: argparse.Namespace) -> int:
    from jdsr_train.lease.intake import take_part

    take_part(given.part, given.lease, Path.cwd(), LeaseWorkspace.from_environment())
    return 0


def _start(given: argparse.Namespace) -> int:
    from jdsr_train.lease.runner import start_runner

    start_runner(given.seconds, LeaseWorkspace.from_environment())
    return 0


def _run(given: argparse.Namespace) -> int:
    from jdsr_train.lease.runner import Runner

    Runner(LeaseWorkspace.from_environment()).run()
    return 0


def _watch(given: argparse.Namespace) -> int:
    from jdsr_train.lease.retrieval import watch

    limits = Limits(files=given.files, file_mib=given.file_mib, total_mib=given.total_mib)
    watch(
        given.seconds, given.out, LeaseWorkspace.from_environment(), limits,
        midway=given.midway, again=given.again,
    )  # fmt: skip
    return 0


def _join(given: argparse.Namespace) -> int:
    from jdsr_train.lease.retrieval import join

    join(given.files_at, given.target)
    return 0


def _rehearse(given: argparse.Namespace) -> int:
    from jdsr_train.lease.rehearsal import rehearse

    limits = Limits(call_mib=given.call_mib)
    return rehearse(
        Path.cwd(), given.plan, _sources(given), seconds=given.seconds,
        faults=tuple(dict.fromkeys(given.fault)), limits=limits, work=given.work,
    )  # fmt: skip


_COMMANDS = {
    "stage": _stage,
    "unstage": _unstage,
    "take": _take,
    "start": _start,
    "run": _run,
    "watch": _watch,
    "join": _join,
    "rehearse": _rehearse,
}

if __name__ == "__main__":
    sys.exit(main())
