"""Options of `jdsr eval`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from jdsr_cli.errors import UsageError
from jdsr_cli.settings.detection import AUTO, Device
from jdsr_cli.settings.options import Option, Settings, declared
from jdsr_cli.settings.restoration import MAX_FUSED_SHOTS, output_option

EVALUATION_SCALES = (1, 2, 4, 8)
"""Factors by which a face of 128, 64, 32 or 16 pixels becomes one of 128."""
FaceTemplate = Literal["jdsr", "ffhq"]
"""Alignment of faces in pictures: that of jdsr, or that of FFHQ (see `faces.ffhq`)."""
PICTURE_SIZES = (128, 256, 512, 1024)
"""Sides in pixels of the pictures that are exchanged with other tools."""
VIDEO_OPTIONS = ("data", "video", "faces", "out", "identity", "landmarks", "device")
"""Fields of the options that apply to restored videos."""
LEAST_WIDTH, MAX_WIDTH = 8, 128
"""Limits of the width of a face on the sensor, in pixels."""


def parse_list(given: str | tuple[str, ...] | list[str]) -> tuple[str, ...]:
    """Split text at commas, and drop empty parts."""
    parts = given.split(",") if isinstance(given, str) else given
    return tuple(name for name in map(str.strip, parts) if name)


def parse_named_folder(given: str | tuple[str, Path]) -> tuple[str, Path]:
    """Read NAME=DIR."""
    name, folder = given.split("=", 1) if isinstance(given, str) else given
    if not (name.strip() and str(folder)):
        raise ValueError(given)
    return name.strip(), Path(folder)


def _named_paths(text: str, metavar: str, example: str) -> Option:
    """Return an option that takes paths with names, repeatedly."""
    return Option(
        text, metavar=metavar, parse=parse_named_folder, repeated=True,
        form=f"{metavar}, such as other={example}",
    )  # fmt: skip


def parse_counts(given: str | Sequence[int]) -> tuple[int, ...]:
    """Read numbers of shots; return them in ascending order."""
    return _parse_numbers(given, 1, MAX_FUSED_SHOTS)


def parse_widths(given: str | Sequence[int]) -> tuple[int, ...]:
    """Read widths in pixels; return them in ascending order."""
    return _parse_numbers(given, LEAST_WIDTH, MAX_WIDTH)


def _parse_numbers(given: str | Sequence[int], low: int, high: int) -> tuple[int, ...]:
    if isinstance(given, str):
        given = [int(part) for part in parse_list(given)] or [low - 1]
    whole = all(isinstance(one, int) and not isinstance(one, bool) for one in given)
    if not whole or any(not low <= one <= high for one in given):
        raise ValueError(given)
    return tuple(sorted(set(given)))


@dataclass(frozen=True)
class EvalSettings(Settings):
    """Options of `jdsr eval`."""

    data: Annotated[
        Path,
        Option(
            "Faces: an official CelebA folder, a folder of Helen, archives of aligned faces, a "
            "folder of pictures, or prepared faces. With --video the reference: a video, or a "
            "folder of numbered frames.",
            metavar="TAR|DIR|VIDEO",
        ),
    ]
    methods: Annotated[
        tuple[str, ...] | None,
        Option(
            "bicubic, lite, paper, or other weights by name or file. The first is the one that the "
            "others are compared with.",
            name="compare", metavar="NAME,...", parse=parse_list, form="names between commas",
            unset="bicubic,lite; with --burst the weights that restore uses",
        ),
    ] = None  # fmt: skip
    out: Annotated[Path, output_option()] = Path("jdsr-eval")
    scale: Annotated[
        int | None,
        Option(
            "Enlargement: 1, 2, 4 or 8.",
            choices=EVALUATION_SCALES, unset="that of the weights; 4 for lite and paper",
        ),
    ] = None  # fmt: skip
    results: Annotated[
        tuple[tuple[str, Path], ...],
        _named_paths(
            "Restored pictures of another tool, named like the faces, of 128, 256, 512 or 1024 "
            "pixels square; repeatable.",
            "NAME=DIR", "out/",
        ),
    ] = ()  # fmt: skip
    write_inputs: Annotated[
        Path | None,
        Option("Write the inputs here as PNG, for other tools.", metavar="DIR"),
    ] = None
    inputs_size: Annotated[
        int | None,
        Option(
            "Side to which the written inputs are enlarged.",
            unit="px", choices=PICTURE_SIZES,
            unset="that of the input; 512 with --inputs-template ffhq",
        ),
    ] = None  # fmt: skip
    inputs_template: Annotated[
        FaceTemplate,
        Option(
            "Alignment of the faces in the written inputs: that of the evaluated faces (jdsr), or "
            "that of FFHQ, which most other restorers expect (ffhq).",
        ),
    ] = "jdsr"
    ffhq_results: Annotated[
        tuple[tuple[str, Path], ...],
        _named_paths(
            "As --results, for pictures in the alignment of FFHQ (--inputs-template ffhq) of 256, "
            "512 or 1024 pixels square.",
            "NAME=DIR", "out/",
        ),
    ] = ()  # fmt: skip
    video: Annotated[
        tuple[tuple[str, Path], ...],
        _named_paths(
            "Compare restored videos of the reference: how steady faces are from frame to frame. A "
            "video or a folder of numbered frames, with a frame for each of the reference; "
            "repeatable.",
            "NAME=FILE", "restored.mp4",
        ),
    ] = ()  # fmt: skip
    faces: Annotated[
        Path | None,
        Option(
            "Faces of the reference with --video: faces.jsonl of its result.",
            metavar="FILE", unset="searched in every frame",
        ),
    ] = None  # fmt: skip
    degradation: Annotated[
        Literal["paper", "camera", "sharp"] | None,
        Option(
            "How inputs are made: bicubic reduction of masked faces (paper), a simulated camera "
            "and codec (camera), or bicubic reduction of bare faces, which should stay as they are "
            "(sharp).",
            unset="paper; camera with --burst",
        ),
    ] = None
    burst: Annotated[
        tuple[int, ...],
        Option(
            "Restore each face from several shots of a simulated track, from the first K of them, "
            "and compare that with the first shot alone.",
            metavar="K,...",
            parse=parse_counts,
            unset="single pictures",
            form="numbers of shots between commas, each 1 to 8",
        ),
    ] = ()
    widths: Annotated[
        tuple[int, ...],
        Option(
            "Widths of the faces on the sensor with --burst; each is evaluated separately.",
            metavar="PX,...",
            parse=parse_widths,
            unit="px",
            unset="16, 24, 36 and 56",
            form="widths between commas, each 8 to 128",
        ),
    ] = ()
    table: Annotated[
        Literal["2", "3", "generality"] | None,
        Option(
            "Print a table of the paper, with its figures beside those of the checkpoints: 2 "
            "(without single terms), 3 (denoising, then super-resolution) or generality (Helen).",
            unset="the methods of --compare",
        ),
    ] = None
    checkpoints: Annotated[
        Path | None,
        Option(
            "Weights for --table: DIR, DIR/weights and DIR/*/weights are searched for "
            "manifest.toml, whose entries name their recipes.",
            metavar="DIR",
        ),
    ] = None
    masks: Annotated[
        Path | None,
        Option("Mask templates.", metavar="DIR", unset="masks drawn by jdsr"),
    ] = None
    split: Annotated[
        str | None,
        Option("train, val or test.", unset="test where the data has one, otherwise all faces"),
    ] = None
    sources: Annotated[
        tuple[str, ...],
        Option(
            "Use the faces that come from these sources: names in the column source of faces.csv "
            "beside aligned faces.",
            metavar="NAME,...", parse=parse_list, form="names between commas", unset="all faces",
        ),
    ] = ()  # fmt: skip
    limit: Annotated[
        int | None, Option("Use this many evenly spaced faces.", low=1, unset="all faces")
    ] = None
    lpips: Annotated[
        str | None,
        Option(
            "Measure LPIPS with torchvision's alexnet, vgg16 or squeezenet1_1 state dict ('caffe' "
            "in its name: BGR 0-255), or with AlexNet, downloaded.",
            metavar="FILE|download",
        ),
    ] = None
    lpips_heads: Annotated[
        Path | None, Option("Linear layers of LPIPS.", metavar="FILE", unset="the published ones")
    ] = None
    identity: Annotated[
        Path | None,
        Option(
            "Measure identity with a network of 112x112 input as for ArcFace (ONNX, or "
            "TorchScript, which can read and write your files: only from a source you trust): "
            "cosine "
            "with the true face, share of faces whose identity moves away from it, and rank-1 "
            "identification if the data names the people. With --video: distance between the "
            "identities of neighbouring frames.",
            metavar="FILE",
        ),
    ] = None
    landmarks: Annotated[
        Path | None,
        Option(
            "Measure the landmark error with an ONNX network (112x112 input, 68 points). With "
            "--video: how unevenly landmarks move.",
            metavar="FILE",
        ),
    ] = None
    groups: Annotated[
        tuple[str, ...],
        Option(
            "Report thirds of the faces separately as well: lightness (of the skin in the "
            "picture), width (on the sensor of the simulated camera).",
            metavar="NAME,...", parse=parse_list, form="names between commas",
        ),
    ] = ()  # fmt: skip
    cache: Annotated[
        Path | None,
        Option("Folder of decoded and prepared faces.", metavar="DIR", unset="OUT/cache"),
    ] = None
    device: Device = AUTO
    batch: Annotated[int, Option("Faces in one batch.", unit="faces", low=1)] = 32

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.video:
            self._check_video()
        elif self.faces is not None:
            raise UsageError(
                "the faces of a video are given", where="--faces", hint="Give --video as well"
            )
        self._check_table()
        self._check_written_inputs()
        self._check_tracks()

    def _check_written_inputs(self) -> None:
        if self.write_inputs is None:
            for option, given in (
                ("--inputs-size", self.inputs_size is not None),
                ("--inputs-template", self.inputs_template != "jdsr"),
            ):
                if given:
                    raise UsageError(
                        "no inputs are written", where=option, hint="Give --write-inputs as well"
                    )

    def _check_table(self) -> None:
        if self.table is None:
            if self.checkpoints is not None:
                raise UsageError(
                    "checkpoints are those of a table of the paper",
                    where="--checkpoints", hint="Give --table as well, or name them by --compare",
                )  # fmt: skip
            return
        if self.checkpoints is None:
            raise UsageError(
                "a table of the paper requires its checkpoints",
                where="--table", hint="Give --checkpoints DIR",
            )  # fmt: skip
        other = {
            "--compare": self.methods is not None, "--burst": self.burst, "--widths": self.widths,
            "--results": self.results,
            "--ffhq-results": self.ffhq_results, "--write-inputs": self.write_inputs is not None,
            f"--degradation {self.degradation}": self.degradation not in (None, "paper"),
        }  # fmt: skip
        given = [flag for flag, present in other.items() if present]
        if given:
            raise UsageError(
                f"the paper's tables have fixed methods and inputs, so that {given[0]} does not "
                "apply",
                where="--table", hint=f"Leave {' and '.join(given)} out",
            )  # fmt: skip

    def _check_tracks(self) -> None:
        if not self.burst:
            if self.widths:
                raise UsageError(
                    "faces of given widths are those of tracks",
                    where="--widths", hint="Give --burst as well, or --groups width",
                )  # fmt: skip
            return
        if self.inputs != "camera":
            raise UsageError(
                f"the shots of a track are those of a camera, not {self.degradation}",
                where="--burst", hint="Leave --degradation out",
            )  # fmt: skip
        if self.results or self.ffhq_results or self.write_inputs is not None:
            raise UsageError(
                "other tools are compared on single pictures",
                where="--burst", hint="Leave --results, --ffhq-results and --write-inputs out",
            )  # fmt: skip

    def _check_video(self) -> None:
        """Check that no option of other comparisons is given."""
        for one in declared(type(self)):
            if one.field not in VIDEO_OPTIONS and getattr(self, one.field) != one.default:
                raise UsageError(
                    "is for faces, and restored videos are compared (--video)",
                    where=one.flag, hint="Leave it out",
                )  # fmt: skip

    @property
    def inputs(self) -> Literal["paper", "camera", "sharp"]:
        """How inputs are made: `degradation`, or what applies where that is not given."""
        return self.degradation or ("camera" if self.burst else "paper")
