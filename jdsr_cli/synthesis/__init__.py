"""Synthetic degradation of photographs: worn masks, occluders, and the camera."""
