"""How good a model is: bits per byte, multiple choice, written answers, programs in a sandbox, our own exact suites.

`evaluate(llm, ["core", "gsm8k", "story.txt"], data=folder)` gives a `Report`; the pieces are in the modules.
"""

from __future__ import annotations

from pynanochat.eval.bits_per_byte import BitsPerByte, bits_per_byte
from pynanochat.eval.catalogue import GROUPS, NAMES, Catalogue
from pynanochat.eval.continuations import Continuation, Judged, judge
from pynanochat.eval.data_folder import DataFolder
from pynanochat.eval.evaluation import evaluate, scores
from pynanochat.eval.report import Facts, Report, comparison, differences
from pynanochat.eval.score import Difference, Score, difference

__all__ = ["GROUPS", "NAMES", "BitsPerByte", "Catalogue", "Continuation", "DataFolder", "Difference", "Facts", "Judged",
           "Report", "Score", "bits_per_byte", "comparison", "difference", "differences", "evaluate", "judge", "scores"]
