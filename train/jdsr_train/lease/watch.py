"""On the machine: wait for a model, put it where the call brings it home, tell how things are."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
import time
from pathlib import Path

from jdsr_cli.errors import OutputError
from jdsr_train.lease.bundles import Shipping
from jdsr_train.lease.exports import rows
from jdsr_train.lease.files import MIB, mib, say, tail
from jdsr_train.lease.limits import Limits
from jdsr_train.lease.places import Places
from jdsr_train.lease.processes import is_held
from jdsr_train.lease.runner import LOCK
from jdsr_train.lease.state import READY, RUNNING, STATE, State, read_state, seconds_left

PAUSE = 0.5
LOGS = 1 * MIB
"""Bytes of the archive of logs, at most."""
TEXT = 48 << 10
"""Bytes of the end of each log."""
PICTURES = ("panel.png", "curves.png")
HOME = "all models that are ready are home"
STOPPED = "nothing is running: call `start` again"
FAULTS = ("error", "traceback", "warn", "left out")


def watch(
    seconds: float,
    out: Path,
    places: Places,
    limits: Limits,
    *,
    midway: bool = False,
    again: bool = False,
) -> None:
    """Wait until there is something to bring home, the plan is done, or the time is over.

    Args:
        seconds: To wait at most.
        out: The folder whose files the call brings home.
        places: Of this machine.
        limits: Of the call.
        midway: Whether to bring the newest export of the running model when nothing else is ready.
        again: Whether to send what was sent already.

    Raises:
        InputMissingError: No part was taken in yet.
        OutputError: There is no such folder.
        UsageError: Pieces that were cut earlier do not fit into these limits.

    """
    places.plan()
    if not out.is_dir():
        raise OutputError("no such folder", where=out, hint="Give --out, or set the variable OUT")
    shipping = Shipping(places, limits)
    if again:
        shipping.forget()
    until = time.monotonic() + seconds
    while True:
        state = read_state(places)
        _collect(shipping, state, READY)
        over = time.monotonic() >= until
        if over or shipping.unsent() or not is_held(places.out / LOCK):
            break
        time.sleep(PAUSE)
    if midway and not shipping.unsent():
        _collect(shipping, state, RUNNING)
    _tell(places, state)
    logs = _logs(places, state)
    name = time.strftime("logs-%Y%m%d-%H%M%S.tgz", time.gmtime())
    (out / name).write_bytes(logs)
    for line in shipping.fill(out, limits.files - 1, int(limits.total_mib * MIB) - len(logs)):
        say(line)
    rest = shipping.unsent()
    if rest:
        say(f"{len(rest)} more pieces come with the next call, make it at once")
    elif state.done:
        say(f"the plan is done, {HOME}")
    elif not is_held(places.out / LOCK):
        say(STOPPED)
    for path in sorted(out.iterdir()):
        say(f"  {path.name} {mib(path.stat().st_size)}")


def _collect(shipping: Shipping, state: State, which: str) -> None:
    for name, one in state.models.items():
        if one.state == which:
            shipping.collect(name, final=which == READY)


def _tell(places: Places, state: State) -> None:
    say(state.told())
    say(f"{seconds_left(places):.0f} s until the machine goes back")
    for name in state.models:
        for folder in sorted(places.run(name).glob("*/log.jsonl")):
            found = rows(places.run(name), folder.parent.name)
            validated = [row for row in found if "validation_loss" in row]
            if found:
                say(f"{name}, {folder.parent.name}: step {found[-1]['step']}")
            if validated:
                figures = (
                    f"{key} {value:.4g}"
                    for key, value in list(validated[-1].items())[:8]
                    if isinstance(value, (int, float))
                )
                say(f"    {', '.join(figures)}")
    for log in sorted(places.log.glob("*.txt")):
        lines = tail(log, TEXT).decode(errors="replace").replace("\r", "\n").splitlines()
        faults = [line for line in lines if any(word in line.lower() for word in FAULTS)]
        for line in faults[-2:]:
            say(f"{log.name}: {line.strip()[:300]}")
    if shutil.which("nvidia-smi"):
        query = "--query-gpu=name,utilization.gpu,memory.used"
        asked = subprocess.run(
            ["nvidia-smi", query, "--format=csv,noheader"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        say((asked.stdout or asked.stderr).strip())


def _logs(places: Places, state: State) -> bytes:
    """Return a short archive of logs; pictures only where they fit."""
    texts = [places.out / STATE, *sorted(places.log.glob("*.txt"))]
    pictures = []
    for name in state.models:
        texts += sorted(places.run(name).glob("*/log.jsonl"))
        pictures += [places.run(name) / "joint" / picture for picture in PICTURES]
    entries = [(path, tail(path, TEXT)) for path in texts]
    entries += [(path, path.read_bytes()) for path in pictures if path.is_file()]
    packed = _packed(places, entries)
    return packed if len(packed) <= LOGS else _packed(places, entries[: len(texts)])


def _packed(places: Places, entries: list[tuple[Path, bytes]]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for path, data in entries:
            member = tarfile.TarInfo(path.relative_to(places.out).as_posix())
            member.size, member.mtime = len(data), int(time.time())
            archive.addfile(member, io.BytesIO(data))
    return stream.getvalue()
