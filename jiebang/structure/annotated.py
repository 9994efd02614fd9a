"""The images of a package and what annotates them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from jiebang.structure import yolo
from jiebang.structure.annotation_files import annotation_files
from jiebang.structure.boxes import Annotations
from jiebang.structure.coco import read_coco
from jiebang.structure.descriptors import folder_of, inside
from jiebang.structure.images import Undecodable, image_size
from jiebang.structure.names import is_image, stem
from jiebang.structure.reading import read_text

if TYPE_CHECKING:
    from jiebang.dataset.opening import DataFile


MOST_NAMES = 100
"""The most files that name classes that are read."""


class Annotated:
    """Images and annotations among files. Of an image its header alone is read here, once."""

    def __init__(self, files: Sequence[DataFile]) -> None:
        self.images = tuple(file for file in files if is_image(file.path))
        self.files = annotation_files(files)
        self._locations = {file.path: file.location for file in self.images}
        self._by_stem: dict[str, str] = {}
        self._by_name: dict[str, str | None] = {}
        self._sizes: dict[str, tuple[int, int] | None] = {}
        for file in self.images:
            self._by_stem.setdefault(stem(file.path), file.path)
            name = file.path.rpartition("/")[2]
            # A name that two images share means neither.
            self._by_name[name] = None if name in self._by_name else file.path

    @property
    def paths(self) -> frozenset[str]:
        """The paths of the images and of what annotates them."""
        return self.files.paths | self._locations.keys()

    def annotations(self) -> Iterator[Annotations]:
        """The annotations, file by file."""
        for file in self.files.coco:
            # Without any image these are annotations alone, of images that lie elsewhere.
            sizes = partial(self._size_named, folder_of(file.path)) if self.images else None
            yield read_coco(file.path, file.location, sizes, partial(self._path_named, folder_of(file.path)))
        names, classes = self._texts(yolo.NAMES), self._texts((yolo.CLASSES,))
        for file in self.files.labels:
            paths = (self._by_stem.get(place) for place in yolo.image_stems(file.path))
            image = next((path for path in paths if path is not None), None)
            count = yolo.class_count(yolo.nearest(file.path, names), yolo.nearest(file.path, classes))
            size = None if image is None else self._size(image)
            yield yolo.read_labels(file.path, file.location, image, size, count)

    def _size_named(self, folder: str, name: str) -> tuple[int, int] | None:
        place = self._named(folder, name)
        return None if place is None else self._size(place)

    def _path_named(self, folder: str, name: str) -> str:
        """The path of the image that a name means; of one that is not there, the name without what says nothing."""
        return self._named(folder, name) or inside(folder, name) or name

    def _named(self, folder: str, name: str) -> str | None:
        """The image that a name in a file of a folder means: from there, from the top, by its last part."""
        places = (inside(folder, name), inside("", name), self._by_name.get(name.rpartition("/")[2]))
        return next((place for place in places if place is not None and place in self._locations), None)

    def _size(self, path: str) -> tuple[int, int] | None:
        if path not in self._sizes:
            try:
                self._sizes[path] = image_size(self._locations[path])
            except Undecodable:
                self._sizes[path] = None
        return self._sizes[path]

    def _texts(self, named: Sequence[str]) -> dict[str, str]:
        """The texts of files of these names by their folders."""
        chosen = [file for file in self.files.names if file.path.rpartition("/")[2].lower() in named]
        return {folder_of(file.path): read_text(file.location) for file in reversed(chosen[:MOST_NAMES])}
