"""Measure restorers on faces that every one of them sees alike (protocol of SPEC 5)."""

from jdsr_train.evaluation.intervals import Estimate, estimate
from jdsr_train.evaluation.methods import Method, from_lr, resolve
from jdsr_train.evaluation.ready_made import ReadyMade, exported
from jdsr_train.evaluation.repeated import RepeatedExams
from jdsr_train.evaluation.restorers import Restorer, bicubic, restorer
from jdsr_train.evaluation.scoring import FIGURES, Scores, examine, score

__all__ = [
    "FIGURES",
    "Estimate",
    "Method",
    "ReadyMade",
    "RepeatedExams",
    "Restorer",
    "Scores",
    "bicubic",
    "estimate",
    "examine",
    "exported",
    "from_lr",
    "resolve",
    "restorer",
    "score",
]
