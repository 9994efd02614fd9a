"""A second reading of the measures in plain Python: bytes in, integers out, clear rather than fast.

Nothing here imports the engine. Where both give the same integers, two independent readings of the rules agree.
"""

from tests.naive.dataset import NaiveTable, read_dataset
from tests.naive.measures import NaiveResult, judge

__all__ = ["NaiveResult", "NaiveTable", "judge", "read_dataset"]
