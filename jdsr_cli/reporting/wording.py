"""Sentences and numbers of a report in words."""

from __future__ import annotations

from jdsr_cli.reporting.values import Record, number, ratio, share, text

STATES = {
    "bare": "bare",
    "masked": "covered",
    "unsure": "not certain",
    "refused": "refused",
    "skipped": "better shots exist",
}
"""What the mask decision of a face is called."""
REFUSALS = {
    "too small": "The face is narrower than --min-face. Little of it was filmed.",
    "too blurred": "The sharpness of the face is below --min-sharpness. A restoration would show "
    "what the network gives to anybody.",
    "too short": "The person was seen for less than --min-track. It may be no face.",
    "better shot": "Only with --mode crops: other shots of the person are better, so this one was "
    "not restored.",
    "no face": "The detector is not sure, and does not find the face again in further passes. Look "
    "at the frame: a face may still be there.",
    "landmarks": "The five points that were found do not form a face.",
    "implausible points": "Several passes of the detector on a tilted face differ, or the points "
    "fit no head.",
    "turned too far": "The head is turned more than 80 degrees to the side or 60 up or down, or is "
    "not upright at any rotation.",
    "not selected": "The person is not one of those chosen by --only-track or --reference.",
    "overlapped": "More than a tenth of the face lies in that of somebody who was made "
    "unrecognisable (--blur-others).",
    "outside": "The middle of the face lies outside of the frame.",
    "not finite": "The network gave values that are not numbers. Please report it.",
}
"""Plain explanations of the kinds of refusals; the guide, docs/guide/refusals.md, says more."""
UNKNOWN_REFUSAL = "See docs/guide/refusals.md of the version of jdsr that wrote this result."


def clock(seconds: float | None) -> str:
    """Return a time of the video as minutes, seconds and tenths, `01:23.4`, with hours if any."""
    if seconds is None:
        return "unknown time"
    sign = "-" if seconds < 0 else ""
    tenths = int(abs(seconds) * 10)
    minutes, tenths = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    rest = f"{minutes:02d}:{tenths // 10:02d}.{tenths % 10}"
    return f"{sign}{hours}:{rest}" if hours else f"{sign}{rest}"


def unexpected(fault: Exception) -> str:
    """Return that something in a result cannot be reported, for faults that nothing foresees."""
    return f"cannot be reported: its records are damaged ({type(fault).__name__})"


def percent(value: float) -> str:
    """Return a share as whole percent; what is not exactly 0 or 1 does not become 0 or 100."""
    whole = round(100 * value)
    if whole == 0 and value > 0:
        return "less than 1 %"
    if whole == 100 and value < 1:
        return "more than 99 %"
    return f"{whole} %"


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """Return a count with its noun: `1 face`, `2 faces`, `1,000 faces`."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def size_of_file(size: int) -> str:
    """Return a number of bytes."""
    return f"{size:,} bytes"


def frame_rate(media: Record) -> str | None:
    """Return a rate such as `30000/1001` as `29.97 frames/s`."""
    value = ratio(media, "frame_rate")
    return None if not value else f"{value:.4g} frames/s"


def reliability(doubt: Record) -> str | None:
    """Return the reliable share of a picture as a sentence; None if it is not recorded."""
    reliable, bound = share(doubt, "reliable"), number(doubt, "bound")
    probability = share(doubt, "probability")
    if reliable is None or bound is None or probability is None:
        return None
    return (
        f"{percent(reliable)} of the face's pixels are reliable: of such pixels, at least "
        f"{percent(probability)} on average are within {bound:g} of 255 grey levels of the true "
        "brightness, as calibrated on faces whose true picture is known. The rest is doubtful."
    )


def doubtful(doubt: Record) -> str:
    """Return what the doubt map marks."""
    bound = number(doubt, "bound")
    limit = "the bound" if bound is None else f"{bound:g} grey levels"
    return f"doubtful: error may exceed {limit}"


def identity_rows(identity: Record) -> list[tuple[str, str]]:
    """Return the similarities of a restored face to other faces of the person."""
    compared = (
        ("input", "the filmed face that it was made from"),
        ("track", "the other restored shots of the person"),
        ("bare", "the filmed face of the person without a mask"),
    )
    found = ((words, number(identity, name)) for name, words in compared)
    return [(words, f"{value:.2f}") for words, value in found if value is not None]


def mask_state(mask: str | None) -> str | None:
    """Return the mask decision of a face in words, None if there is none."""
    return None if mask is None else STATES.get(mask)


def stated_mask(record: Record) -> str | None:
    """Return the mask decision in a record: `bare`, `masked`, `unsure` or None."""
    value = text(record, "mask")
    return value if value in ("bare", "masked", "unsure") else None
