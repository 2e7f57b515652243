"""The tables of the paper (arXiv 2103.13676): their rows, published figures and conditions.

Source: PAPER tables 2 and 3 and its evaluation on Helen; SPEC 5.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

PAPER = "JDSR-GAN, arXiv 2103.13676"
FULL_MODEL = "JDSR-GAN"
"""Label of the row that the others are compared with."""
CELEBA_TEST_FACES = 19_962
"""Faces of CelebA's test set, all of which the paper evaluates in table 3."""


@dataclass(frozen=True)
class PublishedFigures:
    """Figures of a row in the paper, on Y."""

    psnr: float
    """In dB."""
    ssim: float


@dataclass(frozen=True)
class PaperRow:
    """A row of a table: a method at one scale."""

    label: str
    """Name of the method in the table."""
    recipe: str
    """Name of the recipe that trains it."""
    scale: int
    """Enlargement."""
    published: PublishedFigures | None = None
    """None if the paper states none."""
    optional: bool = False
    """Whether the row is left out where no checkpoint belongs to it."""


@dataclass(frozen=True)
class PaperTable:
    """A table of the paper."""

    name: str
    """Value of `--table`."""
    title: str
    kind: str
    """Kind of the data on which the paper evaluates, see `jdsr_cli.datasets.sources`."""
    data: str
    """Name of that data in sentences."""
    faces: int | None
    """Number of evaluated faces in the paper; None if it does not say."""
    note: str
    """What the published figures are of."""
    rows: tuple[PaperRow, ...]
    """In the order of the paper."""

    @property
    def scales(self) -> tuple[int, ...]:
        """Enlargements of its rows."""
        return tuple(sorted({row.scale for row in self.rows}))


def _row(
    label: str, recipe: str, scale: int, psnr: float | None = None, ssim: float | None = None
) -> PaperRow:
    published = None if psnr is None or ssim is None else PublishedFigures(psnr, ssim)
    return PaperRow(label, recipe, scale, published)


_TABLE_3 = (
    _row("CBD+DRN", "cbd_drn_x4", 4, 26.48, 0.7398),
    _row("CBD+SRFBN", "cbd_srfbn_x4", 4, 26.59, 0.7443),
    _row("CBD+SICNN", "cbd_sicnn_x4", 4, 27.07, 0.7839),
    _row("CBD+FSRGAN", "cbd_fsrgan_x4", 4, 27.73, 0.8318),
    _row("CBD+DICGAN", "cbd_dicgan_x4", 4, 28.28, 0.8338),
    _row(FULL_MODEL, "paper_x4", 4, 29.18, 0.8553),
    _row("CBD+DRN", "cbd_drn_x8", 8, 23.61, 0.6371),
    PaperRow("CBD+SRFBN", "cbd_srfbn_x8", 8, optional=True),
    PaperRow("CBD+SICNN", "cbd_sicnn_x8", 8, optional=True),
    _row("CBD+FSRGAN", "cbd_fsrgan_x8", 8, 24.96, 0.7423),
    _row("CBD+DICGAN", "cbd_dicgan_x8", 8, 25.36, 0.7137),
    _row(FULL_MODEL, "paper_x8", 8, 26.45, 0.7633),
)
_HELEN = PublishedFigures(25.5427, 0.7719)

_TABLES = (
    PaperTable(
        "2",
        "Table 2: the full model without single parts",
        "celeba",
        "CelebA's test set",
        None,
        "an unspecified part of CelebA: the 26.28 dB of the full model cannot be compared with its "
        "29.18 dB in table 3",
        (
            _row("without style", "without_style", 4, 25.85, 0.8104),
            _row("without perceptual", "without_perceptual", 4, 25.86, 0.8119),
            _row("without identity", "without_identity", 4, 26.22, 0.8118),
            _row("without smooth", "without_smooth", 4, 26.19, 0.8076),
            _row("without attention", "without_attention", 4, 26.19, 0.8109),
            _row(FULL_MODEL, "paper_x4", 4, 26.28, 0.8134),
        ),
    ),
    PaperTable(
        "3",
        "Table 3: joint restoration, and denoising followed by super-resolution",
        "celeba",
        "CelebA's test set",
        CELEBA_TEST_FACES,
        f"all {CELEBA_TEST_FACES:,} faces of CelebA's test set",
        _TABLE_3,
    ),
    PaperTable(
        "generality",
        "Generality: faces of Helen, restored by weights trained on CelebA",
        "helen",
        "Helen",
        None,
        "Helen, of JDSR-GAN alone; the paper does not say which of its faces",
        tuple(
            PaperRow(row.label, row.recipe, 4, _HELEN if row.label == FULL_MODEL else None)
            for row in _TABLE_3
            if row.scale == 4
        ),
    ),
)
PAPER_TABLES: Mapping[str, PaperTable] = MappingProxyType({one.name: one for one in _TABLES})
"""By name."""
UNSTATED_CONDITIONS = (
    "the paper evaluates PSNR and SSIM on Y, and does not state its crop, the pictures of its "
    "masks, the range of Y, the treatment of borders and the window of SSIM; the range of Y alone "
    "changes PSNR by 1.32 dB"
)
"""What the paper leaves open (SPEC 5)."""
