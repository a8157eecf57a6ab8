from .page import render_report as render_report
from .write import write_evaluation as write_evaluation
