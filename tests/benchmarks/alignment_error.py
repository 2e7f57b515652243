"""Measure the error of the alignment of small faces, on video clips that show them large.

Each clip is reduced by each factor of `--reduce` (area averaging, H.264), and faces are found,
tracked and aligned in both as in `jdsr crop-faces`, landmarks smoothed. The alignment of a face in
the reduced clip is compared with that of the same face of the same frame in the clip itself, by
which no crops need be registered and no pair is left out. For every width class of the reduced
faces the table shows the error of single shots, and of the best shot against the others of its
track (`restoration.shots`), which is what registration starts from.

Distances are in pixels of the 128-pixel template; see `registration_error.py` for the figures.

    OMP_NUM_THREADS=1 python tests/benchmarks/alignment_error.py CLIP... --reduce 2 3 4
"""

from __future__ import annotations

import argparse
import math
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from registration_error import WIDTHS, Crop, Matrix, Pair, best_shots, decompose, read_tracks, table
from repeated_clip import print_line

from jdsr_cli.faces.boxes import box_overlaps
from jdsr_cli.faces.resampling import chain, invert
from jdsr_cli.media import open_reader
from jdsr_cli.settings import ReadSettings

SAME_FACE = 0.5
"""Intersection over union from which two boxes are the same face."""


def reduce_clip(source: Path, target: Path, factor: float) -> None:
    """Write a clip whose frames are smaller by a factor."""
    size = f"trunc(iw/{factor}/2)*2:trunc(ih/{factor}/2)*2:flags=area"
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-v", "error", "-y", "-i", str(source),
        "-vf", f"scale={size}", "-an", "-pix_fmt", "yuv420p", "-c:v", "libx264", "-crf", "24",
        str(target),
    ]  # fmt: skip
    subprocess.run(command, check=True)


def frame_size(clip: Path) -> tuple[int, int]:
    """Return width and height of the frames."""
    reader = open_reader(clip, ReadSettings())
    try:
        return reader.info.width, reader.info.height
    finally:
        reader.close()


def errors(
    small: Sequence[Crop], large: Mapping[int, Sequence[Crop]], to_small: Matrix
) -> Iterator[tuple[Crop, Matrix]]:
    """Yield the faces of a track of the reduced clip with the error of their alignment.

    Args:
        small: The track.
        large: The faces of the clip itself by frame.
        to_small: (2, 3) from pixels of the clip to those of the reduced one.

    Yields:
        The face, and (2, 3) from the template as aligned there to that of the clip itself.

    """
    scale = np.array([to_small[0, 0], to_small[1, 1]] * 2)
    for face in small:
        others = large.get(face.frame, ())
        if not others:
            continue
        overlaps = box_overlaps(
            np.array([face.box]) / scale, np.array([one.box for one in others])
        )[0]
        if overlaps.max() < SAME_FACE:
            continue
        other = others[int(overlaps.argmax())]
        yield face, chain(other.alignment.matrix, invert(chain(face.alignment.matrix, to_small)))


def measure(clip: Path, factor: float, shots: int, folder: Path) -> list[Pair]:
    """Return the figures of a clip and a factor."""
    reduced = folder / f"{clip.stem}_reduced.mp4"
    reduce_clip(clip, reduced, factor)
    (width, height), (less, lower) = frame_size(clip), frame_size(reduced)
    across, down = less / width, lower / height
    to_small = np.array([[across, 0.0, 0.5 * across - 0.5], [0.0, down, 0.5 * down - 0.5]])
    large: dict[int, list[Crop]] = defaultdict(list)
    for track in read_tracks([clip], folder / "large"):
        for face in track:
            large[face.frame].append(face)
    figures: list[Pair] = []
    for track in read_tracks([reduced], folder / "small"):
        found = dict(errors(track, large, to_small))
        for face, error in found.items():
            figures.append(_figures("single", face, face, error))
        best = best_shots(found, shots)
        for other in best[1:]:
            error = chain(found[other], invert(found[best[0]]))
            figures.append(_figures("pair", best[0], other, error))
    return figures


def _figures(kind: str, one: Crop, other: Crop, error: Matrix) -> Pair:
    return {
        "kind": kind, "clip": one.clip, "track": float(one.track), "accepted": True,
        "width": math.sqrt(one.native_width * other.native_width), **decompose(error),
    }  # fmt: skip


def main() -> None:
    """Measure the clips given on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--reduce", nargs="+", type=float, default=[2.0, 3.0, 4.0])
    parser.add_argument("--shots", type=int, default=8, help="best shots of a track")
    options = parser.parse_args()
    figures: list[Pair] = []
    for clip in options.clips:
        for factor in options.reduce:
            with tempfile.TemporaryDirectory() as folder:
                figures += measure(clip, factor, options.shots, Path(folder))
    for kind in ("single", "pair"):
        for low, high in pairwise(WIDTHS):
            chosen = [
                one for one in figures if one["kind"] == kind and low <= float(one["width"]) < high
            ]
            for line in table(chosen, f"{kind}, {low:g} to {high:g} px"):
                print_line(line)


if __name__ == "__main__":
    main()
