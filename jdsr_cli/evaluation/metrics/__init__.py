"""Measures of restored faces against the truth.

PSNR and SSIM need nothing but the pictures; LPIPS, identity and landmarks each need a network
given by path, and are in their own modules.
"""

from jdsr_cli.evaluation.metrics.fidelity import luma, psnr, ssim
from jdsr_cli.evaluation.metrics.judge import Judge
from jdsr_cli.evaluation.metrics.lightness import skin_lightness
from jdsr_cli.evaluation.metrics.regions import FIDELITY, fidelity, unaltered

__all__ = ["FIDELITY", "Judge", "fidelity", "luma", "psnr", "skin_lightness", "ssim", "unaltered"]
