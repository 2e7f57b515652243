"""Restored faces of a report, with the maps of what is invented and what is doubtful in them."""

from __future__ import annotations

from dataclasses import dataclass, field

from jdsr_cli.reporting.overlays import DOUBTFUL, INVENTED, covered_pixels, doubtful_pixels
from jdsr_cli.reporting.pictures import Overlay, PictureReader, ReportPicture, halves
from jdsr_cli.reporting.selection import FaceFacts
from jdsr_cli.reporting.values import Record, number, numbers, share, table, text, wholes
from jdsr_cli.reporting.wording import (
    clock,
    doubtful,
    identity_rows,
    mask_state,
    percent,
    reliability,
    stated_mask,
)

_KEPT = ("bare", "unsure")
"""Mask decisions of faces whose parts stay as they were filmed."""
_COMBINED = {
    True: "all frames were restored together, by the network for fused faces",
    False: "the mean of the frames was restored, by the network for single faces",
}
"""By `jointly` of a fused face in `tracks.jsonl`."""
MAX_TIMES = 8
"""Times and frames that are listed for a picture at most."""


@dataclass
class RestoredShot:
    """A restored face beside the filmed one that it was made from."""

    title: str
    filmed: ReportPicture
    restored: ReportPicture
    times: str
    frames: str
    mask: str | None
    invented: bool
    """Whether parts of it were covered, so that the network drew them."""
    as_filmed: bool
    """Whether no part of it is invented: what seems to be covered stays as it was filmed."""
    unchanged: bool
    """Whether nothing of the face was restored, see ``--restore``."""
    quality: str | None
    covered: str | None
    reliability: str | None
    combined: str | None
    """How the frames of a fused face were combined; None if that is not stated."""
    identity: list[tuple[str, str]]
    warning: str | None
    overlays: list[Overlay] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    """Maps that are not shown, with the reason."""
    main: bool = True
    """Whether it is shown at every level of detail."""


def describe_shot(
    title: str, entry: Record, facts: FaceFacts, reader: PictureReader, person: int, part: str
) -> RestoredShot:
    """Return a restored shot with its maps, not encoded yet.

    Args:
        title: What it is called.
        entry: Of `best` or `fused` in `tracks.jsonl`.
        facts: What `faces.jsonl` says about the person.
        reader: Of the pictures.
        person: Number of the track.
        part: Which part of faces was restored, as in ``--restore``.

    """
    frames = wholes(entry, "frames")
    faces = [facts.frames[frame] for frame in frames if frame in facts.frames]
    mask = stated_mask(entry) or _common_mask(faces)
    seconds = numbers(entry, "seconds") or [
        one for face in faces if (one := number(face, "seconds")) is not None
    ]
    covered = share(entry, "covered")
    if covered is None and faces:
        covered = share(faces[0], "covered")
    times = ", ".join(clock(one) for one in seconds[:MAX_TIMES]) or clock(None)
    quality = share(entry, "quality")
    replaced = [share(face, "replaced") for face in faces]
    unchanged = bool(replaced) and all(one == 0.0 for one in replaced)
    pair = reader.read(entry, "")
    left, right = halves(
        pair,
        (
            f"Person {person} as filmed at {times}, enlarged",
            f"Person {person}, {title.lower()}: "
            + (
                "as filmed, since nothing of it was restored"
                if unchanged
                else "a restoration by a network, not a filmed picture"
            ),
        ),
    )
    doubt, identity = table(entry, "doubt"), table(entry, "identity")
    shot = RestoredShot(
        title=title,
        filmed=left,
        restored=right,
        times=times,
        frames=", ".join(f"{frame:,}" for frame in frames[:MAX_TIMES])
        + (" …" if frames[MAX_TIMES:] else ""),
        mask=mask_state(mask),
        invented=mask == "masked" and part != "uncovered",
        as_filmed=mask in _KEPT or part == "uncovered",
        unchanged=unchanged,
        quality=None if quality is None else f"{quality:.2f}",
        covered=None if covered is None else percent(covered),
        reliability=reliability(doubt),
        combined=_COMBINED[entry["jointly"]] if type(entry.get("jointly")) is bool else None,
        identity=identity_rows(identity),
        warning=text(identity, "warning"),
    )
    _add_overlays(shot, entry, reader)
    return shot


def _common_mask(faces: list[Record]) -> str | None:
    """Return the mask decision of the frames that a picture was made from; a mask comes first."""
    stated = {stated_mask(face) for face in faces}
    return next((one for one in ("masked", "unsure", "bare") if one in stated), None)


def _add_overlays(shot: RestoredShot, entry: Record, reader: PictureReader) -> None:
    if shot.restored.image is None:
        return
    shape = shot.restored.image.shape
    occlusion, doubt = table(entry, "occlusion"), table(entry, "doubt")
    if occlusion:
        image, figure = reader.read_map(occlusion, shape)
        if image is None:
            shot.faults.append(f"the occlusion map is not shown: {figure.reason}")
        else:
            kept = shot.as_filmed
            label = "invented: was covered by a mask"
            if kept:
                certain = shot.mask == mask_state("masked")
                label = f"{'covered' if certain else 'may be covered'}: kept as it was filmed"
            marked = covered_pixels(image)
            shot.overlays.append(
                Overlay("invented", label, marked, INVENTED, on=not kept, link=figure.link)
            )
    if doubt and text(doubt, "file") is not None:
        image, figure = reader.read_map(doubt, shape)
        if image is None:
            shot.faults.append(f"the doubt map is not shown: {figure.reason}")
        else:
            bound = number(doubt, "bound")
            marked = doubtful_pixels(image, 254.0 if bound is None else bound)
            on = not shot.overlays
            shot.overlays.append(
                Overlay("doubtful", doubtful(doubt), marked, DOUBTFUL, on=on, link=figure.link)
            )
