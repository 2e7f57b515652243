"""Face masks: drawn by our code or loaded from templates, and worn by landmarks."""

from jdsr_cli.synthesis.masks.drawing import draw_pool, draw_sprite
from jdsr_cli.synthesis.masks.sprite import Sprite, View, load_templates, template_files
from jdsr_cli.synthesis.masks.wear import (
    Position,
    Worn,
    choose,
    landmarks_from_five,
    rng_for,
    view_of,
    wear,
)

__all__ = [
    "Position",
    "Sprite",
    "View",
    "Worn",
    "choose",
    "draw_pool",
    "draw_sprite",
    "landmarks_from_five",
    "load_templates",
    "rng_for",
    "template_files",
    "view_of",
    "wear",
]
