"""The fused face of a person: several shots, fused as they were filmed and restored once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from jdsr_cli.conventions import TEMPLATE_SIZE
from jdsr_cli.faces import compose, crop
from jdsr_cli.faces.alignment import filmed_region
from jdsr_cli.faces.burst import RegisteredShots, align_shots, fuse
from jdsr_cli.faces.canonical_colours import ColourMap, canonical_map
from jdsr_cli.faces.identity_check import CheckedShot
from jdsr_cli.faces.lower_face import TOP
from jdsr_cli.faces.occlusion import MaskCalibration, MaskState, classify_mask, covered_share
from jdsr_cli.faces.regions import covered_region, face_region
from jdsr_cli.faces.resampling import chain, sample, stretch, zoom
from jdsr_cli.inference.generator import Pictures
from jdsr_cli.media import Image
from jdsr_cli.restoration.best_shots import Shot, template_to_canvas
from jdsr_cli.restoration.doubt import RestoresFaces
from jdsr_cli.restoration.finishing import finish_face
from jdsr_cli.restoration.frame import RestoredFace

MAX_SIDE = 512
"""Side in pixels up to which faces are fused."""
LEAST_WEIGHT = 0.01
"""Weight of a shot whose quality is less."""
MAX_GRID = 8
"""Most points per pixel and axis at which a shot is read that is larger than the fused face."""


class RestoresBursts(Protocol):
    """What restores a face from several shots, such as `inference.burst.BurstNetwork`."""

    def restore(self, shots: RegisteredShots) -> Pictures:
        """Restore a face from registered shots, 128 pixels wide; return one picture."""


@dataclass(frozen=True, eq=False)
class FusedFace:
    """Several shots of a person, fused and restored."""

    shots: tuple[Shot, ...]
    """The fused shots, the reference first."""
    filmed: Image
    """What the camera saw in all of them, in the colours of the reference: RGB uint8 (side, side,
    3), in the template."""
    crop: Image
    """The same in canonical colours, as the generator receives it if its side is 128: RGB uint8
    (128, 128, 3)."""
    colours: ColourMap
    """To the canonical colours, from those of the reference."""
    generated: RestoredFace
    """Output of the generator, in canonical colours, and the part of it that is shown."""
    mask: MaskState
    """Mask decision of the fused face."""
    jointly: bool = False
    """Whether it was restored from all shots, and not from their mean."""

    @property
    def reference(self) -> Shot:
        """The best of the shots, on which the others are registered."""
        return self.shots[0]

    @property
    def native_width(self) -> float:
        """Width of the reference as filmed, in pixels."""
        return self.reference.patch.alignment.native_width

    @property
    def covered(self) -> float:
        """Share of the face that is covered, 0 to 1."""
        return covered_share(self.generated.occlusion)

    @property
    def face(self) -> RestoredFace:
        """The restored face in the colours of the reference, with the mask decision applied."""
        filmed, generated = _reduced(self.filmed), self.generated
        return finish_face(generated, filmed, self.colours, self.mask, generated.part)

    def render(self, side: int) -> tuple[Image, Image]:
        """Return the reference as filmed and the fused face, each RGB uint8 (side, side, 3)."""
        patch, face = self.reference.patch, self.face
        before = crop(patch.pixels, patch.alignment, side)
        region = cv2.resize(face_region(), (side, side))[..., None]
        fused = cv2.resize(self.filmed, (side, side), interpolation=cv2.INTER_CUBIC)
        blended = before + region * (fused.astype(np.float32) - before)
        after = np.rint(blended).astype(np.uint8)
        compose(
            *(after, face.image, face.occlusion, template_to_canvas(side)),
            *(self.native_width, face.compositing),
        )
        return before, after

    def checked(self) -> CheckedShot:
        """Return what the identity check compares."""
        _, after = self.render(TEMPLATE_SIZE)
        filmed, occlusion = _reduced(self.filmed), self.face.occlusion
        return CheckedShot(filmed, after, occlusion, self.mask, self.native_width)


class ShotFusion:
    """Fuses the shots of a person and restores the fused face.

    Args:
        generator: Restores it.
        calibration: Maps its occlusion map to the probability of a mask.
        scale: Factor by which faces are enlarged.
        burst: Restores faces from all shots; None to restore their mean.

    """

    def __init__(
        self,
        generator: RestoresFaces,
        calibration: MaskCalibration,
        *,
        scale: int,
        burst: RestoresBursts | None = None,
    ) -> None:
        self._generator = generator
        self._calibration = calibration
        self._scale = scale
        self._burst = burst

    def side(self, shot: Shot) -> int:
        """Return the side in pixels of the picture of a fused face whose best shot is given."""
        return min(MAX_SIDE, shot.side(self._scale))

    def fuse(self, shots: Sequence[Shot], *, seen_bare: bool) -> FusedFace | None:
        """Fuse shots of a person, the best first.

        Each shot is read from its frame once, where its alignment and its registration find the
        face. Where the picture shows what was filmed, in wide faces, shots are fused at the size of
        the picture.

        Args:
            shots: Shots, among them masked ones of a person who is bare in others.
            seen_bare: Whether the person is bare in some frame; then no mask is removed.

        Returns:
            None if no shot matches the best, or the generator gives values that are not finite.

        """
        best = shots[0]
        width, compositing = best.patch.alignment.native_width, best.face.compositing
        side = TEMPLATE_SIZE if compositing.replaced(width) == 1.0 else self.side(best)
        views = [_ShotView.of(shot, side) for shot in shots]
        registered = align_shots(
            np.stack([view.crop for view in views]),
            [max(shot.quality, LEAST_WEIGHT) for shot in shots],
            np.stack([shot.occlusion for shot in shots]),
            shown=np.stack([_shown(shot, best, seen_bare=seen_bare) for shot in shots]),
            bare=[shot.mask == "bare" for shot in shots],
            widths=[shot.patch.alignment.native_width for shot in shots],
            read=lambda index, points: views[index].read(points),
        )
        if len(registered.used) < 2:
            return None
        used = tuple(shots[index] for index in registered.used)
        fused = fuse(registered).image
        generated = self._restore_jointly(registered)
        jointly = generated is not None
        if generated is None:
            (generated,) = self._generator.restore([_resized(fused, self._generator.side)])
        if generated is None:
            return None
        colours = views[0].colours
        nothing = np.zeros((side, side), np.float32)
        filmed = colours.restore(fused, views[0].filmed, nothing)
        probability = self._calibration.probability(generated.occlusion, colours.gain)
        mask = decide_mask(probability, [shot.mask for shot in used], seen_bare=seen_bare)
        generated = replace(generated, part=best.face.part)
        return FusedFace(used, filmed, _reduced(fused), colours, generated, mask, jointly)

    def _restore_jointly(self, shots: RegisteredShots) -> RestoredFace | None:
        """Return the face restored from all shots.

        Returns:
            None without a network for that, for shots of another size than the template, and if the
            network gives values that are not finite.

        """
        if self._burst is None or shots.crops.shape[1] != TEMPLATE_SIZE:
            return None
        pictures = self._burst.restore(shots)
        if not pictures.finite[0]:
            return None
        occlusion = pictures.occlusions[0].astype(np.float32) / np.float32(255)
        return RestoredFace(pictures.images[0], occlusion, False, TEMPLATE_SIZE)


def decide_mask(probability: float, shots: Sequence[MaskState], *, seen_bare: bool) -> MaskState:
    """Return the mask decision of a fused face.

    It is that of the shots if they agree, which rests on all frames of the track; otherwise it
    follows from the occlusion map of the fused face. A mask is not removed from the face of a
    person who was seen bare, and without a bare shot the face is not bare.

    Args:
        probability: Probability of a mask by the occlusion map of the fused face.
        shots: Decisions of the fused shots.
        seen_bare: Whether the person is bare in some frame.

    """
    mask = shots[0] if len(set(shots)) == 1 else classify_mask(probability)
    return "unsure" if mask == ("masked" if seen_bare else "bare") else mask


def _shown(shot: Shot, best: Shot, *, seen_bare: bool) -> NDArray[np.float32]:
    """Return where a shot shows the person, (128, 128) in [0, 1].

    Beyond the border of the frame it shows nothing. Of a person seen bare, a masked shot shows the
    face above the mask, and beside a bare one so does a shot of which it is not sure whether the
    face is bare, whatever their occlusion maps are: a mask like skin leaves them empty.
    """
    filmed = filmed_region(shot.patch.pixels, shot.patch.alignment)
    hides = shot.mask == "masked" or (shot.mask == "unsure" and best.mask == "bare")
    return filmed * _upper_face(shot.occlusion) if seen_bare and hides else filmed


def _upper_face(occlusion: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the region of the face above the mask, (128, 128) in [0, 1].

    Beside a mask are its edge and its straps, of which occlusion maps show little.
    """
    rows = occlusion.max(axis=1, keepdims=True)
    rows[TOP:] = 1.0
    return np.asarray(1.0 - covered_region(np.maximum(rows, 1.0 - face_region())), np.float32)


