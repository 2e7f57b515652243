"""Rank-1 identification of faces in a gallery of true photographs.

Closed-set identification in the terms of ISO/IEC 19795-1: every probe shows an enrolled person.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from jdsr_cli.datasets.face_set import FaceSet
from jdsr_cli.datasets.samples import to_tensor

BATCH = 32
"""Photographs that are embedded at once."""
LEAST_PEOPLE = 2
"""Fewest people among whom a face can be identified."""


@dataclass(frozen=True, eq=False)
class Gallery:
    """One true photograph of each known person, and a second one for faces that are the first.

    The photographs of a person are the first two in the order of the set. A face is never compared
    with its own photograph.
    """

    people: tuple[str, ...]
    """Names of the P people."""
    person_of: dict[str, int]
    """Index of the person of each face, by key of the face."""
    first_keys: tuple[str, ...]
    """Keys of the first photographs."""
    first: Tensor
    """(P, D) their embeddings, of length 1."""
    second: Tensor
    """(P, D) embeddings of the second photographs; NaN where a person has one photograph."""

    def identified(self, keys: Sequence[str], embeddings: Tensor) -> Tensor:
        """Return for each face whether its person is the most similar one of the gallery.

        Args:
            keys: Keys of B faces of the set.
            embeddings: (B, D) of their pictures, of length 1.

        Returns:
            (B,) float64: 1 if the cosine with a photograph of the person is above that with every
            other person's, otherwise 0; NaN if the person is unknown or has no other photograph.

        """
        found = torch.full((len(keys),), float("nan"), dtype=torch.float64)
        cosines = embeddings @ self.first.T
        for index, key in enumerate(keys):
            person = self.person_of.get(key)
            if person is None:
                continue
            own = cosines[index, person]
            if self.first_keys[person] == key:
                own = embeddings[index] @ self.second[person]
            if torch.isnan(own):
                continue
            others = torch.cat([cosines[index, :person], cosines[index, person + 1 :]])
            found[index] = float(own > others.max())
        return found


def enrol(faces: FaceSet, embed: Callable[[Tensor], Tensor]) -> Gallery | None:
    """Return the gallery of a set; None if it does not name at least two people.

    Args:
        faces: All faces of the set, whichever of them are evaluated.
        embed: Returns embeddings of length 1, (B, D), of (B, 3, 128, 128) RGB in [0, 1].

    """
    if len(faces.people) < LEAST_PEOPLE or faces.person_of is None:
        return None
    photographs: list[list[int]] = [[] for _ in faces.people]
    for index, person in enumerate(faces.person_of):
        if person >= 0:
            photographs[person].append(index)
    first = _embed(faces, [indices[0] for indices in photographs], embed)
    second = torch.full_like(first, float("nan"))
    several = [person for person, indices in enumerate(photographs) if len(indices) > 1]
    if several:
        second[several] = _embed(faces, [photographs[person][1] for person in several], embed)
    known = zip(faces.keys, faces.person_of.tolist(), strict=True)
    return Gallery(
        faces.people,
        {key: person for key, person in known if person >= 0},
        tuple(faces.keys[indices[0]] for indices in photographs),
        first,
        second,
    )


def _embed(faces: FaceSet, indices: Sequence[int], embed: Callable[[Tensor], Tensor]) -> Tensor:
    parts = [
        embed(to_tensor([np.asarray(faces.images[index]) for index in indices[start:][:BATCH]]))
        for start in range(0, len(indices), BATCH)
    ]
    return torch.cat(parts)
