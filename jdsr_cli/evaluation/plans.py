"""What `jdsr eval` compares: methods and faces of single pictures, or of tracks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from jdsr_cli.conventions import TEMPLATE_SIZE
from jdsr_cli.datasets.face_set import FaceSet
from jdsr_cli.datasets.samples import Degrader, EvaluationFaces, EvaluationSample, SampleSettings
from jdsr_cli.errors import UsageError
from jdsr_cli.evaluation.external import AS_RECEIVED, ExternalResults, InputForm
from jdsr_cli.evaluation.methods import Method, load_methods, open_restorers
from jdsr_cli.evaluation.metrics.face_region import FaceRegionMetric
from jdsr_cli.evaluation.scoring import Metric
from jdsr_cli.evaluation.statistics import check_properties
from jdsr_cli.evaluation.table_rows import PlannedTable
from jdsr_cli.evaluation.track_methods import TrackMethod, methods_for_tracks
from jdsr_cli.evaluation.tracks import describe_tracks, scenes
from jdsr_cli.settings import EvalSettings
from jdsr_cli.settings.evaluation import FaceTemplate
from jdsr_cli.synthesis.masks import Sprite
from jdsr_cli.weights.default import default_weights

KINDS = {"paper": ("masked",), "camera": ("masked", "plain"), "sharp": ("sharp",)}
"""Kinds of single pictures by degradation; `sharp` is the paper's degradation without masks."""
METHODS = ("bicubic", "lite")
"""Methods that are compared on single pictures unless others are named."""

Draw = Callable[[EvaluationSample], NDArray[np.uint8]]
"""Returns a square picture of a sample for the contact sheet."""


def _input(sample: EvaluationSample) -> NDArray[np.uint8]:
    return sample.pair.lr


@dataclass(frozen=True, eq=False)
class Section:
    """Faces that are evaluated together."""

    name: str
    """Name of the faces in tables."""
    methods: Sequence[Method]
    samples: Callable[[FaceSet], Iterator[EvaluationSample]]
    """Yields a sample of each face; a face gives the same sample in any set."""
    shown_methods: Sequence[Method]
    """Those of the contact sheet."""
    shown_inputs: Mapping[str, Draw] = field(default_factory=lambda: {"input": _input})
    """Pictures above the results on the contact sheet, by their labels."""
    inputs_folder: Path | None = None
    """Folder into which the inputs are written."""
    inputs_form: InputForm = AS_RECEIVED
    """How they are written."""
    families: Sequence[Sequence[str]] = ()
    """Names of the methods that are compared with the first one among them; by default all."""

    @property
    def sharp(self) -> bool:
        """Whether restoration should not change the faces."""
        return self.name == "sharp"


@dataclass(frozen=True, eq=False)
class EvaluationPlan:
    """A comparison whose methods are loaded and whose faces are not yet read."""

    lr_size: int | None
    """Side of the inputs in pixels; None if sections differ, and `fields` has those of each."""
    with_masks: bool
    sections: Callable[[FaceSet, Sequence[Sprite]], list[Section]]
    """Returns the sections for the evaluated faces and the masks."""
    protocol: Mapping[str, str] = field(default_factory=dict)
    """What `results.json` says about the protocol beside what is said about all comparisons."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of `results.json`."""
    metrics: Sequence[Metric] = ()
    """Metrics of this plan, beside those that the request names."""
    bursts: Mapping[str, TrackMethod] = field(default_factory=dict)
    """How each method restores tracks, by its name."""
    table: PlannedTable | None = None
    """The table of the paper that is evaluated."""


def plan_pictures(request: EvalSettings) -> EvaluationPlan:
    """Plan a comparison on single pictures.

    Raises:
        UsageError: Methods of different input sizes; masks for sharp faces; an unknown property.
        WeightsError: Weights are missing or altered.

    """
    check_properties(request.groups, request.inputs)
    names = METHODS if request.methods is None else request.methods
    methods, lr_size = load_methods(names, request.scale, request.device)
    kinds = KINDS[request.inputs]
    with_masks = "masked" in kinds
    if request.masks is not None and not with_masks:
        raise UsageError(
            f"{request.inputs} faces have no masks", where="--masks", hint="Leave it out"
        )
    degradation = "camera" if request.inputs == "camera" else "paper"
    settings = SampleSettings(lr_size, degradation, masked=float(with_masks))
    form = InputForm(request.inputs_size, request.inputs_template)

    def sections(faces: FaceSet, sprites: Sequence[Sprite]) -> list[Section]:
        degrader = Degrader(sprites, settings)
        found = []
        for kind in kinds:
            folder = kind if len(kinds) > 1 else ""
            compared = _with_external_results(methods, request, faces.keys, folder)
            written = None if request.write_inputs is None else request.write_inputs / folder

            def samples(some: FaceSet, kind: str = kind) -> Iterator[EvaluationSample]:
                return EvaluationFaces(some, degrader).samples(kind)

            section = Section(
                kind, compared, samples, compared, inputs_folder=written, inputs_form=form
            )
            found.append(section)
        return found

    protocol = {} if request.write_inputs is None else {"written_inputs": form.protocol}
    return EvaluationPlan(lr_size, with_masks, sections, protocol)


