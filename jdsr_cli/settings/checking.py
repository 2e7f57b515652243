"""Options of `jdsr verify` and `jdsr bundle`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from jdsr_cli.settings.options import Option, Settings
from jdsr_cli.settings.restoration import TerminalOptions


@dataclass(frozen=True)
class VerifyOptions(TerminalOptions):
    """Options of `jdsr verify`."""

    frames: Annotated[
        bool,
        Option(
            "Decode the videos as well, and compare the hashes of their frames.", group="results"
        ),
    ] = False
    trust: Annotated[
        Path | None,
        Option(
            "PEM file with the certificates of issuers whose content credentials are trusted.",
            group="results", metavar="FILE",
        ),
    ] = None  # fmt: skip


@dataclass(frozen=True)
class BundleOptions(Settings):
    """Options of `jdsr bundle`."""

    out: Annotated[
        Path,
        Option("ZIP file to be written.", group="results", short="-o", metavar="FILE"),
    ]  # fmt: skip
    media: Annotated[bool, Option("Include restored and overlay videos.", group="results")] = False
