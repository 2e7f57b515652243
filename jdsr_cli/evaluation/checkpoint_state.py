"""Whether checkpoints are up to date: chains with their parts, and weights with their queue."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from jdsr_cli.errors import WeightsError
from jdsr_cli.evaluation.checkpoints import TrainedCheckpoint

QUEUE = "queue.json"
"""File in which `jdsr train --plan` records its jobs."""
_FINISHED = "finished"
_PARTS = ("denoiser", "super_resolver")
"""Parts of a chain in the metadata of its file: the recipe of each, and its SHA-256."""


def check_parts(chain: TrainedCheckpoint, found: Sequence[TrainedCheckpoint]) -> None:
    """Check that a chain was made from the weights of its parts as they are now.

    A part counts as changed if there are weights of its recipe, and none of these files is the one
    from which the chain was made.

    Args:
        chain: A checkpoint; one that is no chain has no parts.
        found: All checkpoints of the folder.

    Raises:
        WeightsError: A part was trained again; the message names its recipe.

    """
    changed = []
    for part in _PARTS:
        recipe, expected = chain.metadata.get(part), chain.metadata.get(f"{part}_sha256")
        digests = {one.digest for one in found if one.entry.recipe == recipe} - {None}
        if expected is not None and digests and expected not in digests:
            changed.append(f"{recipe}")
    if changed:
        raise WeightsError(
            f"is out of date: {' and '.join(changed)} {'were' if changed[1:] else 'was'} trained "
            "again after this chain was made",
            where=chain.path,
            hint="Make the chain again: jdsr weights chain DENOISER SUPER_RESOLVER --out FILE, or "
            "start its queue again",
        )


class QueueState:
    """What the record of a training queue says about the checkpoints of its folder.

    Args:
        folder: Folder of checkpoints; without a `queue.json` in it nothing is known.

    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._jobs: Mapping[str, object] = {}
        self.fault: str | None = None
        """Why the record cannot be used; None if it can, or if there is none."""
        path = folder / QUEUE
        try:
            jobs = json.loads(path.read_text(encoding="utf-8"))["jobs"]
            if not isinstance(jobs, dict):
                raise TypeError
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            self.fault = f"{QUEUE} cannot be read: it is unknown which checkpoints are finished"
            return
        self._jobs = jobs

    def remark(self, checkpoint: TrainedCheckpoint) -> str | None:
        """Return why a checkpoint is not what its job wrote at its end; None if nothing is known.

        Args:
            checkpoint: Weights in the folder, in the folder of the job.

        """
        path = checkpoint.path.resolve()
        if not path.is_relative_to(self._folder):
            return None
        name = path.relative_to(self._folder).parts[0]
        job = self._jobs.get(name)
        if not isinstance(job, dict):
            return None
        state = job.get("state")
        if state != _FINISHED:
            what = f"the queue has not finished the job {name} (it is {state})"
            return f"{what}, whose weights may change"
        if job.get("sha256") not in (None, "", checkpoint.digest):
            return f"the weights are not those with which the queue finished the job {name}"
        return None
