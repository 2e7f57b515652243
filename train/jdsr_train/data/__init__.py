"""Faces on disk, how they are prepared, and the samples made of them."""

from jdsr_train.data.batches import Batch, Packed, PackedBatch, to_tensor
from jdsr_train.data.face_set import FaceSet
from jdsr_train.data.faces import load_faces
from jdsr_train.data.labels import CELEBAMASK_TO_11, PARSING_CLASSES, heat_maps, reduce_labels
from jdsr_train.data.opening import open_faces
from jdsr_train.data.parsing_set import (
    PackedPairs,
    ParsingBatch,
    ParsingSamples,
    ParsingSet,
    open_parsing_set,
)
from jdsr_train.data.prepare import PreparedSets, prepare
from jdsr_train.data.samples import (
    Degrader,
    Exam,
    Sample,
    SampleSettings,
    TrainingSamples,
    collate,
    exams,
    mirror,
)
from jdsr_train.data.settings import PrepareSettings

__all__ = [
    "CELEBAMASK_TO_11",
    "PARSING_CLASSES",
    "Batch",
    "Degrader",
    "Exam",
    "FaceSet",
    "Packed",
    "PackedBatch",
    "PackedPairs",
    "ParsingBatch",
    "ParsingSamples",
    "ParsingSet",
    "PrepareSettings",
    "PreparedSets",
    "Sample",
    "SampleSettings",
    "TrainingSamples",
    "collate",
    "exams",
    "heat_maps",
    "load_faces",
    "mirror",
    "open_faces",
    "open_parsing_set",
    "prepare",
    "reduce_labels",
    "to_tensor",
]
