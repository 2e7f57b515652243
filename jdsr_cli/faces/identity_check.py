"""Comparison of restored faces with filmed ones by a face recognition network.

A restored face can look convincing and still be somebody else: unmasking by generative models does
not bring back the true face (Cooper and Farid, arXiv 2603.27747), and careless restoration lowers
recognition (Norman and Farid, arXiv 2512.03199). The check finds results that are less like what
was filmed than faithful restorations are. It cannot show that what was never filmed is right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from jdsr_cli.conventions import TEMPLATE_SIZE
from jdsr_cli.errors import UsageError
from jdsr_cli.faces.embedding import RecognitionNetwork
from jdsr_cli.faces.identity_levels import SIDECAR, IdentityLevels
from jdsr_cli.faces.occlusion import MaskState
from jdsr_cli.faces.regions import covered_region

WEAK_BELOW = 32
"""Width in pixels below which levels find about half of exchanged faces (docs/evaluation.md)."""
Picture = NDArray[np.uint8]
Embedding = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class CheckedShot:
    """A restored face and what was filmed of it.

    Raises:
        UsageError: A picture or the map has another shape or type, or the width is not above 0.

    """

    filmed: Picture
    """RGB uint8 (128, 128, 3), in the template."""
    restored: Picture
    """The exported result, likewise."""
    occlusion: NDArray[np.float32]
    """(128, 128) in [0, 1]: how much of each pixel was covered."""
    mask: MaskState | None
    """Whether the face wears a mask; None counts as unsure."""
    width: float
    """Width of the template's region in the frame as it was filmed, in pixels."""

    def __post_init__(self) -> None:
        square = (TEMPLATE_SIZE, TEMPLATE_SIZE)
        for name, picture in (("filmed", self.filmed), ("restored", self.restored)):
            _check_picture(name, picture)
        if self.occlusion.shape != square or not np.isfinite(self.occlusion).all():
            raise UsageError("the occlusion map of a checked face is not a finite (128, 128)")
        if not self.width > 0.0:
            raise UsageError(f"a checked face cannot be {self.width} px wide")

    @property
    def kind(self) -> str:
        """Kind of the face in tables of levels: `masked` if the mask was replaced, or `bare`."""
        return "masked" if self.mask == "masked" else "bare"


@dataclass(frozen=True)
class IdentityFigures:
    """Cosines in [-1, 1] between embeddings of a restored face and others of the same person."""

    input: float | None
    """With the filmed face, over what was visible of it: the covered pixels of both pictures are
    those of the restored face."""
    track: float | None
    """With the mean of the other restored shots of the track; None if there is no other."""
    bare: float | None
    """Of a face that wears or may wear a mask: with the filmed face of the same person without
    one; None if there is none."""
    warning: str | None
    """What is below its level; None if nothing is, or if the network has no levels. None is no
    approval: below 32 px most wrong faces are above the levels (docs/evaluation.md)."""

    def fields(self) -> dict[str, float | str | None]:
        """Return the figures for a record."""
        return asdict(self)


