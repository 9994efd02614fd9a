"""The names by which files that describe a dataset are known from files that hold its data."""

from __future__ import annotations

import re
import unicodedata

CROISSANT = "croissant.json"
DATA_PACKAGE = "datapackage.json"
MANIFEST = "manifest.json"
DECLARATION = "declare.yaml"

_DESCRIPTORS = (CROISSANT, DATA_PACKAGE, MANIFEST, DECLARATION)
_IMAGE_ENDINGS = ("jpg", "jpeg", "png", "gif", "bmp", "webp", "tif", "tiff")
_TEXT_ENDINGS = ("", "md", "markdown", "txt", "text", "rst", "adoc")

_DOCUMENT = re.compile(
    r"(readme|data[-_ ]?sheet|data(set)?[-_ ]?card|documentation"
    r"|(数据集?)?(使用)?说明(文档|文件|书)?|自述(文件)?|数据集?(卡片|文档))"
    r"([-_. ].*)?",
    re.IGNORECASE,
)
_LICENCE = re.compile(r"(licen[cs]es?|copying|unlicense|许可(证|协议|文件)?|版权(声明)?)([-_. ].*)?", re.IGNORECASE)
_GRANT = re.compile(r"(grant|授权(书|函)?|authori[sz]ation)([-_. ].*)?", re.IGNORECASE)
_REFERENCE = re.compile(r"(?:.*/)?LICENSES/(LicenseRef-[A-Za-z0-9.-]+)\.(?:txt|md)")
_CHECKSUMS = re.compile(
    r"(sha-?256(sum)?s?|check-?sums?([-_.]?sha-?256)?|manifest-sha256|.+\.sha256)(\.txt)?", re.IGNORECASE
)

RECORD_FIELDS = (
    "id", "rid", "data_content", "annotation", "original_time", "last_modified_time", "version", "license", "source",
    "source_details", "generated_data_indicator",
)  # fmt: skip
"""The fields that TC609 gives a record."""

GRANT = "LicenseRef-grant"
"""What stands for a grant whose file gives it no id of its own."""


def _name(path: str) -> tuple[str, str]:
    """The last part of a path, and its ending without the dot, in small letters."""
    name = unicodedata.normalize("NFC", path.rpartition("/")[2])
    return name, name.rpartition(".")[2].lower() if "." in name else ""


def is_document(path: str) -> bool:
    """Whether a file is named as a document: README, datasheet, 说明文档."""
    name, ending = _name(path)
    return ending in _TEXT_ENDINGS and _DOCUMENT.fullmatch(name) is not None


def is_licence(path: str) -> bool:
    """Whether a file is named as the text of a licence; `LICENSE-2.0` is one too."""
    name, ending = _name(path)
    return (ending in _TEXT_ENDINGS or ending.isdigit()) and _LICENCE.fullmatch(name) is not None


def grant_id(path: str) -> str | None:
    """The id of the grant that a file of this path holds: `LICENSES/LicenseRef-x.txt`, `GRANT.md`, `授权书.txt`."""
    reference = _REFERENCE.fullmatch(path)
    if reference:
        return reference[1]
    name, ending = _name(path)
    return GRANT if ending in _TEXT_ENDINGS and _GRANT.fullmatch(name) else None


def is_checksums(path: str) -> bool:
    """Whether a file is named as a list of digests as `sha256sum` prints them."""
    return _CHECKSUMS.fullmatch(_name(path)[0]) is not None


def is_descriptor(path: str, name: str) -> bool:
    """Whether a file is the descriptor of this name, in any folder."""
    return path.rpartition("/")[2].lower() == name


def stem(path: str) -> str:
    """A path without the ending of its last part."""
    folder, slash, name = path.rpartition("/")
    return folder + slash + (name.rpartition(".")[0] or name)


def is_image(path: str) -> bool:
    """Whether a file is named as an image."""
    return _name(path)[1] in _IMAGE_ENDINGS


def describes(path: str) -> bool:
    """Whether a file of this path describes a dataset and holds no record of it."""
    return (
        is_document(path)
        or is_licence(path)
        or grant_id(path) is not None
        or is_checksums(path)
        or path.rpartition("/")[2].lower() in _DESCRIPTORS
    )
