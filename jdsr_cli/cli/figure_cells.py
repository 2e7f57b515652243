"""Headings and cells of the figures in the tables of `jdsr eval`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jdsr_cli.evaluation.statistics import Estimate

HEADINGS = {
    "psnr": ("PSNR", 2),
    "ssim": ("SSIM", 4),
    "psnr_crop": ("PSNR cropped", 2),
    "ssim_crop": ("SSIM cropped", 4),
    "psnr_covered": ("PSNR covered", 2),
    "ssim_covered": ("SSIM covered", 4),
    "psnr_beside": ("PSNR beside", 2),
    "ssim_beside": ("SSIM beside", 4),
    "psnr_unaltered": ("PSNR unaltered", 2),
    "psnr_face": ("PSNR face", 2),
    "lpips": ("LPIPS", 4),
    "identity": ("identity", 4),
    "identity_moved": ("identity moved", 3),
    "rank1": ("rank-1", 3),
    "landmark_error": ("landmarks, %", 2),
    "shots_used": ("shots combined", 1),
}
"""Heading of each figure in the table, and its decimals."""


def estimate_cells(one: Estimate, decimals: int, sign: str = "") -> list[str]:
    """Return a mean and its interval; with `sign` + both have signs."""
    mean = f"{one.mean:{sign}.{decimals}f}"
    if one.low is None or one.high is None:
        return [mean, ""]
    return [mean, f"{one.low:{sign}.{decimals}f} to {one.high:{sign}.{decimals}f}"]


def share_cell(share: float) -> str:
    """Return a share in per cent; 100 % and 0 % stand for every face and none."""
    percent = f"{100 * share:.1f} %"
    if percent == "100.0 %":
        return "100 %" if share == 1 else ">99.9 %"
    if percent == "0.0 %":
        return "0 %" if share == 0 else "<0.1 %"
    return percent
