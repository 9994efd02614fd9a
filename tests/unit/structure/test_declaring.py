"""What a package declares of its tables is used where nothing else is declared."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jiebang.declaration import Declaration
from jiebang.judge import Report
from jiebang.result import Status
from tests.unit.structure.packages import Files, croissant, judged

ORDERS = "id,day,state,amount,customer\n1,2026-01-02,paid,10.50,a\n2,2026-01-03,open,n/k,b\n3,oops,lost,-1,z\n"
CUSTOMERS = "code,name\na,Anna\nb,Bo\n"
FIELDS: list[dict[str, Any]] = [
    {"name": "id", "type": "integer"},
    {"name": "day", "type": "date", "constraints": {"required": True}},
    {"name": "state", "type": "string", "constraints": {"enum": ["paid", "open"]}},
    {"name": "amount", "type": "number", "constraints": {"minimum": 0, "maximum": 1000.5}},
    {"name": "customer", "type": "string", "constraints": {"required": True, "pattern": "[a-z]"}},
]
SCHEMA: dict[str, Any] = {
    "fields": FIELDS,
    "primaryKey": ["id"],
    "missingValues": ["", "n/k"],
    "foreignKeys": [{"fields": "customer", "reference": {"resource": "customers", "fields": "code"}}],
}
RIGHT = {
    "types": {"id": "integer", "day": "date", "state": "text", "amount": "decimal", "customer": "text"},
    "key": ["id"],
    "required": ["day", "customer"],
    "missing": ["", "n/k"],
    "foreign_keys": [{"fields": ["customer"], "to": "customers.csv", "key": ["code"]}],
    "domains": {
        "state": {"values": ["paid", "open"]},
        "amount": {"min": "0", "max": "1000.5"},
        "customer": {"pattern": "[a-z]"},
    },
}


def data_package(schema: dict[str, Any], **more: Any) -> str:
    customers = {"name": "customers", "path": "customers.csv"}
    return json.dumps({"resources": [{"name": "orders", "path": "orders.csv", "schema": schema, **more}, customers]})


def report(descriptors: Files, **options: Any) -> Report:
    return judged({"orders.csv": ORDERS, "customers.csv": CUSTOMERS, **descriptors}, "TYP-1", "COM-1", **options)


def declared(descriptors: Files, **options: Any) -> dict[str, Any]:
    return dict(report(descriptors, **options).declaration.as_dict().get("tables", {}).get("orders.csv", {}))


def test_a_data_package_declares_types_key_required_missing_references_and_domains() -> None:
    assert declared({"datapackage.json": data_package(SCHEMA)}) == RIGHT


def test_it_decides_what_is_measured() -> None:
    found = report({"datapackage.json": data_package(SCHEMA)})
    results = {(one.table, one.id): one for one in found.measures}
    assert (results["orders.csv", "KEY-1"].num, results["orders.csv", "KEY-1"].den) == (3, 3)
    assert (results["orders.csv", "REF-1"].num, results["orders.csv", "REF-1"].den) == (2, 3)
    assert (results["orders.csv", "TYP-1"].num, results["orders.csv", "TYP-1"].den) == (13, 14)
    assert results["orders.csv", "COM-1"].num == 14
    assert "datapackage.json: what it declares is used where nothing else is declared." in found.warnings


def test_an_own_declaration_goes_before_it_key_by_key() -> None:
    own = declared({"datapackage.json": data_package(SCHEMA)}, declare={"key": ["day"], "missing": [""]})
    assert own == {**RIGHT, "key": ["day"], "missing": [""]}


def test_a_bound_that_a_type_declared_elsewhere_does_not_suit_is_dropped() -> None:
    own = declared({"datapackage.json": data_package(SCHEMA)}, declare={"types": {"amount": "text"}})
    assert "domains" not in own


def test_in_a_challenge_the_demand_alone_decides() -> None:
    demand = {"tables": {"orders.csv": {"types": {"id": "integer"}}}}
    found = report({"datapackage.json": data_package(SCHEMA)}, demand=demand)
    assert found.declaration.as_dict() == demand
    assert next(one for one in found.measures if one.id == "KEY-1").status is Status.NOT_DECLARED


def test_what_the_standard_has_no_name_for_stands_under_our_own() -> None:
    own = {"label": "state", "time": "day", "records": "FILL IN", "nonsense": 1}
    assert declared({"datapackage.json": data_package({"fields": []}, jiebang=own)}) == {
        "label": "state",
        "time": "day",
    }


@pytest.mark.parametrize(
    ("field", "type"),
    [
        ({"type": "number", "decimalChar": ","}, None),
        ({"type": "integer", "bareNumber": False}, None),
        ({"type": "year"}, "integer"),
        ({"type": "date", "format": "%d/%m/%Y"}, None),
        ({"type": "datetime"}, "timestamp"),
        ({"type": "boolean"}, None),
        ({"type": "boolean", "trueValues": ["true"], "falseValues": ["False"]}, "boolean"),
        ({"type": "geopoint"}, None),
        ({"type": "any"}, None),
        ({}, None),
        ({"type": ["integer"]}, None),
    ],
)
def test_a_type_is_taken_where_ours_means_the_same(field: dict[str, Any], type: str | None) -> None:
    own = declared({"datapackage.json": data_package({"fields": [{"name": "day", **field}]})})
    assert own.get("types", {}).get("day") == type


def test_a_part_that_is_not_in_form_is_left_out_and_told() -> None:
    broken = {
        **SCHEMA,
        "primaryKey": ["id", "id"],
        "fields": [*FIELDS[:3], {"name": "amount", "constraints": {"pattern": "("}}],
    }
    found = report({"datapackage.json": data_package(broken, encoding="no-such")})
    own = found.declaration.as_dict()["tables"]["orders.csv"]
    assert "key" not in own
    assert "encoding" not in own
    assert set(own["domains"]) == {"state"}
    assert len([warning for warning in found.warnings if warning.endswith("It is left out.")]) == 3


def test_a_resource_that_lies_outside_declares_nothing() -> None:
    text = data_package(SCHEMA).replace('"orders.csv"', '"../orders.csv"')
    assert report({"datapackage.json": text}).declaration.as_dict() == {}


def test_a_record_set_of_croissant_declares_types_key_label_and_references() -> None:
    def field(table: str, column: str, kind: Any, **more: Any) -> dict[str, Any]:
        source = {"fileObject": {"@id": f"{table}-file"}, "extract": {"column": column}}
        return {"@type": "cr:Field", "@id": f"{table}/{column}", "dataType": kind, "source": source, **more}

    text = croissant(
        distribution=[
            {"@type": "cr:FileObject", "@id": f"{table}-file", "contentUrl": f"{table}.csv"}
            for table in ("orders", "customers")
        ],
        recordSet=[
            {
                "@type": "cr:RecordSet",
                "@id": "orders",
                "key": {"@id": "orders/id"},
                "field": [
                    field("orders", "id", "sc:Integer"),
                    field("orders", "day", "sc:Date"),
                    field("orders", "state", ["sc:Text", "cr:Label"]),
                    field("orders", "amount", "cr:Float64"),
                    field("orders", "customer", "sc:Text", references={"field": {"@id": "customers/code"}}),
                ],
                "jiebang": {"time": "day"},
            },
            {"@type": "cr:RecordSet", "@id": "customers", "field": [field("customers", "code", "sc:Text")]},
        ],
    )
    assert declared({"croissant.json": text}) == {
        **{key: RIGHT[key] for key in ("types", "key", "foreign_keys")},
        "label": "state",
        "time": "day",
    }


def test_a_data_package_goes_before_croissant() -> None:
    entry = {"@type": "cr:FileObject", "@id": "orders.csv", "contentUrl": "orders.csv"}
    sets = [{"@id": "o", "field": [], "jiebang": {}}]
    column = {"fileObject": {"@id": "orders.csv"}, "extract": {"column": "id"}}
    sets[0]["field"] = [{"@id": "o/id", "dataType": "sc:Text", "source": column}]
    files: Files = {
        "croissant.json": croissant(distribution=[entry], recordSet=sets),
        "datapackage.json": data_package({"fields": [{"name": "id", "type": "integer"}]}),
    }
    assert declared(files)["types"] == {"id": "integer"}


KEYS = st.sampled_from(
    [
        "resources", "path", "schema", "fields", "name", "type", "constraints",
        "enum", "primaryKey", "foreignKeys", "reference", "distribution", "recordSet", "field",
        "source", "fileObject", "@id", "@type", "jiebang", "label", "licenses",
        "sources", "license", "creator", "missingValues", "categories", "key", "extract",
        "column", "references", "dataType", "minimum", "pattern",
    ]
)  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(["orders.csv", "id", "integer"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=25,
)


@given(st.dictionaries(KEYS, JSON, max_size=6))
def test_no_descriptor_breaks_the_reading(data: dict[str, Any]) -> None:
    from jiebang.measures import PACKAGE_MEASURES
    from jiebang.structure import croissant as croissants
    from jiebang.structure import data_package as data_packages
    from jiebang.structure.declaring import completed
    from jiebang.structure.package import Package

    paths = frozenset(("orders.csv", "customers.csv"))
    package = Package(())
    package.__dict__.update(
        paths=paths,
        croissants=(croissants.read("croissant.json", data, paths),),
        data_packages=(data_packages.read("datapackage.json", data),),
        manifests=(),
    )
    merged, _ = completed(Declaration(), package)
    assert Declaration.parse(merged.as_dict()) == merged
    for measure in PACKAGE_MEASURES:
        measure.measure(package, closed=False)
