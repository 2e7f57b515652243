"""Options on who is restored and who is made unrecognisable, of `jdsr restore` and `crop-faces`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from jdsr_cli.errors import UsageError
from jdsr_cli.settings.options import Option, Settings

REFERENCE_LEVEL = 0.35
"""Similarity from which a track counts as the person of the reference photograph."""


def parse_tracks(given: str | Sequence[int]) -> tuple[int, ...]:
    """Read different numbers of tracks, each at least 1."""
    parts = given.split(",") if isinstance(given, str) else given
    numbers = tuple(sorted(int(str(part)) for part in parts))
    if not numbers or numbers[0] < 1 or len(set(numbers)) != len(numbers):
        raise ValueError(given)
    return numbers


@dataclass(frozen=True)
class PrivacySettings(Settings):
    """Who is restored, and what becomes of the faces of the others.

    Examples:
        >>> from jdsr_cli import PrivacySettings, RestoreSettings
        >>> settings = RestoreSettings(privacy=PrivacySettings(only_track=(7, 3), blur_others=True))
        >>> settings.privacy.only_track
        (3, 7)

    """

    only_track: Annotated[
        tuple[int, ...] | None,
        Option(
            "Restore only the people of these tracks, numbered as in tracks.jsonl of an earlier "
            "run with the same settings.",
            group="faces", metavar="N,...",
            parse=parse_tracks, form="different numbers from 1, such as 3 or 3,7",
        ),
    ] = None  # fmt: skip
    reference: Annotated[
        str | None,
        Option(
            "Restore only the person like the one on this photograph; needs --identity.",
            group="faces", metavar="PHOTO", affects_result=False, recorded=False,
        ),
    ] = None  # fmt: skip
    reference_level: Annotated[
        float,
        Option(
            "Similarity (cosine) to the person of --reference from which a track is that person.",
            group="faces", metavar="X", low=-1.0, high=1.0,
        ),
    ] = REFERENCE_LEVEL  # fmt: skip
    blur_others: Annotated[
        bool,
        Option(
            "Make the heads of all people unrecognisable who are not selected by --only-track or "
            "--reference.",
            group="faces",
        ),
    ] = False

    @property
    def selects(self) -> bool:
        """Whether only some people are restored."""
        return self.only_track is not None or self.reference is not None

    @property
    def surveys(self) -> bool:
        """Whether the whole input is searched before its first frame is processed."""
        return self.reference is not None or self.blur_others

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.only_track is not None and self.reference is not None:
            raise UsageError(
                "it cannot be combined with --only-track",
                where="--reference",
                hint="Give one of them.",
            )
        if self.reference is None and self.reference_level != REFERENCE_LEVEL:
            raise UsageError(
                "there is no photograph to which anybody is compared",
                where="--reference-level",
                hint="Add --reference.",
            )
        if self.blur_others and not self.selects:
            raise UsageError(
                "nobody is selected, so everybody would be one of the others",
                where="--blur-others",
                hint="Add --only-track or --reference.",
            )
