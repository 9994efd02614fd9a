"""What only a whole table can tell: tracks of places, health data and biometrics of persons."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from jiebang.dataset.tables import Column, ColumnType, Table
from jiebang.detectors.definition import FindClass, Kind, names, plain_name
from jiebang.detectors.lists import words

if TYPE_CHECKING:  # the board lists what is looked for, and has no engine
    import duckdb

CLASSES = (
    FindClass(
        "location_track",
        Kind.SENSITIVE,
        "track of a person's places",
        "行踪轨迹",
        "Take out who or what was there, or give each place another number, or make places and times coarse.",
    ),
    FindClass(
        "health",
        Kind.SENSITIVE,
        "health data of a person",
        "医疗健康信息",
        "Take out what names the patient, or put numbers drawn by lot for it.",
    ),
    FindClass("biometric", Kind.SENSITIVE, "biometric data", "生物识别信息", "Take the biometric columns out."),
)

RULES = {
    "location_track": "columns of latitudes, longitudes and times beside one that names a person or device, by their"
    " names; the records of who was at two places and two times at least",
    "health": "a column whose name is of the lexicon of health, or whose cells are ICD-10 codes, beside a column that"
    " names a person or personal data in the record",
    "biometric": "a column whose name says that it holds data of face, fingerprint, iris, voice, gait or DNA",
}

_LATITUDE, _LONGITUDE, _TIME = (
    names(*words(name)) for name in ("latitude_columns", "longitude_columns", "time_columns")
)
_MEDICAL = names(*words("medical_columns"))


def _ending(listed: Sequence[str], latin: str, chinese: str, *, needed: bool) -> re.Pattern[str]:
    """Names that end in a word, behind which one of some words may stand; a Latin one must, if it is `needed`."""
    plain = "|".join(word for word in listed if word.isascii())
    other = "|".join(word for word in listed if not word.isascii())
    return re.compile(rf"(?:(?<![a-z])(?:{plain})(?: (?:{latin})){'+' if needed else '?'}|(?:{other})(?:{chinese})?)$")


_PERSON = _ending(
    words("person_columns"),
    "id|no|num|number|name|key|code|hash",
    "编号|序号|号码|号|id|姓名|名称|名|标识",
    needed=False,
)
_BIOMETRIC = _ending(
    words("biometric_columns"),
    "id|feature|features|embedding|vector|template|encoding|data|hash|image|img|photo",
    "特征|特征值|特征向量|图像|图片|照片|数据|模板|编码|id",
    needed=True,
)
_CODE = "[A-TV-Z][0-9][0-9A-Z](\\.[0-9A-Z]{1,4})?"


def names_person(column: str) -> bool:
    """Whether the name of a column tells that it names a person or a device of one."""
    return _PERSON.search(plain_name(column)) is not None


def sensitive_records(
    connection: duckdb.DuckDBPyConnection, table: Table, finds: str, personal: Sequence[int]
) -> Iterator[tuple[str, int, str]]:
    """For each rule that a table meets: the class, the index of the column, and SQL for the records (f, r).

    `finds` is the relation of what was found in its cells, `personal` the numbers of the classes that are of persons.
    """
    present = [column for column in table.columns if column.present]
    called = {column.index: plain_name(column.name) for column in present}
    people = [column for column in present if names_person(column.name)]
    yield from _tracks(table, present, called, people)
    listed = ", ".join(map(str, personal))
    someone = " OR ".join(
        [
            *(f"s{column.index} IS NOT NULL" for column in people),
            f"(f, r) IN (SELECT f, r FROM {finds} WHERE d IN ({listed}))",
        ]
    )
    for column in present:
        if _MEDICAL.search(called[column.index]) or (people and _holds_codes(connection, table, column)):
            yield (
                "health",
                column.index,
                f"SELECT f, r FROM {table.relation} WHERE s{column.index} IS NOT NULL AND ({someone})",
            )
        elif _BIOMETRIC.search(called[column.index]):
            yield "biometric", column.index, f"SELECT f, r FROM {table.relation} WHERE s{column.index} IS NOT NULL"


def _tracks(
    table: Table, present: Sequence[Column], called: dict[int, str], people: Sequence[Column]
) -> Iterator[tuple[str, int, str]]:
    def first(pattern: re.Pattern[str], *types: ColumnType) -> Column | None:
        return next(
            (
                column
                for column in present
                if pattern.search(called[column.index]) and (not types or column.type in types)
            ),
            None,
        )

    numeric = (ColumnType.DECIMAL, ColumnType.INTEGER)
    latitude, longitude, time = first(_LATITUDE, *numeric), first(_LONGITUDE, *numeric), first(_TIME)
    if time is None:
        time = next((c for c in present if c.type in (ColumnType.DATE, ColumnType.TIMESTAMP)), None)
    if latitude is None or longitude is None or time is None:
        return
    placed = f"s{latitude.index} IS NOT NULL AND s{longitude.index} IS NOT NULL AND s{time.index} IS NOT NULL"
    for person in people:
        if person in (latitude, longitude, time):
            continue
        key = f"s{person.index}"
        moved = (
            f"SELECT {key} FROM {table.relation} WHERE {placed} GROUP BY {key} HAVING count(DISTINCT s{time.index}) > 1"
            f" AND (count(DISTINCT s{latitude.index}) > 1 OR count(DISTINCT s{longitude.index}) > 1)"
        )
        yield (
            "location_track",
            latitude.index,
            f"SELECT f, r FROM {table.relation} WHERE {placed} AND {key} IN ({moved})",
        )
        return


def _holds_codes(connection: duckdb.DuckDBPyConnection, table: Table, column: Column) -> bool:
    """Whether nine tenths of a text column's cells are ICD-10 codes, a tenth of them with a part behind a dot."""
    if column.type is not ColumnType.TEXT:
        return False
    s = f"s{column.index}"
    # A seat or a product may look like a code without a dot.
    asked = (
        f"SELECT count({s}), count(*) FILTER (WHERE regexp_full_match({s}, '{_CODE}')),"
        f" count(*) FILTER (WHERE contains({s}, '.')) FROM {table.relation}"
    )
    cells, codes, parted = connection.execute(asked).fetchall()[0]
    return bool(cells > 0 and 10 * codes >= 9 * cells and 10 * parted >= cells)
