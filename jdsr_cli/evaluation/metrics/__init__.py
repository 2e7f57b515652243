"""Metrics of restored faces against the ground truth."""
