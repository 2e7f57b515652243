"""Faces on disk and the samples made of them."""

from jdsr_train.data.faces import FaceSet, load_faces
from jdsr_train.data.samples import (
    Batch,
    Degrader,
    Exam,
    SampleSettings,
    TrainingSamples,
    collate,
    exams,
    mirror,
    to_tensor,
)

__all__ = [
    "Batch",
    "Degrader",
    "Exam",
    "FaceSet",
    "SampleSettings",
    "TrainingSamples",
    "collate",
    "exams",
    "load_faces",
    "mirror",
    "to_tensor",
]
