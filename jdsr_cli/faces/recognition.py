"""Whether the faces of a track are those of a given person, by their embeddings.

The embeddings of the best faces of a track are averaged, as usual where several pictures of a
person are compared ("average pooling"; Whitelam et al. 2017, "IARPA Janus Benchmark-B"): noise of
single frames averages out. Which faces are the best depends on their size and the time between
them alone, so that no face counts because it happens to be similar.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

COMPARED_FACES = 8
"""Most faces of a track that are compared."""


@dataclass(frozen=True, eq=False)
class EmbeddedFace:
    """A face of a track that may be compared with a person."""

    frame: int
    """Number of the frame."""
    seconds: float
    """Time of the frame."""
    quality: float
    """Distance between the eyes in pixels: wider faces and those seen from the front are better."""
    embedding: NDArray[np.float32]
    """(D,), of length 1."""


def pooled_similarity(
    embeddings: Sequence[NDArray[np.float32]], person: NDArray[np.float32]
) -> float | None:
    """Return the cosine between the mean of embeddings (D,) and the embedding (D,) of a person.

    None if there are no embeddings, or their mean has no direction.
    """
    if not embeddings:
        return None
    mean = np.mean(np.stack(embeddings).astype(np.float64), axis=0)
    length = float(np.linalg.norm(mean)) * float(np.linalg.norm(person))
    return float(mean @ person.astype(np.float64)) / length if length > 0.0 else None
