"""Measures of restored faces against the truth.

PSNR and SSIM need nothing but the pictures; LPIPS, identity and landmarks each need a network
given by path, and are in their own modules.
"""

from jdsr_cli.metrics.fidelity import luma, psnr, ssim
from jdsr_cli.metrics.judge import Judge
from jdsr_cli.metrics.lightness import skin_lightness
from jdsr_cli.metrics.regions import FIDELITY, fidelity, unaltered

__all__ = ["FIDELITY", "Judge", "fidelity", "luma", "psnr", "skin_lightness", "ssim", "unaltered"]
