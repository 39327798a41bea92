"""Folders of any size: answers kept in a journal as they come, tables and a report written from it."""

from ._journal import Journal, Row
from ._report import check_report, pictured, write_report, write_report_folder
from ._scanner import scan
from ._tables import check_table, write_table

__all__ = [
    "Journal",
    "Row",
    "check_report",
    "check_table",
    "pictured",
    "scan",
    "write_report",
    "write_report_folder",
    "write_table",
]
