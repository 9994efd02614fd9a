"""A report's facts put in the order in which a person reads them; page and terminal draw from this alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction
from typing import Any

Facts = Mapping[str, Any]

_HUNDREDTH = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Wording:
    """What a measure, a gate or a dimension is called, in both languages."""

    en: str
    zh: str


MEASURES = {
    "DOC-1": Wording("Documentation", "说明文档"),
    "MET-1": Wording("Croissant required fields", "元数据必填项"),
    "MET-2": Wording("Manifest integrity", "清单一致"),
    "FMT-1": Wording("Parseable records", "可解析记录"),
    "TYP-1": Wording("Type conformity", "类型一致"),
    "DOM-1": Wording("Domain conformity", "取值合规"),
    "ENC-1": Wording("Text cleanliness", "文本洁净"),
    "COM-1": Wording("Value completeness", "数值完整"),
    "COM-2": Wording("Worst required field", "必填字段最低完整"),
    "COM-3": Wording("Complete records", "完整记录"),
    "COM-4": Wording("Label completeness", "标签完整"),
    "COM-5": Wording("Grid completeness", "时间网格完整"),
    "SCL-1": Wording("Scale", "规模"),
    "RUL-1": Wording("Business rules", "业务规则"),
    "OUT-1": Wording("No extreme values", "无极端值"),
    "DUP-1": Wording("Exact uniqueness", "记录唯一"),
    "KEY-1": Wording("Key uniqueness", "主键唯一"),
    "REF-1": Wording("Referential integrity", "引用完整"),
    "LAB-3": Wording("Label consistency", "标签一致"),
    "TIM-3": Wording("Time order", "时间有序"),
    "LEK-1": Wording("Split separation", "划分隔离"),
    "TIM-1": Wording("Currency", "时效"),
    "BAL-1": Wording("Label balance", "标签均衡"),
    "BAL-2": Wording("Class adequacy", "类别充足"),
    "PII-1": Wording("Free of personal data", "无个人信息"),
    "PII-2": Wording("Free of sensitive data", "无敏感个人信息"),
    "LIC-1": Wording("Licence clarity", "许可清晰"),
    "ANN-1": Wording("Box validity", "标注框有效"),
    "IMG-1": Wording("Image quality", "图像质量"),
    "PRV-1": Wording("Provenance", "来源可溯"),
}
GATES = {
    "G0": Wording("Size and readability", "大小与可读"),
    "G1": Wording("Archive", "压缩包"),
    "G3": Wording("File types", "文件类型"),
    "G4": Wording("Secrets", "密钥"),
    "G5": Wording("Sensitive personal information", "敏感个人信息"),
    "G6": Wording("Licence", "许可"),
}
DIMENSIONS = {
    "documentation": Wording("Documentation", "文档性"),
    "conformity": Wording("Conformity", "规范性"),
    "completeness": Wording("Completeness", "完整性"),
    "accuracy": Wording("Accuracy", "准确性"),
    "consistency": Wording("Consistency", "一致性"),
    "timeliness": Wording("Timeliness", "时效性"),
    "balance": Wording("Balance", "均衡性"),
    "safety": Wording("Safety", "安全性"),
}
STATUSES = {
    "measured": Wording("measured", "已测"),
    "not_applicable": Wording("not applicable", "不适用"),
    "not_declared": Wording("not declared", "未声明"),
    "not_scanned": Wording("not scanned", "未扫描"),
    "failed": Wording("failed", "失败"),
}


def wording(words: Mapping[str, Wording], name: str) -> Wording:
    """The wording of a name, or the name itself where a sponsor's rubric made it up."""
    plain = name.replace("_", " ")
    return words.get(name, Wording(plain[:1].upper() + plain[1:], ""))


def two_places(value: Decimal) -> str:
    """A number up to 100 rounded half-even to two places; what is less than 100 does not look like it."""
    rounded = value.quantize(_HUNDREDTH, ROUND_HALF_EVEN)
    return str(rounded if rounded < 100 or value >= 100 else Decimal(100) - _HUNDREDTH)


@dataclass(frozen=True, slots=True)
class MeasureLine:
    """One measure of the dataset against the floor and target of the rubric; fractions lie between 0 and 1."""

    id: str
    wording: Wording
    status: str
    value: Decimal | None
    num: int | None
    den: int | None
    score: Decimal | None
    floor: Decimal | None
    target: Decimal | None
    weight: Fraction
    note: str | None
    counts: Mapping[str, int]
    evidence: tuple[Facts, ...]
    tables: tuple[Facts, ...]
    """The same measure table by table, where there is more than one table and it applies."""

    @property
    def percent(self) -> str:
        """The value in percent with two places; only a whole is 100 %."""
        return "–" if self.value is None else f"{two_places(self.value * 100)} %"


@dataclass(frozen=True, slots=True)
class DimensionLine:
    """One dimension: its value from 0 to 100 (None when nothing in it could be measured), weight and measures."""

    name: str
    wording: Wording
    value: Decimal | None
    weight: Decimal | None
    measures: tuple[MeasureLine, ...]


def reason_place(reason: Facts) -> str:
    """Where a gate's reason applies, empty when its sentence says so itself."""
    path = reason.get("path")
    return str(path) if path and str(path) not in reason["sentence"] else ""


def dimensions(facts: Facts) -> tuple[DimensionLine, ...]:
    """The rubric's dimensions, each with its measures, in the common order.

    A report that was kept as canonical JSON has lost the rubric's own order; the sponsor's own names come last.
    """
    results = {result["id"]: result for result in facts["combined"]}
    lines = []
    for name, rule in _ordered(facts["rubric"]["dimensions"], DIMENSIONS):
        measures = tuple(
            _measure(results[identifier], limits, facts)
            for identifier, limits in _ordered(rule["measures"], MEASURES)
            if identifier in results
        )
        lines.append(
            DimensionLine(
                name,
                wording(DIMENSIONS, name),
                _decimal(facts["dimensions"].get(name)),
                _decimal(rule.get("weight")),
                measures,
            )
        )
    return tuple(lines)


def _ordered(named: Facts, known: Mapping[str, Wording]) -> list[tuple[str, Any]]:
    places = {name: place for place, name in enumerate(known)}
    return sorted(named.items(), key=lambda item: places.get(item[0], len(places)))


def _measure(result: Facts, limits: Facts, facts: Facts) -> MeasureLine:
    tables = tuple(one for one in facts["measures"] if one["id"] == result["id"] and one.get("table"))
    return MeasureLine(
        id=result["id"],
        wording=wording(MEASURES, result["id"]),
        status=result["status"],
        value=_decimal(result.get("value")),
        num=result.get("num"),
        den=result.get("den"),
        score=_decimal(result.get("score")),
        floor=_decimal(limits.get("floor")),
        target=_decimal(limits.get("target")),
        weight=Fraction(limits.get("weight") or 1),
        note=result.get("note"),
        counts=result.get("counts") or {},
        evidence=tuple(result.get("evidence") or ())
        or tuple(e for one in tables for e in one.get("evidence") or ())[:20],
        tables=tuple(one for one in tables if one["status"] != "not_applicable") if len(tables) > 1 else (),
    )


def _decimal(value: object) -> Decimal | None:
    return None if value is None else Decimal(str(value))
