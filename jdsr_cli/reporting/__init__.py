"""The HTML report of a result, and the page that lists the results of a folder.

Everything in a report comes from the folder of the result: `manifest.json`, `tracks.jsonl`,
`faces.jsonl` and the pictures that they name. They are treated as untrusted: values of the wrong
type count as absent, and pictures are read only inside of the folder.
"""

from jdsr_cli.evidence import REPORT
from jdsr_cli.reporting.api import ReportResult, ReportSummary, report
from jdsr_cli.reporting.index import INDEX, list_results, update_index
from jdsr_cli.reporting.page import write_report

__all__ = [
    "INDEX",
    "REPORT",
    "ReportResult",
    "ReportSummary",
    "list_results",
    "report",
    "update_index",
    "write_report",
]
