"""Measure restorers on faces that every one of them sees alike (protocol of SPEC 5)."""

from jdsr_cli.evaluation.intervals import Estimate, estimate
from jdsr_cli.evaluation.methods import Method, from_lr, resolve
from jdsr_cli.evaluation.ready_made import ReadyMade, exported
from jdsr_cli.evaluation.repeated import RepeatedExams
from jdsr_cli.evaluation.restorers import Restorer, bicubic, restorer
from jdsr_cli.evaluation.scoring import FIGURES, Scores, examine, score

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
