"""Which files of a dataset annotate its images, so that they are not taken for tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jiebang.gates.content import FileKind
from jiebang.structure import yolo
from jiebang.structure.coco import is_coco
from jiebang.structure.names import is_image, stem

if TYPE_CHECKING:
    from jiebang.dataset.opening import DataFile


@dataclass(frozen=True)
class AnnotationFiles:
    """The files that annotate: COCO, the labels of YOLO, and what names the classes of these."""

    coco: tuple[DataFile, ...]
    labels: tuple[DataFile, ...]
    names: tuple[DataFile, ...]

    @property
    def paths(self) -> frozenset[str]:
        """The paths of all of them."""
        return frozenset(file.path for file in (*self.coco, *self.labels, *self.names))


def annotation_files(files: Sequence[DataFile]) -> AnnotationFiles:
    """What annotates among files: known by its content, labels also by the image that they lie beside."""
    text = (FileKind.CSV, FileKind.OTHER)
    coco = [file for file in files if file.path.lower().endswith(".json") and is_coco(file.location)]
    stems = frozenset(stem(file.path) for file in files if is_image(file.path))
    labels = [
        file for file in files if stems and file.kind in text and yolo.is_label_file(file.path, file.location, stems)
    ]
    named = (*yolo.NAMES, yolo.CLASSES)
    names = [file for file in files if labels and file.kind in text and file.path.rpartition("/")[2].lower() in named]
    return AnnotationFiles(tuple(coco), tuple(labels), tuple(names))
