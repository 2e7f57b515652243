"""Options that say in how many processes, and on which machines, inputs are processed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from jdsr_cli.errors import UsageError
from jdsr_cli.settings.detection import AUTO, DetectionSettings
from jdsr_cli.settings.options import Option, Settings

Engine = Literal["local", "ray"]
RAY_PORT = 6379
"""Port of a Ray cluster where the address names none."""


def parse_devices(given: str | Sequence[str]) -> tuple[str, ...]:
    """Read names of devices: a text with commas, or a sequence."""
    names = given.split(",") if isinstance(given, str) else given
    devices = tuple(str(name).strip() for name in names)
    if not devices or not all(devices):
        raise ValueError(given)
    return devices


@dataclass(frozen=True)
class ExecutionSettings(Settings):
    """In how many processes, and where, inputs are processed; results do not depend on it.

    Examples:
        >>> from jdsr_cli import ExecutionSettings
        >>> ExecutionSettings(devices="cuda:0,cuda:1").processes
        2
        >>> ExecutionSettings().processes
        1

    """

    jobs: Annotated[
        int | None,
        Option(
            "Processes that run at once. Each takes an input; those without one take part in the "
            "inputs of the others, segment by segment.",
            metavar="N", unit="processes", low=1, high=1024, affects_result=False,
            unset="1, one for each of --devices, or what the Ray cluster holds",
        ),
    ] = None  # fmt: skip
    devices: Annotated[
        tuple[str, ...] | None,
        Option(
            "Devices over which the processes are spread, such as cuda:0,cuda:1.",
            metavar="A,B,...", affects_result=False, unset="that of --device",
            parse=parse_devices, form="names of devices such as cuda:0,cuda:1",
        ),
    ] = None  # fmt: skip
    engine: Annotated[
        Engine,
        Option(
            "What runs the processes: this machine (local), or the nodes of a Ray cluster (ray), "
            "which share the folders of inputs and results.",
            affects_result=False,
        ),
    ] = "local"
    address: Annotated[
        str | None,
        Option(
            f"Host of the Ray cluster, or host and port ({RAY_PORT} by default).",
            metavar="HOST", affects_result=False,
            unset="the cluster to which this machine belongs",
        ),
    ] = None  # fmt: skip

    @property
    def processes(self) -> int:
        """Number of processes on this machine."""
        return self.jobs or len(self.devices or (AUTO,))

    @property
    def in_process(self) -> bool:
        """Whether everything runs in the calling process."""
        return self.engine == "local" and self.processes == 1 and self.devices is None

    def check(self, settings: DetectionSettings) -> None:
        """Check that these options fit each other and those of a run.

        Raises:
            UsageError: Two options contradict each other.

        """
        if self.devices is not None and settings.device != AUTO:
            raise UsageError("both --device and --devices are given", hint="Leave one of them out.")
        if self.devices is not None and self.engine == "ray":
            raise UsageError(
                "devices are chosen by the Ray cluster",
                where="--devices",
                hint="Leave it out, or use --engine local.",
            )
        if self.address is not None and self.engine == "local":
            raise UsageError(
                "an address is for a Ray cluster only", where="--address", hint="Add --engine ray."
            )
