"""Synthetic degradation of photographs: masks, occluders, and the camera."""
