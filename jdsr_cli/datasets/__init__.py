"""Aligned faces on disk, their preparation from images, and degraded samples of them."""
