"""The table of `jdsr eval --video`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jdsr_cli.cli.terminal import cell

if TYPE_CHECKING:
    from rich.table import Table

    from jdsr_cli.evaluation.video_statistics import RatioInterval
    from jdsr_cli.evaluation.videos import VideoComparison

HEADINGS = {
    "warping_error": ("warping error, x 0.001", 3),
    "flicker": ("flicker, grey levels", 2),
    "identity_distance": ("identity distance", 4),
    "landmark_jitter": ("landmark jitter, %", 2),
    "landmark_jitter_error": ("landmark jitter error, %", 2),
}
"""Heading of each figure, and its decimals."""
COLUMNS = ("mean", "95 %", "relative", "95 %")


def draw_video_table(found: VideoComparison) -> Table:
    """Return the table: for each figure a line for each video."""
    from rich import box
    from rich.table import Table

    table = Table(
        title=", ".join(
            (
                f"{found.frames} frames",
                "1 track" if found.tracks == 1 else f"{found.tracks} tracks",
                "1 pair of frames" if found.pairs == 1 else f"{found.pairs} pairs of frames",
            )
        ),
        title_justify="left", box=box.SIMPLE_HEAD, caption_justify="left",
        caption=f"less is steadier; relative: to the reference; intervals over {found.units}",
    )  # fmt: skip
    table.add_column("", overflow="fold", min_width=14)
    for heading in COLUMNS:
        table.add_column(heading, justify="right", no_wrap=True)
    for figure, (heading, decimals) in HEADINGS.items():
        lines = {name: own[figure] for name, own in found.videos.items() if figure in own}
        if lines:
            table.add_row(heading, style="bold")
        for name, value in lines.items():
            cells = _cells(value.mean, decimals)
            if value.relative is not None:
                cells += _cells(value.relative, 2)
            table.add_row(cell(f"  {name}"), *cells)
    return table


def _cells(one: RatioInterval, decimals: int) -> list[str]:
    value = f"{one.value:.{decimals}f}"
    if one.low is None or one.high is None:
        return [value, ""]
    return [value, f"{one.low:.{decimals}f} to {one.high:.{decimals}f}"]
