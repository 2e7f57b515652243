"""A generator in torch: passes of a constant size, one transfer to the device and one back."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from jdsr_cli.conventions import TEMPLATE_SIZE
from jdsr_cli.inference.backends import cpu_threads, enough_for_cpu
from jdsr_cli.inference.generator import Pictures
from jdsr_cli.weights import LoadedGenerator

PASS_SIZES = {"cpu": 4}
"""Faces in each pass of the network, by kind of device; elsewhere that of a batch.

Convolutions on a CPU add up in another order for another number of faces, which changes some
values by one grey level. Passes of four, padded if necessary, give the same bytes for every batch
size; on one core they are as fast as larger ones.
"""


class FusedGenerator(nn.Module):
    """A generator with conversion from and to uint8, as it is exported and recorded.

    Takes crops (B, side, side, 3) uint8; returns `Pictures` as tensors.
    """

    def __init__(self, network: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.network = network

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return images (B, 128, 128, 3), occlusion maps (B, 128, 128) and (B,) finite or not."""
        output = self.network(crops.permute(0, 3, 1, 2).float().div(255.0))
        restored, occlusion = output.restored.float(), output.occlusion.float()  # type: ignore[attr-defined]
        finite = _is_finite(restored) & _is_finite(occlusion)
        size = (TEMPLATE_SIZE, TEMPLATE_SIZE)
        maps = F.interpolate(
            occlusion.nan_to_num(0.0), size=size, mode="bilinear", align_corners=False
        )
        return _levels(restored).permute(0, 2, 3, 1), _levels(maps)[:, 0], finite


def _is_finite(values: Tensor) -> Tensor:
    return (values.abs() < torch.finfo(torch.float32).max).flatten(1).all(1)


def _levels(values: Tensor) -> Tensor:
    """Convert values in [0, 1] to grey levels, uint8, rounded."""
    return values.nan_to_num(0.0).clamp(0.0, 1.0).mul(255.0).round().to(torch.uint8)


class TorchGenerator:
    """A `GeneratorNetwork` in torch.

    On a CPU, where torch has one thread for each operation, passes run side by side instead: the
    number of threads of a convolution changes some values by one grey level, as `single_threads`
    says. On a CUDA device passes have a constant size and are recorded once as a CUDA graph, which
    saves the start of hundreds of small kernels; a device that cannot record it runs it without.

    Args:
        loaded: Network on its device.
        batch: Faces in each pass on a GPU.

    """

    backend = "torch"

    def __init__(self, loaded: LoadedGenerator, batch: int = 32) -> None:
        self._loaded = replace(loaded, network=fold_batch_normalisation(loaded.network))
        self._size = PASS_SIZES.get(loaded.device.type, batch)
        self._recorded: _RecordedPass | None = None
        self._can_record = loaded.device.type == "cuda"
        self.side = loaded.lr_size
        self.enough: int | None = enough_for_cpu() if loaded.device.type in PASS_SIZES else None
        self.entry, self.path, self.sha256 = loaded.entry, loaded.path, loaded.sha256
        self.precision = str(loaded.dtype).removeprefix("torch.")
        self.device = str(loaded.device)

    @torch.inference_mode()
    def restore(self, crops: NDArray[np.uint8], *, exact: bool = False) -> Pictures:
        """Restore crops (n, side, side, 3) RGB; see `GeneratorNetwork.restore`."""
        device = self._loaded.device
        stack = torch.from_numpy(crops)
        if device.type == "cuda":
            stack = stack.pin_memory()
        given = stack.to(device, non_blocking=True)
        constant = device.type in PASS_SIZES or self._can_record
        try:
            parts = _parts(given, self._size, padded=constant)
            if device.type == "cpu" and torch.get_num_threads() == 1 and cpu_threads() > 1:
                with ThreadPoolExecutor(cpu_threads()) as threads:
                    passes = list(threads.map(lambda part: self._pass(part, exact), parts))
            else:
                passes = [self._pass(part, exact) for part in parts]
        except torch.OutOfMemoryError as error:
            self._size = max(1, self._size // 2)
            self._recorded = None
            raise MemoryError(str(error)) from error
        images, occlusions, finite = (
            torch.cat(part)[: len(crops)].cpu().numpy() for part in zip(*passes, strict=True)
        )
        return Pictures(images, occlusions, finite)

    @torch.inference_mode()
    def _pass(self, crops: Tensor, exact: bool) -> tuple[Tensor, Tensor, Tensor]:
        if exact or not self._can_record:
            dtype = torch.float32 if exact else None
            return FusedGenerator(lambda lr: self._loaded(lr, dtype))(crops)  # type: ignore[no-any-return]
        if self._recorded is None or self._recorded.shape != crops.shape:
            try:
                self._recorded = _RecordedPass(FusedGenerator(self._loaded), crops)
            except torch.OutOfMemoryError:
                raise
            except RuntimeError:
                self._can_record = False
                return self._pass(crops, exact)
        return self._recorded(crops)


class _RecordedPass:
    """A pass for inputs of one shape, recorded as a CUDA graph."""

    def __init__(self, fused: FusedGenerator, crops: Tensor) -> None:
        self.shape = crops.shape
        self._given = crops.clone()
        side_stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side_stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side_stream):
            for _ in range(3):
                fused(self._given)
        torch.cuda.current_stream().wait_stream(side_stream)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._results = fused(self._given)

    def __call__(self, crops: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Run the pass."""
        self._given.copy_(crops)
        self._graph.replay()
        images, occlusions, finite = (result.clone() for result in self._results)
        return images, occlusions, finite


def fold_batch_normalisation(network: nn.Module) -> nn.Module:
    """Return the network with each batch normalisation folded into the convolution before it.

    The result is a copy if there is anything to fold. Only pairs inside an `nn.Sequential` are
    folded, where nothing can lie between them.
    """
    if not any(isinstance(module, nn.BatchNorm2d) for module in network.modules()):
        return network
    folded = copy.deepcopy(network)
    for module in folded.modules():
        if not isinstance(module, nn.Sequential):
            continue
        for first, (one, other) in enumerate(itertools.pairwise(module)):
            if isinstance(one, nn.Conv2d) and isinstance(other, nn.BatchNorm2d):
                module[first] = fuse_conv_bn_eval(one, other)
                module[first + 1] = nn.Identity()
    return folded


def _parts(given: Tensor, size: int, *, padded: bool) -> list[Tensor]:
    """Split a batch into parts of `size`, the last one padded with its last face if asked to."""
    missing = -len(given) % size
    if missing and padded:
        given = torch.cat([given, given[-1:].expand(missing, -1, -1, -1)])
    return [given[first : first + size] for first in range(0, len(given), size)]
