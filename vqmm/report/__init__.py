"""The evaluation as a page to look at."""

from vqmm.report.page import render_report
from vqmm.report.write import write_evaluation

__all__ = ["render_report", "write_evaluation"]
