"""The data and pretrained weights of a run, read from the paths of its request."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from torch import Tensor, nn

from jdsr_cli.datasets.cropping import PrepareSettings
from jdsr_cli.datasets.face_set import FaceSet
from jdsr_cli.datasets.preparation import open_faces
from jdsr_cli.errors import WeightsCorruptError, WeightsError
from jdsr_cli.networks.lite import LiteGenerator, unfold_state
from jdsr_cli.progress import Progress
from jdsr_cli.weights import load_state
from jdsr_cli.weights.bases import BASE_PREFIXES
from jdsr_cli.weights.loading import load_base
from jdsr_cli.weights.state_dicts import difference
from jdsr_train.baselines.published import from_published, is_published
from jdsr_train.data.parsing_set import ParsingSet, open_parsing_set
from jdsr_train.data.part_labellers import label_source
from jdsr_train.frozen_features import FeatureExtractor, load_features
from jdsr_train.recipe import GeneratorRecipe
from jdsr_train.request import OWN_PARSER, TrainRequest, stage_weights_path

if TYPE_CHECKING:
    from lightning_fabric import Fabric

RERUN_HINT = "Run its stage again with this recipe, into the same --out"
IDENTITY_HINT = "Give the identity.safetensors of a run with the same [identity] as this recipe"

T = TypeVar("T")


class TrainingResources(Protocol):
    """Source of the data and pretrained weights of a run; synthetic in a dry run."""

    def faces(self, split: str) -> FaceSet:
        """Return the aligned faces of a split, `train` or `val`."""

    def parsing_set(self, split: str) -> ParsingSet:
        """Return the labelled faces of a split for the parser stage."""

    def features(self, half: bool) -> FeatureExtractor | None:
        """Return the frozen feature network, in bfloat16 if `half`; None if there is none."""

    def load_identity(self, network: nn.Module) -> None:
        """Load the pretrained weights of the identity network."""

    def load_denoiser(self, network: nn.Module) -> None:
        """Load the weights of the denoise stage."""

    def load_initial(self, generator: nn.Module) -> None:
        """Load what fits of the weights of `--init`, also of published ones of SRFBN and DRN."""

    def load_base(self, generator: nn.Module, recipe: GeneratorRecipe) -> None:
        """Load the weights of the generator's frozen part."""


class FileResources:
    """Reads everything from the files of a request, and caches prepared faces.

    Args:
        request: The request.
        fabric: The processes of the run; the first one prepares the faces for all.
        progress: Receives reports.

    """

    def __init__(self, request: TrainRequest, fabric: Fabric, progress: Progress) -> None:
        self.request, self.fabric, self.progress = request, fabric, progress
        self._faces: dict[str, FaceSet] = {}
        self._labelled: dict[str, ParsingSet] = {}

    def faces(self, split: str) -> FaceSet:
        """Return the aligned faces of a split, prepared at the first call."""
        if split not in self._faces:
            deadline, progress = self.request.deadline, self.progress
            if deadline is not None:
                progress = deadline.limit(progress, "the faces were prepared")
            self._faces[split] = self._first_process_first(
                lambda: open_faces(
                    self.request.data, split, self.request.cache_folder, self.prepare_settings,
                    progress,
                )
            )  # fmt: skip
        return self._faces[split]

    @property
    def prepare_settings(self) -> PrepareSettings:
        """How the faces are prepared."""
        request, labels = self.request, self.request.labels
        if labels == OWN_PARSER:
            parser = stage_weights_path(request.run.out, "parser", request.recipe)
            labels = str(parser) if parser.exists() and request.recipe.loss.prior else "none"
        return PrepareSettings(
            crop=request.recipe.data.crop,
            landmarks=request.landmarks,
            labels=label_source(labels),
            workers=request.run.workers,
        )

    def parsing_set(self, split: str) -> ParsingSet:
        """Return the labelled faces of `--parsing`."""
        source = self.request.parsing
        assert source is not None
        if split not in self._labelled:
            self._labelled[split] = self._first_process_first(
                lambda: open_parsing_set(source, split, self.request.cache_folder, self.progress)
            )
        return self._labelled[split]

    def features(self, half: bool) -> FeatureExtractor | None:
        """Return the network of `--features`; by default torchvision's VGG-16 in its cache."""
        return load_features(self.request.features, half=half)

    def load_identity(self, network: nn.Module) -> None:
        """Load the weights of `--identity`, or those of the identity stage of this run."""
        network.load_state_dict(identity_state(network, self.request))

    def load_denoiser(self, network: nn.Module) -> None:
        """Load the weights of the denoise stage of this run."""
        network.load_state_dict(stage_state(network, self._weights_path("denoise")))

    def load_initial(self, generator: nn.Module) -> None:
        """Load the weights of `--init`, as far as they fit."""
        matching = initial_tensors(generator, self.request)
        generator.load_state_dict(matching, strict=False)
        count = len(generator.state_dict())
        self.progress.note(f"started from given weights: {len(matching)} of {count} tensors fit")

    def load_base(self, generator: nn.Module, recipe: GeneratorRecipe) -> None:
        """Load the weights that the recipe names into the generator's frozen part.

        Raises:
            WeightsError: They are missing or damaged, or do not fit.

        """
        assert recipe.base is not None
        _, tensors = load_base(recipe.base, recipe.network)
        prefix = BASE_PREFIXES[recipe.network]
        frozen = {key: v for key, v in generator.state_dict().items() if key.startswith(prefix)}
        fault = difference(frozen, tensors)
        if fault is not None:
            raise WeightsError(
                f"the weights {recipe.base!r} do not fit the network {recipe.network!r}: {fault}",
                where="[generator] base",
                hint="Name weights of the same shape, or change [generator] arguments",
            )
        generator.load_state_dict(tensors, strict=False)

    def _weights_path(self, stage: str) -> Path:
        return stage_weights_path(self.request.run.out, stage, self.request.recipe)

    def _first_process_first(self, read: Callable[[], T]) -> T:
        """Let the first process fill the cache before the others read it."""
        if not self.fabric.is_global_zero:
            self.fabric.barrier()
        result = read()
        if self.fabric.is_global_zero:
            self.fabric.barrier()
        return result


