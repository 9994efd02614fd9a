"""Personal data and secrets: a table of detectors, compiled into one pass over the text of a dataset."""

from __future__ import annotations

from jiebang.detectors.catalogue import CLASSES, DETECTORS
from jiebang.detectors.definition import Detector, FindClass, Kind

__all__ = ["CLASSES", "DETECTORS", "Detector", "FindClass", "Kind", "compile_detectors"]


def compile_detectors() -> None:
    """Compile what a scan needs, so that a process that is forked from this one has it already."""
    from jiebang.detectors import scanning

    scanning.compile_all()