def _with_external_results(
    methods: Sequence[Method], request: EvalSettings, keys: Sequence[str], subfolder: str
) -> list[Method]:
    """Return the methods and the external results."""
    given: list[tuple[str, Path, FaceTemplate]] = [
        *((name, folder, "jdsr") for name, folder in request.results),
        *((name, folder, "ffhq") for name, folder in request.ffhq_results),
    ]
    names = [one.name for one in methods] + [name for name, *_ in given]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(
                f"{name} is given twice", where="--results", hint="Give every method its own name"
            )
    if not names:
        raise UsageError(
            "nothing to compare", where="--compare", hint="Name a method or --results NAME=FOLDER"
        )
    external = [
        ExternalResults(name, folder / subfolder, keys, template).method
        for name, folder, template in given
    ]
    return [*methods, *external]


def plan_tracks(request: EvalSettings) -> EvaluationPlan:
    """Plan a comparison on tracks: single shots against several ones, for each width.

    Raises:
        UsageError: Methods of different input sizes, or none; groups by width.
        WeightsError: Weights are missing or altered.

    """
    check_properties(request.groups, request.inputs)
    if "width" in request.groups:
        raise UsageError(
            "the faces of tracks are evaluated by width anyway",
            where="--groups", hint="Choose the widths by --widths",
        )  # fmt: skip
    names = request.methods
    if names is None:
        names = (default_weights(request.device).name,)
    restorers, lr_size = open_restorers(names, request.scale, request.device)
    if not restorers:
        raise UsageError("nothing to compare", where="--compare", hint="Name a method")
    by_restorer = [methods_for_tracks(one, request.burst) for one in restorers]
    found = [pair for own in by_restorer for pair in own]
    methods = [method for _, method in found]
    families = [[kind.name for kind, _ in own] for own in by_restorer]
    most = max(request.burst)
    shown = [method for kind, method in found if kind.shots in (1, most)]

    def sections(_: FaceSet, sprites: Sequence[Sprite]) -> list[Section]:
        return [
            Section(scene.name, methods, scene.samples, shown, _drawn(most), families=families)
            for scene in scenes(request.widths, most, lr_size, sprites)
        ]

    return EvaluationPlan(
        lr_size, True, sections,
        {
            "tracks": describe_tracks(most),
            "reference": "the first shot alone, restored by the same weights",
            "throughput": "not measured on tracks",
        },
        {
            "shots": list(request.burst),
            "sections": [
                {"faces": one.name, "kind": one.kind, "width": one.width}
                for one in scenes(request.widths, most, lr_size, ())
            ],
        },
        [FaceRegionMetric()], {kind.name: kind for kind, _ in found},
    )  # fmt: skip


def _drawn(shots: int) -> dict[str, Draw]:
    """Return what the contact sheet shows of a track."""
    if shots == 1:
        return {"shot": _input}
    return {"first shot": _input, "all shots": draw_shots}


def draw_shots(sample: EvaluationSample) -> NDArray[np.uint8]:
    """Return all shots of a track in one square."""
    shots = sample.inputs
    side = int(np.ceil(np.sqrt(len(shots))))
    cell = TEMPLATE_SIZE // side
    square = np.full((TEMPLATE_SIZE, TEMPLATE_SIZE, 3), 255, np.uint8)
    for number, shot in enumerate(shots):
        top, left = (cell * place for place in divmod(number, side))
        small = cv2.resize(shot, (cell - 1, cell - 1), interpolation=cv2.INTER_AREA)
        square[top : top + cell - 1, left : left + cell - 1] = small
    return square
