"""Fit the levels of identity cosines below which a restored face gets a warning.

Run by hand: `python tests/benchmarks/fit_identity_levels.py OUT.toml --network FILE --fit FACES
[--test FACES] [--masks DIR] [--weights NAME] [--count N]`. FACES are archives of aligned faces that
name their people and on which nothing was trained. Each face is filmed and restored as described in
`simulated_shots.py`, three shots of it, bare and masked. `IdentityCheck` checks the first one; the
other shots of the track and the bare face are of *another photograph* of the person, of about the
same width. Pose, light and age differ more between photographs than within footage, so fewer
faithful restorations get a warning there.

A level is the quantile of the cosines of faithful restorations around its width. It never falls
with the width: below a narrower face's level no wider one passes. Prints the shares that get a
warning: of faithful restorations, of those of another person in the place of the first shot
(*wrong*), and of the mean of both pictures (*half*), by width and by figure.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from repeated_clip import print_line
from simulated_shots import simulate_track
from torch import Tensor

from jdsr_cli.atomic import atomic_file
from jdsr_cli.datasets.face_set import FaceSet
from jdsr_cli.datasets.preparation import open_faces
from jdsr_cli.errors import UsageError
from jdsr_cli.faces.embedding import RecognitionNetwork
from jdsr_cli.faces.identity_check import CheckedShot, IdentityCheck, IdentityFigures
from jdsr_cli.faces.identity_levels import TABLES, IdentityLevels
from jdsr_cli.inference.loading import open_generator
from jdsr_cli.restoration.stages.generation import FaceGenerator
from jdsr_cli.synthesis.mask_drawing import draw_sprites
from jdsr_cli.synthesis.masks import Sprite, load_templates
from jdsr_cli.weights import sha256_of

SHOTS = 3
"""Shots of a track."""
LEVEL_WIDTHS = (16.0, 24.0, 32.0, 48.0, 64.0, 96.0, 128.0)
WINDOW = 1.35
"""Largest ratio of a face's width to that of the level to which it contributes."""
EDGES = (12, 20, 32, 48, 64, 96, 160)
"""Widths between which shares are printed."""
DRAWN = 12
"""Strangers among whom the one that is nearest in width takes the place of a person."""
KINDS = ("honest", "wrong", "half")


class CachingNetwork(RecognitionNetwork):
    """Embeds each picture once, though it is compared as several shots."""

    def embed(self, images: Tensor) -> Tensor:
        """Return embeddings of length 1, (B, D), of (B, 3, 128, 128) RGB in [0, 1]."""
        key = hashlib.sha256(images.contiguous().numpy().tobytes()).digest()
        if key not in _EMBEDDINGS:
            _EMBEDDINGS[key] = super().embed(images)
        return _EMBEDDINGS[key]


_EMBEDDINGS: dict[bytes, Tensor] = {}


@dataclass(frozen=True)
class Checked:
    """The figures of one shot."""

    kind: str
    """One of `KINDS`."""
    shot_kind: str
    """`masked` or `bare`, see `CheckedShot.kind`."""
    width: float
    figures: IdentityFigures

    def cosines(self) -> Iterator[tuple[str, float]]:
        """Yield the figures with the names of their tables of levels."""
        named = {
            f"input_{self.shot_kind}": self.figures.input,
            f"track_{self.shot_kind}": self.figures.track,
            "bare": self.figures.bare,
        }
        yield from ((name, value) for name, value in named.items() if value is not None)


@dataclass(frozen=True, eq=False)
class Track:
    """The shots of one face."""

    key: str
    """Of the face."""
    person: str
    masked: bool
    shots: list[CheckedShot]


def film(
    faces: FaceSet, generator: FaceGenerator, sprites: Sequence[Sprite], count: int | None
) -> list[Track]:
    """Return a bare and a masked track of each of `count` evenly spaced faces."""
    if faces.identities is None:
        raise UsageError("the faces do not name their people", hint="faces.csv needs `identity`")
    taken = len(faces) if count is None else min(count, len(faces))
    tracks = []
    for position in range(taken):
        index = position * len(faces) // taken
        for masked in (True, False):
            shots = simulate_track(faces, index, generator, sprites, masked=masked, shots=SHOTS)
            tracks.append(
                Track(
                    faces.keys[index],
                    faces.identities[index],
                    masked,
                    [
                        CheckedShot(one.filmed, one.restored, one.occlusion, one.state, one.width)
                        for one in shots
                    ],
                )
            )
    return tracks


def check(tracks: Sequence[Track], checker: IdentityCheck) -> list[Checked]:
    """Check the first shot of each track: as it is, as another person, and as the mean of both."""
    rng = np.random.default_rng(0)
    checked = []
    for track in tracks:
        first = track.shots[0]
        own = [one for one in tracks if one.person == track.person and one.key != track.key]
        others = _nearest([one for one in own if one.masked == track.masked], first.width)
        without_mask = _nearest([one for one in own if not one.masked], first.width)
        strangers = [
            one for one in tracks
            if one.person != track.person and one.masked == track.masked
            and one.shots[0].kind == first.kind
        ]  # fmt: skip
        drawn = [strangers[int(number)] for number in rng.permutation(len(strangers))[:DRAWN]]
        stranger = _nearest(drawn, first.width)
        if others is None or without_mask is None or stranger is None:
            continue
        bare = without_mask.shots[0].filmed if track.masked else None
        wrong = stranger.shots[0].restored
        half = np.rint((first.restored.astype(np.float32) + wrong) / 2).astype(np.uint8)
        for kind, restored in zip(KINDS, (first.restored, wrong, half), strict=True):
            shot = replace(first, restored=restored)
            figures = checker.check_one(shot, others.shots[1:], bare)
            checked.append(Checked(kind, first.kind, first.width, figures))
    return checked


