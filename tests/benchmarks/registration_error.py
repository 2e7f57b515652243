"""Measure how the aligned crops of one track are misaligned against each other, on video clips.

Faces are found, tracked and aligned as in `jdsr crop-faces`, landmarks smoothed. Two kinds of pairs
of crops of a track are compared: the best shot with each other one (`restoration.shots`, at least
0.2 s apart), and neighbouring frames. For every width class (geometric mean of both native widths):

* the affine map between both crops, by enhanced correlation (Evangelidis and Psarakis 2008) from
  coarse to fine on smoothed luma, as shift of the centre of the face, rotation, zoom and
  anisotropy. A pair counts where the luma of the registered crops correlates by `--correlation`;
  errors are therefore those of pairs that can be registered, and `accepted` is their share;
* what is left: `forward_backward`, the displacement of a -> b -> a; `triple`, that of
  a -> b -> c -> a, which unlike the first contains the errors of independent pictures;
  `flow`, the optical flow (DIS, Kroeger et al. 2016) between the registered crops after
  subtraction of its affine part, as mean of forward and backward flow, and `flow_doubt`, half of
  the difference of both, which is the error of the flow itself;
* tone: factor and offset of luma between the registered crops, difference of the mean chroma, and
  contrast of the slowly varying ratio of both that a factor does not explain (moving light).

Distances are in pixels of the 128-pixel template, root mean squares over the face.

    OMP_NUM_THREADS=1 python tests/benchmarks/registration_error.py CLIP... --out pairs.json
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, zip_longest
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from repeated_clip import print_line

from jdsr_cli import crop_faces
from jdsr_cli.conventions import TEMPLATE_SIZE
from jdsr_cli.faces.alignment import Alignment, Pose, estimate_alignment
from jdsr_cli.faces.quality import FaceQuality
from jdsr_cli.faces.regions import CENTRE, face_region
from jdsr_cli.faces.resampling import chain, invert, zoom
from jdsr_cli.media import read_image
from jdsr_cli.restoration.shots import ShotRanking
from jdsr_cli.settings import CropSettings

WIDTHS = (12.0, 20.0, 32.0, 56.0, 110.0)
"""Limits of the width classes in native pixels."""
NEIGHBOURS = 8
"""Most pairs of neighbouring frames of a track, evenly spaced."""
LEVELS = ((32, cv2.MOTION_TRANSLATION), (32, cv2.MOTION_EUCLIDEAN), (64, cv2.MOTION_AFFINE),
          (128, cv2.MOTION_AFFINE))  # fmt: skip
"""Sides at which two crops are registered, one after the other, and the motions."""
MAX_SHIFT, MAX_TURN = 24.0, 0.35
"""Displacement in template pixels and change of the linear part above which a map is wrong."""
LIGHT_REACH = 14.0
"""Standard deviation in template pixels of the Gaussian below which light varies."""
INSIDE: NDArray[np.bool_] = face_region() > 0.5

Matrix = NDArray[np.float64]
Luma = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Crop:
    """An aligned face of a track."""

    clip: str
    track: int
    frame: int
    seconds: float
    quality: float
    native_width: float
    yaw: float
    box: tuple[float, float, float, float]
    alignment: Alignment
    path: Path

    def image(self) -> NDArray[np.uint8]:
        """Read it: RGB uint8 (128, 128, 3)."""
        return read_image(self.path)


def read_tracks(clips: Sequence[Path], folder: Path) -> Iterator[list[Crop]]:
    """Crop the faces of the clips; yield those of each track in order of time."""
    crop_faces(clips, folder, CropSettings(size=TEMPLATE_SIZE))
    for records in sorted(folder.glob("*/faces.jsonl")):
        tracks: dict[int, list[Crop]] = defaultdict(list)
        with records.open(encoding="utf-8") as lines:
            for record in map(json.loads, lines):
                if record["status"] == "exported" and not record["bridged"]:
                    tracks[record["track"]].append(_crop_of(record, records.parent))
        yield from tracks.values()


def _crop_of(record: Mapping[str, Any], folder: Path) -> Crop:
    pose = Pose(*(record[name] for name in ("yaw", "pitch", "roll", "residual")))
    quality = FaceQuality(
        eye_distance=record["eye_distance"], sharpness=record["sharpness"], pose=pose, covered=0.0,
        detector=record["score"],
    )  # fmt: skip
    return Crop(
        folder.name, record["track"], record["frame"], record["seconds"], quality.score,
        record["native_width"], pose.yaw, tuple(record["box"]),
        estimate_alignment(np.array(record["points"])), folder / record["file"],
    )  # fmt: skip


def best_shots(track: Iterable[Crop], count: int) -> list[Crop]:
    """Return the best shots of a track, best first."""
    ranking: ShotRanking[Crop] = ShotRanking(count)
    for crop in track:
        if ranking.accepts(0, crop.seconds, crop.quality):
            ranking.add(0, crop)
    return ranking.pop(0)


def neighbours(track: Sequence[Crop]) -> list[tuple[Crop, Crop]]:
    """Return evenly spaced pairs of neighbouring frames."""
    pairs = [(one, two) for one, two in pairwise(track) if two.frame == one.frame + 1]
    step = max(1, math.ceil(len(pairs) / NEIGHBOURS))
    return pairs[::step]


def smoothed_luma(image: NDArray[np.uint8], native_width: float) -> Luma:
    """Return the luma, smoothed by three quarters of a native pixel and at least one pixel."""
    luma = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    sigma = max(1.0, 0.75 * TEMPLATE_SIZE / native_width)
    return np.asarray(cv2.GaussianBlur(luma, (0, 0), sigma), np.float32)


def register(fixed: Luma, moving: Luma) -> Matrix | None:
    """Return (2, 3) from pixels of `fixed` to those of `moving`; None without convergence."""
    found = np.eye(2, 3)
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 80, 1e-6)
    for side, motion in LEVELS:
        reduce = zoom(side / TEMPLATE_SIZE)
        size = (side, side)
        pictures = [cv2.resize(one, size, interpolation=cv2.INTER_AREA) for one in (fixed, moving)]
        within = (cv2.resize(face_region(), size) > 0.1).astype(np.uint8)
        start = chain(reduce, chain(found, invert(reduce))).astype(np.float32)
        try:
            _, small = cv2.findTransformECC(*pictures, start, motion, criteria, within, 1)
        except cv2.error:
            return None
        found = chain(invert(reduce), chain(np.asarray(small, np.float64), reduce))
        moved = np.abs(_moved_centre(found)).max()
        if moved > MAX_SHIFT or np.abs(found[:, :2] - np.eye(2)).max() > MAX_TURN:
            return None
    return found


def _moved_centre(matrix: Matrix) -> NDArray[np.float64]:
    centre = np.array(CENTRE)
    return np.asarray(matrix[:, :2] @ centre + matrix[:, 2] - centre)


def warped(picture: NDArray[np.float32], matrix: Matrix) -> NDArray[np.float32]:
    """Return the picture at the places to which `matrix` takes the pixels of the template."""
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    size = (TEMPLATE_SIZE, TEMPLATE_SIZE)
    moved = cv2.warpAffine(picture, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.float32)


def correlation(one: Luma, two: Luma) -> float:
    """Return the correlation of two lumas inside of the face."""
    return float(np.corrcoef(one[INSIDE], two[INSIDE])[0, 1])


def decompose(matrix: Matrix) -> dict[str, float]:
    """Return shift of the centre, rotation in degrees, zoom and anisotropy of an affine map."""
    left, sizes, right = np.linalg.svd(matrix[:, :2])
    turn = left @ right
    symmetric = turn.T @ matrix[:, :2]
    shift = _moved_centre(matrix)
    return {
        "shift_x": float(shift[0]), "shift_y": float(shift[1]),
        "rotation": math.degrees(math.atan2(turn[1, 0], turn[0, 0])),
        "zoom": math.sqrt(sizes[0] * sizes[1]) - 1.0,
        "stretch_x": math.log(symmetric[0, 0] / symmetric[1, 1]),
        "shear": float(2.0 * symmetric[0, 1] / np.trace(symmetric)),
        "anisotropy": sizes[0] / sizes[1] - 1.0,
        "displacement": displacement(matrix),
    }  # fmt: skip


def displacement(matrix: Matrix) -> float:
    """Return the root mean square displacement of the pixels of the face."""
    y, x = np.nonzero(INSIDE)
    points = np.stack([x, y]).astype(np.float64)
    moved = matrix[:, :2] @ points + matrix[:, 2:] - points
    return float(np.sqrt((moved**2).sum(axis=0).mean()))


def residual_flow(fixed: Luma, moving: Luma) -> tuple[float, float]:
    """Return the root mean square of the flow without its affine part, and its doubt."""
    pictures = [_stretched(one) for one in (fixed, moving)]
    dis = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    forward = dis.calc(*pictures, None).astype(np.float64)
    backward = dis.calc(*reversed(pictures), None).astype(np.float64)
    y, x = np.nonzero(INSIDE)
    mean = 0.5 * (forward - backward)[INSIDE]
    basis = np.stack([x, y, np.ones_like(x)], axis=1).astype(np.float64)
    affine, *_ = np.linalg.lstsq(basis, mean, rcond=None)
    left = mean - basis @ affine
    doubt = 0.5 * (forward + backward)[INSIDE]
    return tuple(float(np.sqrt((one**2).sum(axis=1).mean())) for one in (left, doubt))  # type: ignore[return-value]


def _stretched(luma: Luma) -> NDArray[np.uint8]:
    """Return the luma with mean and contrast of all others, for the flow."""
    inside = luma[INSIDE]
    levels = 128.0 + 45.0 * (luma - inside.mean()) / max(float(inside.std()), 1.0)
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)


def tone(fixed: NDArray[np.uint8], moving: NDArray[np.uint8], matrix: Matrix) -> dict[str, float]:
    """Return how the registered crop `moving` differs in tone from `fixed`."""
    here, there = fixed.astype(np.float32), warped(moving.astype(np.float32), matrix)
    ycc = [cv2.cvtColor(one / 255.0, cv2.COLOR_RGB2YCrCb) * 255.0 for one in (here, there)]
    lumas = [one[..., 0] for one in ycc]
    inside = [one[INSIDE] for one in lumas]
    low = [cv2.GaussianBlur(one, (0, 0), LIGHT_REACH) + 8.0 for one in lumas]
    ratio = np.log(np.maximum(low[1], 1.0) / np.maximum(low[0], 1.0))[INSIDE]
    chroma = [one[..., 1:][INSIDE].mean(axis=0) for one in ycc]
    return {
        "luma_offset": float(inside[1].mean() - inside[0].mean()),
        "luma_log_ratio": float(np.log((inside[1].mean() + 1.0) / (inside[0].mean() + 1.0))),
        "contrast_log_ratio": float(np.log((inside[1].std() + 0.5) / (inside[0].std() + 0.5))),
        "light": float(ratio.std()),
        "chroma": float(np.abs(chroma[1] - chroma[0]).max()),
    }


Pair = dict[str, float | str | bool]


class TrackRegistration:
    """Maps between the crops of a track; each is estimated once.

    Args:
        least: Correlation from which a map is accepted.

    """

    def __init__(self, least: float) -> None:
        self._least = least
        self._maps: dict[tuple[Path, Path], Matrix | None] = {}
        self._images: dict[Path, NDArray[np.uint8]] = {}

    def image(self, crop: Crop) -> NDArray[np.uint8]:
        """Return the picture of a crop."""
        if crop.path not in self._images:
            self._images[crop.path] = crop.image()
        return self._images[crop.path]

    def lumas(self, one: Crop, two: Crop) -> tuple[Luma, Luma]:
        """Return both lumas, smoothed alike."""
        width = min(one.native_width, two.native_width)
        return smoothed_luma(self.image(one), width), smoothed_luma(self.image(two), width)

    def find(self, one: Crop, two: Crop) -> Matrix | None:
        """Return (2, 3) from pixels of the first to those of the second; None if not accepted."""
        key = (one.path, two.path)
        if key not in self._maps:
            fixed, moving = self.lumas(one, two)
            found = register(fixed, moving)
            if found is not None and correlation(fixed, warped(moving, found)) < self._least:
                found = None
            self._maps[key] = found
        return self._maps[key]

    def compare(self, one: Crop, two: Crop, kind: str, third: Crop | None) -> Pair:
        """Return the figures of a pair of crops."""
        pair: Pair = {
            "kind": kind, "clip": one.clip, "track": float(one.track),
            "width": math.sqrt(one.native_width * two.native_width),
            "seconds": abs(two.seconds - one.seconds), "yaw": abs(two.yaw - one.yaw),
        }  # fmt: skip
        there = self.find(one, two)
        pair["accepted"] = there is not None
        if there is None:
            return pair
        fixed, moving = self.lumas(one, two)
        flow, doubt = residual_flow(fixed, warped(moving, there))
        pair |= decompose(there) | tone(self.image(one), self.image(two), there)
        pair |= {"correlation": correlation(fixed, warped(moving, there))}
        pair |= {"correlation_before": correlation(fixed, moving)}
        pair |= {"flow": flow, "flow_doubt": doubt}
        back = self.find(two, one)
        if back is not None:
            pair["forward_backward"] = displacement(chain(back, there))
        if third is not None:
            onward, home = self.find(two, third), self.find(third, one)
            if onward is not None and home is not None:
                pair["triple"] = displacement(chain(home, chain(onward, there)))
        return pair


def measure(track: Sequence[Crop], shots: int, least: float) -> list[Pair]:
    """Return the figures of the pairs of a track."""
    registration = TrackRegistration(least)
    best = best_shots(track, shots)
    pairs = [
        registration.compare(best[0], other, "shots", third)
        for other, third in zip_longest(best[1:], best[2:])
    ]
    return pairs + [
        registration.compare(one, two, "neighbours", None) for one, two in neighbours(track)
    ]


FIGURES = (
    "shift_x", "shift_y", "rotation", "zoom", "stretch_x", "shear", "anisotropy", "displacement",
    "forward_backward", "triple", "flow", "flow_doubt", "luma_offset", "luma_log_ratio",
    "contrast_log_ratio", "light", "chroma", "yaw", "correlation_before", "correlation",
)  # fmt: skip


def table(pairs: Sequence[Pair], title: str) -> Iterator[str]:
    """Yield the lines of a table: of each figure median, sd, 95th percentile of its magnitude."""
    accepted = [one for one in pairs if one["accepted"]]
    tracks = {(one["clip"], one["track"]) for one in accepted}
    share = len(accepted) / max(1, len(pairs))
    yield f"{title}: {len(pairs)} pairs, accepted {share:.0%} of {len(tracks)} tracks"
    for figure in FIGURES:
        values = np.array([float(one[figure]) for one in accepted if figure in one])
        if len(values) < 3:
            continue
        median, high = np.median(values), np.percentile(np.abs(values), 95)
        robust = 1.4826 * np.median(np.abs(values - median))
        yield (
            f"  {figure:20s} median {median:8.3f}  sd {values.std():7.3f}  robust sd "
            f"{robust:7.3f}  95th of magnitude {high:7.3f}  ({len(values)})"
        )


def main() -> None:
    """Measure the clips given on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--shots", type=int, default=8, help="best shots of a track")
    parser.add_argument("--correlation", type=float, default=0.9, help="of an accepted pair")
    parser.add_argument("--yaw", type=float, default=90.0, help="most degrees between both shots")
    parser.add_argument("--out", type=Path, help="JSON file of all pairs")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tracks = read_tracks(options.clips, Path(folder))
        pairs = [
            pair
            for track in tracks
            if len(track) > 1
            for pair in measure(track, options.shots, options.correlation)
        ]
    if options.out is not None:
        options.out.write_text(json.dumps(pairs, indent=1) + "\n", encoding="utf-8")
    for kind in ("shots", "neighbours"):
        for low, high in pairwise(WIDTHS):
            chosen = [
                one
                for one in pairs
                if one["kind"] == kind
                and low <= float(one["width"]) < high
                and float(one["yaw"]) <= options.yaw
            ]
            for line in table(chosen, f"{kind}, {low:g} to {high:g} px"):
                print_line(line)


if __name__ == "__main__":
    main()
