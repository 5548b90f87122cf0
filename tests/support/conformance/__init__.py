"""The conformance suite's frame: the checklist, the mark on a test that says which row it shows, and the report."""

from conformance.checklist import BY_ID, GROUPS, MISSING, PLANNED, ROWS, Row
from conformance.mark import requirement
from conformance.report import REPORT, outcomes, render, shown_by

__all__ = [
    "BY_ID",
    "GROUPS",
    "MISSING",
    "PLANNED",
    "REPORT",
    "ROWS",
    "Row",
    "outcomes",
    "render",
    "requirement",
    "shown_by",
]
