"""What a run leaves behind as proof: face records, the manifest, the label on the picture."""

from jdsr_cli.evidence.label import Label
from jdsr_cli.evidence.manifest import (
    FileMark,
    Manifest,
    describe_device,
    mark,
    package_versions,
    sha256_file,
)
from jdsr_cli.evidence.overlay import FaceMark, draw_faces
from jdsr_cli.evidence.provenance import picture_metadata, video_metadata
from jdsr_cli.evidence.record import FaceRecord, Status, round_seconds
from jdsr_cli.evidence.table import table_header, table_row
from jdsr_cli.evidence.track_record import TrackRecord

__all__ = [
    "FaceMark",
    "FaceRecord",
    "FileMark",
    "Label",
    "Manifest",
    "Status",
    "TrackRecord",
    "describe_device",
    "draw_faces",
    "mark",
    "package_versions",
    "picture_metadata",
    "round_seconds",
    "sha256_file",
    "table_header",
    "table_row",
    "video_metadata",
]
