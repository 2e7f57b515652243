"""What makes a run that was killed go on: a journal of finished segments, and their files."""

from jdsr_cli.restoration.journal.journal import Journal, Segment
from jdsr_cli.restoration.journal.request import Request
from jdsr_cli.restoration.journal.snapshot import Snapshot
from jdsr_cli.restoration.journal.workplace import Workplace

__all__ = ["Journal", "Request", "Segment", "Snapshot", "Workplace"]