def identity_path(request: TrainRequest) -> Path:
    """Return the file of the identity network: `--identity`, or that of the run's own stage."""
    return request.identity or stage_weights_path(request.run.out, "identity", request.recipe)


def initial_tensors(network: nn.Module, request: TrainRequest) -> dict[str, Tensor]:
    """Read the tensors of `--init` whose names and shapes match those of a network.

    Args:
        network: The network, with or without weights.
        request: A request with `init`: weights of this package, or published ones of SRFBN or DRN.

    Raises:
        UsageError: There are no such weights.
        WeightsError: They cannot be read, or no tensor matches.

    """
    assert request.init is not None
    weights, name = load_state(request.init), request.recipe.generator.network
    if is_published(name, weights):
        weights = from_published(name, weights)
    matching = matching_tensors(network, weights)
    if not matching:
        raise WeightsError(
            f"no tensor of {request.init} fits the network {name!r}",
            where="--init",
            hint="Give weights of this network",
        )
    return matching


def matching_tensors(network: nn.Module, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors whose names and shapes match those of a network, as float32."""
    own = network.state_dict()
    if isinstance(network, LiteGenerator) and _is_folded(network, weights):
        weights = unfold_state(weights, network)
    return {
        name: value.float()
        for name, value in weights.items()
        if name in own and own[name].shape == value.shape
    }


def identity_state(network: nn.Module, request: TrainRequest) -> dict[str, Tensor]:
    """Read the identity network of `--identity`, or that of the run's own stage.

    Args:
        network: An identity network of the recipe, with or without weights.
        request: The request.

    Raises:
        WeightsError: It is damaged, or belongs to another network.

    """
    hint = RERUN_HINT if request.identity is None else IDENTITY_HINT
    return stage_state(network, identity_path(request), hint)


def stage_state(network: nn.Module, path: Path, hint: str = RERUN_HINT) -> dict[str, Tensor]:
    """Read the weights that an earlier stage wrote.

    Args:
        network: The network that they must fit, with or without weights.
        path: The file.
        hint: What to do if they are not usable.

    Raises:
        WeightsError: They are damaged, or belong to another network.

    """
    try:
        state = load_state(path)
    except WeightsError as error:
        raise WeightsCorruptError(
            "not the weights that its stage wrote", where=path, hint=hint
        ) from error
    fault = difference(network.state_dict(), state)
    if fault is not None:
        raise WeightsCorruptError(f"the weights of another network: {fault}", where=path, hint=hint)
    return state


def _is_folded(network: LiteGenerator, weights: dict[str, Tensor]) -> bool:
    """Return whether the weights are those of a `lite` for a smaller input."""
    stem = weights.get("stem.weight")
    return network.fold > 1 and stem is not None and stem.shape[1] < 3 * network.fold**2