def _nearest(tracks: Sequence[Track], width: float) -> Track | None:
    """Return the track whose first shot is nearest to a width, None if there is none."""
    return min(tracks, key=lambda one: abs(float(np.log(one.shots[0].width / width))), default=None)


def fit(checked: Sequence[Checked], network_sha256: str, share: float) -> IdentityLevels:
    """Return the levels below which `share` of the faithful restorations are."""
    values: dict[str, list[tuple[float, float]]] = {name: [] for name in TABLES}
    for one in checked:
        if one.kind == "honest":
            for name, cosine in one.cosines():
                values[name].append((one.width, cosine))
    tables = {name: _levels(np.array(pairs), share) for name, pairs in values.items()}
    return IdentityLevels(network_sha256, share, LEVEL_WIDTHS, tables)


def _levels(pairs: NDArray[np.float64], share: float) -> tuple[float, ...]:
    distances = np.abs(np.log(pairs.reshape(-1, 2)[:, :1] / np.array(LEVEL_WIDTHS)))
    near = distances <= np.log(WINDOW)
    fewest = int(near.sum(axis=0).min())
    if fewest * share < 1.0:
        raise UsageError(
            f"only {fewest} faces near a width of levels, too few for a share of {share:g}",
            hint="Give --fit more faces that name their people, or raise --share",
        )
    levels = [float(np.quantile(pairs[chosen, 1], share)) for chosen in near.T]
    lenient = np.minimum.accumulate(levels[::-1])[::-1]
    return tuple(round(float(level), 3) for level in lenient)


def print_shares(title: str, checked: Sequence[Checked], levels: IdentityLevels) -> None:
    """Print which share of each kind is below its levels."""
    print_line(title)
    for shot_kind in ("masked", "bare"):
        for low, high in pairwise(EDGES):
            inside = [
                one for one in checked if one.shot_kind == shot_kind and low <= one.width < high
            ]
            texts = []
            for kind in KINDS:
                group = [one for one in inside if one.kind == kind]
                if group:
                    texts.append(f"{kind} {_shares(group, levels)}")
            print_line(f"  {shot_kind} {low}-{high} px: {'; '.join(texts)}")
        for kind in KINDS:
            group = [one for one in checked if one.shot_kind == shot_kind and one.kind == kind]
            if group:
                print_line(f"  {shot_kind}, all widths: {kind} {_shares(group, levels)}")


def _shares(group: Sequence[Checked], levels: IdentityLevels) -> str:
    below: dict[str, list[bool]] = {"any": []}
    for one in group:
        found = {name: value < levels.level(name, one.width) for name, value in one.cosines()}
        for name, is_below in found.items():
            below.setdefault(name.partition("_")[0], []).append(is_below)
        below["any"].append(any(found.values()))
    shares = ", ".join(f"{name} {np.mean(values):.1%}" for name, values in below.items())
    return f"({len(group)}) {shares}"


def main() -> None:
    """Fit the levels, write them and print their shares."""
    options = _options()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    network = CachingNetwork(options.network)
    checker = IdentityCheck(network, None)
    loaded = open_generator(options.weights, "cpu", "float32", "torch")
    generator = FaceGenerator(loaded, SHOTS)
    sprites = draw_sprites(200, 777) if options.masks is None else load_templates(options.masks)
    sets = {}
    for path in (options.fit, options.test):
        if path is not None:
            with tempfile.TemporaryDirectory() as cache:
                faces = open_faces(path, None, Path(cache))
                sets[path] = check(film(faces, generator, sprites, options.count), checker)
    levels = fit(sets[options.fit], sha256_of(options.network), options.share)
    people = len(sets[options.fit]) // len(KINDS)
    comment = (
        f"Levels of identity cosines of {options.network.name}.\n"
        f"Fitted by tests/benchmarks/fit_identity_levels.py to {people} tracks of "
        f"{options.fit.name}, restored by {options.weights}."
    )
    with atomic_file(options.out) as partial:
        partial.write_text(levels.text(comment), encoding="utf-8")
    for path, checked in sets.items():
        print_shares(f"{path.name}", checked, levels)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--network", type=Path, required=True, help="TorchScript file")
    parser.add_argument("--fit", type=Path, required=True, help="faces with names of people")
    parser.add_argument("--test", type=Path, help="other faces on which shares are printed")
    parser.add_argument("--masks", type=Path, help="mask templates; default: drawn masks")
    parser.add_argument("--weights", default="lite-camera")
    parser.add_argument("--count", type=int, help="faces of each set; default: all")
    parser.add_argument("--share", type=float, default=0.02, help="of faithful restorations")
    return parser.parse_args()


if __name__ == "__main__":
    main()
