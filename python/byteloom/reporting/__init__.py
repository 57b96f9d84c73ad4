"""Reports of runs: from run folders to a page with figures, plots and samples.

Needs matplotlib, the extra ``plot``, but not torch: what a run left is read as files.
"""

from byteloom.reporting.figures import Figures
from byteloom.reporting.history import AXES, Axis, History
from byteloom.reporting.report import Report, write_report
from byteloom.reporting.run import Run

__all__ = ["AXES", "Axis", "Figures", "History", "Report", "Run", "write_report"]
