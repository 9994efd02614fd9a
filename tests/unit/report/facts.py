"""Reports to draw: one with everything in it, one refused at a gate."""

from __future__ import annotations

import copy
from typing import Any

Facts = dict[str, Any]


def measure(identifier: str, status: str = "measured", **facts: Any) -> Facts:
    return {
        "id": identifier,
        "version": 1,
        "status": status,
        "num": None,
        "den": None,
        "value": None,
        "table": None,
        "counts": None,
        "ci95": None,
        "sample": None,
        "evidence": [],
        "note": None,
        "cost_ms": None,
        "score": None,
    } | facts


LIMITS = {"weight": "1", "required": False, "target": "1"}

_SCORED: Facts = {
    "dataset": {
        "digest": "9f2c" * 16,
        "files": [
            {"path": "penguins.csv", "bytes": 15241, "sha256": "ab" * 32, "kind": "csv"},
            {"path": "islands.parquet", "bytes": 2_431_087, "sha256": "cd" * 32, "kind": "parquet"},
        ],
        "records": 34412,
    },
    "gates": [{"id": "G1", "status": "passed", "reasons": []}, {"id": "G3", "status": "passed", "reasons": []}],
    "warnings": ["penguins.csv is read as GB18030: the byte at 1,204 is not UTF-8."],
    "measures": [
        measure("COM-1", table="penguins.csv", num=273300, den=275200, value="0.993096"),
        measure("COM-1", table="islands.parquet", num=12, den=12, value="1.000000"),
    ],
    "combined": [
        measure(
            "FMT-1",
            num=34410,
            den=34412,
            value="0.999942",
            score="99.883761",
            evidence=[
                {"file": "penguins.csv", "row": 17, "column": None, "note": "7 fields where the header has 8"},
                {"file": "penguins.csv", "row": 20411, "column": None, "note": "a quote is still open at the end"},
            ],
        ),
        measure("TYP-1", num=273300, den=273300, value="1.000000", score="100.000000"),
        measure("COM-1", num=273312, den=275212, value="0.993096", score="96.548081"),
        measure(
            "COM-2",
            num=33300,
            den=34412,
            value="0.967686",
            score="83.843087",
            note="The emptiest required field is sex.",
        ),
        measure("COM-3", num=26341, den=34412, value="0.765460", score="21.819811"),
        measure("SCL-1", status="not_declared", note="Declare `records`: how many are needed."),
        measure("OUT-1", num=137648, den=137648, value="1.000000", score="100.000000"),
        measure("DUP-1", num=34001, den=34412, value="0.988057", score="94.028246"),
        measure("KEY-1", status="failed", note="The declared key names a column that is not there: penguin_id."),
        measure("REF-1", status="not_applicable"),
        measure("BAL-1", value="0.954982", score="100.000000", counts={"Adelie": 152, "Gentoo": 124, "Chinstrap": 68}),
    ],
    "dimensions": {
        "conformity": "99.941881",
        "completeness": "67.403660",
        "accuracy": "100.000000",
        "consistency": "47.014123",
        "balance": "100.000000",
    },
    "total": "78.125431",
    "grade": "C",
    "provisional": True,
    "coverage": "0.857143",
    "fixes": [
        {
            "measure": "KEY-1",
            "gain": "12.500000",
            "what": "Give every record its own penguin_id; the column is not there.",
        },
        {
            "measure": "COM-3",
            "gain": "4.886262",
            "what": "Fill the required fields of 8,071 records; 7,412 lack sex alone.",
        },
        {"measure": "COM-2", "gain": "1.009807", "what": "Fill sex in 1,112 records."},
        {"measure": "DUP-1", "gain": "0.497646", "what": "Drop 411 records that repeat others."},
    ],
    "rubric": {
        "id": "core-0",
        "version": "1",
        "digest": "5e" * 32,
        "dimensions": {
            "conformity": {
                "weight": "12",
                "measures": {"FMT-1": {**LIMITS, "floor": "0.95"}, "TYP-1": {**LIMITS, "floor": "0.95"}},
            },
            "completeness": {
                "weight": "12",
                "measures": {
                    "COM-1": {**LIMITS, "floor": "0.8"},
                    "COM-2": {**LIMITS, "floor": "0.8"},
                    "COM-3": {**LIMITS, "floor": "0.7"},
                    "SCL-1": {**LIMITS, "floor": "0"},
                },
            },
            "accuracy": {"weight": "14", "measures": {"OUT-1": {**LIMITS, "weight": "0.5", "floor": "0.99"}}},
            "consistency": {
                "weight": "16",
                "measures": {
                    "DUP-1": {**LIMITS, "floor": "0.8"},
                    "KEY-1": {**LIMITS, "floor": "0.99"},
                    "REF-1": {**LIMITS, "floor": "0.95"},
                },
            },
            "balance": {"weight": "10", "measures": {"BAL-1": {**LIMITS, "floor": "0.3", "target": "0.9"}}},
        },
        "grades": {
            "A": {"total": "90", "dimension": "75"},
            "B": {"total": "80", "dimension": "60"},
            "C": {"total": "70", "dimension": "45"},
            "D": {"total": "60", "dimension": "0"},
            "E": {"total": "0", "dimension": "0"},
        },
    },
    "declare": ["Declare `records`, so that SCL-1 (scale) is measured."],
    "declaration_digest": "77" * 32,
    "profile": {
        "tables": [
            {
                "name": "penguins.csv",
                "files": ["penguins.csv"],
                "attempted": 34412,
                "records": 34410,
                "missing": False,
                "columns": [
                    {"name": "species", "type": "text", "declared": True, "present": True, "missing": 0},
                    {"name": "bill_length_mm", "type": "decimal", "declared": False, "present": True, "missing": 200},
                    {"name": "sex", "type": "text", "declared": True, "present": True, "missing": 1112},
                    {"name": "岛屿", "type": "text", "declared": False, "present": True, "missing": 9000},
                    {"name": "penguin_id", "type": "integer", "declared": True, "present": False, "missing": 34410},
                ],
            }
        ]
    },
    "engine": {"version": "0.1.0", "rubric": "core-0"},
}


def scored() -> Facts:
    return copy.deepcopy(_SCORED)


def refused() -> Facts:
    return scored() | {
        "dataset": {"digest": "00" * 32, "files": [], "records": None},
        "gates": [
            {
                "id": "G1",
                "status": "failed",
                "reasons": [
                    {
                        "code": "ratio_too_high",
                        "sentence": "It unpacks to 1,032 times its size; at most 200 times is accepted.",
                        "path": "bomb.zip/zeros.csv",
                    },
                    {"code": "unsafe_name", "sentence": "Its name leads out of the archive.", "path": "../evil.csv"},
                ],
            },
            {"id": "G3", "status": "not_scanned", "reasons": []},
        ],
        "warnings": [],
        "measures": [],
        "combined": [],
        "dimensions": {},
        "total": None,
        "grade": None,
        "provisional": False,
        "coverage": None,
        "fixes": [],
        "declare": [],
        "profile": {"tables": []},
    }
