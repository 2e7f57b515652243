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
from jdsr_cli.evidence.provenance import picture_metadata, video_metadata
from jdsr_cli.evidence.record import FaceRecord, RecordWriter, Status, round_seconds
from jdsr_cli.evidence.table import TableWriter, table_row

__all__ = [
    "FaceRecord",
    "FileMark",
    "Label",
    "Manifest",
    "RecordWriter",
    "Status",
    "TableWriter",
    "describe_device",
    "mark",
    "package_versions",
    "picture_metadata",
    "round_seconds",
    "sha256_file",
    "table_row",
    "video_metadata",
]
