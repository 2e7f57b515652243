"""Evidence of a run: face records, the manifest, and the label on pictures."""

from jdsr_cli.evidence.drawing import FaceOverlay, Label, draw_faces
from jdsr_cli.evidence.manifest import (
    MANIFEST,
    REPORT,
    SCHEMA_VERSION,
    FileDigest,
    Manifest,
    describe_device,
    describe_media,
    digest_file,
    package_versions,
    picture_metadata,
    read_manifest,
    sha256_file,
    video_metadata,
)
from jdsr_cli.evidence.records import (
    FaceRecord,
    Status,
    TrackRecord,
    round_seconds,
    table_header,
    table_row,
)
from jdsr_cli.evidence.sums import SUMS, write_sums

__all__ = [
    "MANIFEST",
    "REPORT",
    "SCHEMA_VERSION",
    "SUMS",
    "FaceOverlay",
    "FaceRecord",
    "FileDigest",
    "Label",
    "Manifest",
    "Status",
    "TrackRecord",
    "describe_device",
    "describe_media",
    "digest_file",
    "draw_faces",
    "package_versions",
    "picture_metadata",
    "read_manifest",
    "round_seconds",
    "sha256_file",
    "table_header",
    "table_row",
    "video_metadata",
    "write_sums",
]
