"""Measures of restored faces against the truth."""

from jdsr_cli.metrics.fidelity import luma, psnr, ssim

__all__ = ["luma", "psnr", "ssim"]