@dataclass(frozen=True, eq=False)
class _ShotView:
    """A shot in the template, and how it is read from its frame."""

    shot: Shot
    filmed: Image
    """RGB uint8 (side, side, 3)."""
    colours: ColourMap
    crop: Image
    """In canonical colours, likewise."""

    @classmethod
    def of(cls, shot: Shot, side: int) -> _ShotView:
        filmed = crop(shot.patch.pixels, shot.patch.alignment, side)
        colours = canonical_map(filmed, monochrome=shot.monochrome)
        return cls(shot, filmed, colours, colours.apply(filmed))

    def read(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the shot in canonical colours at points of its crop, (side, side, 3)."""
        side = len(points)
        alignment = self.shot.patch.alignment
        matrix = chain(alignment.inverse(), zoom(TEMPLATE_SIZE / side))
        fine = min(MAX_GRID, max(1, math.ceil(stretch(matrix) - 1e-6)))
        there = np.asarray(points @ matrix[:, :2].T + matrix[:, 2], np.float32)
        if fine > 1:
            there = np.asarray(cv2.resize(there, (side * fine, side * fine)), np.float32)
        read = sample(self.shot.patch.pixels.astype(np.float32), there)
        if fine > 1:
            read = np.asarray(cv2.resize(read, (side, side), interpolation=cv2.INTER_AREA))
        return self.colours.apply(np.clip(read, 0.0, 255.0))


def _reduced(picture: Image) -> Image:
    return _resized(picture, TEMPLATE_SIZE)


def _resized(picture: Image, side: int) -> Image:
    if len(picture) == side:
        return picture
    return np.asarray(cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
