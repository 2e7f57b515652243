"""Conventions that all packages share: the size of aligned faces and the weights of luma."""

from __future__ import annotations

TEMPLATE_SIZE = 128
"""Side in pixels of aligned faces and of the pictures that generators return (PAPER_SPEC 4.2)."""
LUMA_WEIGHTS = (0.299, 0.587, 0.114)
"""Weights of R, G and B in luma (ITU-R BT.601)."""
