"""What `restore` and `crop-faces` make of the frames of an input."""

from jdsr_cli.restoration.finishers.cropped import CropFinisher
from jdsr_cli.restoration.finishers.restored import RestoreFinisher

__all__ = ["CropFinisher", "RestoreFinisher"]
