"""On the machine: start the plan, or correct when the machine goes back."""

from __future__ import annotations

import subprocess
import sys
import time

from jdsr_cli.errors import TrainingError
from jdsr_train.lease.files import say, tail
from jdsr_train.lease.places import Places
from jdsr_train.lease.processes import environment, is_held
from jdsr_train.lease.runner import LOCK
from jdsr_train.lease.state import READY, read_state, set_end

PATIENCE = 20.0
"""Seconds in which the runner must have begun."""


def start(seconds: float, places: Places) -> subprocess.Popen[bytes] | None:
    """Say how long the machine is still lent, and start the runner where none is at work.

    It has a session of its own, so that it survives the call. A plan that is all ready is not
    started again.

    Args:
        seconds: Until the machine goes back.
        places: Of this machine.

    Returns:
        The runner, or None where there was no need to start one.

    Raises:
        InputMissingError: No part was taken in yet.
        TrainingError: The runner does not run.

    """
    plan = places.plan()
    set_end(places, seconds)
    lock, log = places.out / LOCK, places.log / "runner.txt"
    if is_held(lock):
        say(f"the plan is at work; its end is in {seconds - plan.reserve:.0f} s now")
        return None
    state = read_state(places)
    if state.models and all(one.state == READY for one in state.models.values()):
        say("all models are ready")
        return None
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as printed:
        running = subprocess.Popen(
            [sys.executable, "-m", "jdsr_train.lease", "run"],
            cwd=places.code, env=environment(places), stdin=subprocess.DEVNULL,
            stdout=printed, stderr=printed, start_new_session=True,
        )  # fmt: skip
    until = time.monotonic() + PATIENCE
    while not is_held(lock) and running.poll() is None and time.monotonic() < until:
        time.sleep(0.1)
    say(tail(log, 2000).decode(errors="replace").strip())
    if running.poll():
        raise TrainingError(
            f"the runner ended with {running.returncode}", where=log, hint="See what it printed"
        )
    say(f"the plan runs; training ends in {seconds - plan.reserve:.0f} s")
    return running
