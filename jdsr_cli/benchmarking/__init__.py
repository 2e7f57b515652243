"""Measurements of speed behind `jdsr bench`: generator, detectors and the whole pipeline."""