class IdentityCheck:
    """Checks the exported faces of tracks.

    Faces are embedded one at a time, so that no figure depends on how many others are checked.

    Args:
        network: The recognition network.
        levels: Its levels; None if it has none, then there are no warnings.

    """

    def __init__(self, network: RecognitionNetwork, levels: IdentityLevels | None) -> None:
        self._network = network
        self._levels = levels

    @property
    def note(self) -> str:
        """What the figures of this network mean, one sentence for a report."""
        name = self._network.path.name
        if self._levels is None:
            return (
                f"cosines of {name} are recorded without warnings: no levels are known for this "
                f"network; {name}{SIDECAR} beside it may contain them"
            )
        return (
            f"restored faces get a warning where a cosine of {name} is below "
            f"that of {1 - self._levels.honest_share:.0%} of faithful restorations; "
            f"no warning is no approval, least of all of faces narrower than {WEAK_BELOW} px"
        )

    def check(
        self, shots: Sequence[CheckedShot], bare: Picture | None = None
    ) -> list[IdentityFigures]:
        """Check the shots of one track.

        Args:
            shots: The restored shots of a person.
            bare: The best filmed face of the same person without a mask, RGB uint8 (128, 128, 3)
                in the template, if there is one.

        Returns:
            The figures of each shot, in the order of the shots.

        Raises:
            UsageError: `bare` has another shape or type.
            WeightsCorruptError: The network gives values that are not finite.

        """
        restored = [self._embed(shot.restored) for shot in shots]
        without = None if bare is None else self._embed_bare(bare)
        return [
            self._figures(shot, own, restored[:index] + restored[index + 1 :], without)
            for index, (shot, own) in enumerate(zip(shots, restored, strict=True))
        ]

    def check_one(
        self, shot: CheckedShot, others: Sequence[CheckedShot], bare: Picture | None = None
    ) -> IdentityFigures:
        """Check one face against other shots of the person, such as the fused face of a track.

        Args:
            shot: The face; of a fused one, the filmed face is fused as well.
            others: Restored shots of the person.
            bare: See `check`.

        Raises:
            UsageError: `bare` has another shape or type.
            WeightsCorruptError: The network gives values that are not finite.

        """
        embeddings = [self._embed(other.restored) for other in others]
        without = None if bare is None else self._embed_bare(bare)
        return self._figures(shot, self._embed(shot.restored), embeddings, without)

    def _figures(
        self,
        shot: CheckedShot,
        own: Embedding,
        others: Sequence[Embedding],
        bare: Embedding | None,
    ) -> IdentityFigures:
        filmed = self._embed(restored_where_covered(shot.filmed, shot.restored, shot.occlusion))
        cosines = {
            "input": _cosine(own, filmed),
            "track": _cosine(own, np.mean(others, axis=0)) if others else None,
            "bare": None if bare is None or shot.mask == "bare" else _cosine(own, bare),
        }
        return IdentityFigures(**cosines, warning=self._warning(shot, cosines))

    def _warning(self, shot: CheckedShot, cosines: dict[str, float | None]) -> str | None:
        if self._levels is None:
            return None
        tables = {"input": f"input_{shot.kind}", "track": f"track_{shot.kind}", "bare": "bare"}
        compared = {
            "input": "the filmed face, over what was visible",
            "track": "the other shots of the track",
            "bare": "the filmed face without a mask",
        }
        found = []
        for name, cosine in cosines.items():
            level = self._levels.level(tables[name], shot.width)
            if cosine is not None and cosine < level:
                found.append(f"{compared[name]} (cosine {cosine:.2f}, below {level:.2f})")
        if not found:
            return None
        return (
            f"less like {' and '.join(found)} than {1 - self._levels.honest_share:.0%} of faithful "
            f"restorations of faces {shot.width:.0f} px wide: it may show another person"
        )

    def _embed_bare(self, bare: Picture) -> Embedding:
        _check_picture("bare", bare)
        return self._embed(bare)

    def _embed(self, face: Picture) -> Embedding:
        import torch

        image = torch.from_numpy(face.copy()).permute(2, 0, 1)[None].float()
        return np.asarray(self._network.embed(image / 255.0)[0].numpy(), np.float32)


def restored_where_covered(
    filmed: Picture, restored: Picture, occlusion: NDArray[np.float32]
) -> Picture:
    """Return the filmed face with the restored one wherever it was covered.

    Compared with the restored face, only what was visible differs. Of the pictures in which
    covered pixels are treated alike, this one shows best whose face was restored. Of 441 masked
    faces of `faces128` val as `tests/benchmarks/simulated_shots.py` films them, per cent of the
    results below the level of 5 % of the faithful ones (MobileFaceNet); *half* is the mean of the
    pictures of two people::

        covered pixels        another person, by width       half, by width
                              12-20 20-32 32-48 48-64 64-96  12-20 20-32 32-48 48-64 64-96
        as they are              23    28    66    96   100      7     8    14    33    85
        mean of the visible      23    57    84    96   100      4    10    19    40    90
        gray                     19    49    79    96   100      6     9    12    48    92
        filmed in both           14    55    84    96   100      3     9    10    44    96
        restored in both         27    64    87    98   100     14    16    29    81    97

    Args:
        filmed: RGB uint8 (128, 128, 3), in the template.
        restored: Likewise.
        occlusion: (128, 128) in [0, 1].

    """
    share = covered_region(occlusion)[..., None]
    joined = filmed + share * (restored.astype(np.float32) - filmed)
    return np.asarray(np.rint(joined), np.uint8)


def _cosine(one: Embedding, other: Embedding) -> float | None:
    """Return the cosine to four decimals; None if a vector has no direction."""
    length = float(np.linalg.norm(one)) * float(np.linalg.norm(other))
    return round(float(one @ other) / length, 4) if length > 0.0 else None


def _check_picture(name: str, picture: Picture) -> None:
    if picture.shape != (TEMPLATE_SIZE, TEMPLATE_SIZE, 3) or picture.dtype != np.uint8:
        raise UsageError(
            f"the picture {name!r} of a checked face is {picture.dtype} {picture.shape}",
            hint="Give RGB uint8 (128, 128, 3)",
        )
