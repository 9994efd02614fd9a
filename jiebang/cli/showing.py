"""Reports, submissions and differences as tables in a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from rich.console import Console
from rich.text import Text

from jiebang.cli.terminal import counted, escape, grade_style, local_time, print_json, size, table
from jiebang.report.reading import (
    GATES,
    STATUSES,
    DimensionLine,
    MeasureLine,
    dimensions,
    reason_place,
    two_places,
    wording,
)

Facts = Mapping[str, Any]

_BAR = 12
_PLACES = 3
_STATE_STYLES = {"ranked": "green", "rejected": "red", "failed": "red", "cancelled": "dim"}


def show_gates(console: Console, facts: Facts) -> None:
    """What came through the gates, and why not."""
    dataset = facts["dataset"]
    files = dataset["files"]
    console.print(
        f"[bold]{counted(len(files), 'file')}[/], "
        f"{size(sum(file['bytes'] for file in files))}  [dim]sha256:{dataset['digest']}[/]",
        soft_wrap=True,
    )
    for gate in facts["gates"]:
        mark = {"passed": "[green]✓[/]", "failed": "[red]✗[/]"}.get(gate["status"], "[yellow]?[/]")
        name = wording(GATES, gate["id"])
        console.print(f"{mark} {gate['id']} {escape(name.en)} [dim]{escape(name.zh)}[/]")
        for reason in gate["reasons"]:
            console.print(f"    {_reason(reason)}")
    for warning in facts.get("warnings", ()):
        console.print(f"[yellow]![/] {escape(warning)}")


def _reason(reason: Facts) -> str:
    place = reason_place(reason)
    words = f"{place}: {reason['sentence']}" if place else reason["sentence"]
    return f"{escape(words)} [dim]({escape(reason['code'])})[/]"


def show_report(console: Console, facts: Facts) -> None:
    """A whole report, the most important first."""
    show_gates(console, facts)
    if any(gate["status"] != "passed" for gate in facts["gates"]):
        console.print("\n[bold red]Refused.[/] No measure was run; mend what the gates say first.")
        return
    if facts["total"] is None:
        console.print("\n[bold red]Nothing could be measured.[/]")
        return
    grade = facts["grade"]
    console.print(
        f"\n[bold]{facts['total']}[/] of 100   grade [{grade_style(grade)}]{grade}[/]"
        + ("   [yellow]provisional[/]" if facts["provisional"] else "")
        + f"   [dim]coverage {facts['coverage']}, rubric {escape(str(facts['engine']['rubric']))}[/]\n"
    )
    for sentence in facts["declare"]:
        console.print(f"[yellow]·[/] {escape(sentence)}")
    rows = table("", "measure", "value", "floor → target", "score", "", right=("value", "score"))
    for column in rows.columns[:5]:
        column.no_wrap = True
    for dimension in dimensions(facts):
        rows.add_row("[bold]" + escape(dimension.wording.en) + "[/]", "", "", "", _number(dimension.value), "")
        for line in dimension.measures:
            rows.add_row(*_measure_row(line))
    console.print(rows)
    if facts["fixes"]:
        console.print("\n[bold]What to fix first[/]")
        fixes = table("gain", "measure", "what", right=("gain",))
        for fix in facts["fixes"]:
            fixes.add_row(f"[green]+{_number(Decimal(fix['gain']))}[/]", fix["measure"], escape(fix["what"]))
            if places := _places(fix["measure"], facts):
                fixes.add_row("", "", places)
        console.print(fixes)
        console.print("[dim]More places are in --html and --json.[/]")


def _places(measure: str, facts: Facts) -> str:
    """The first places of a measure's evidence; nothing where it has none."""
    evidence = next((one["evidence"] for one in facts["combined"] if one["id"] == measure), ())
    return "\n".join(f"[dim]{escape(_place(pointer))}[/]" for pointer in evidence[:_PLACES])


def _place(pointer: Facts) -> str:
    row = f"record {pointer['row']}" if pointer["row"] is not None else None
    where = ", ".join(part for part in (pointer["file"], row, pointer["column"]) if part)
    return ": ".join(part for part in (where, pointer["note"]) if part)


def _measure_row(line: MeasureLine) -> tuple[str | Text, ...]:
    counts = f"{line.num:,} / {line.den:,}" if line.num is not None and line.den is not None else ""
    if line.status != "measured":
        style = "red" if line.status in {"failed", "not_scanned"} else "dim"
        words = f"[{style}]{STATUSES[line.status].en}[/]"
        return f"  [dim]{line.id}[/]", escape(line.wording.en), "", words, _number(line.score), escape(line.note or "")
    return (
        f"  [dim]{line.id}[/]",
        escape(line.wording.en),
        line.percent,
        _bar(line),
        _number(line.score),
        f"[dim]{counts}[/]",
    )


def _bar(line: MeasureLine) -> Text:
    """The value between the floor (left end) and the target (right end)."""
    filled = round(float(line.score or 0) / 100 * _BAR)
    style = "green" if filled == _BAR else "yellow" if filled >= _BAR * 0.6 else "red"
    return Text("█" * filled, style=style) + Text("░" * (_BAR - filled), style="dim")


def _number(value: Decimal | None) -> str:
    return "" if value is None else two_places(value)


def state_line(facts: Facts) -> str:
    """A submission's state in one line."""
    words = [f"[bold]{facts.get('working') or facts['state']}[/]"]
    if facts.get("position") is not None:
        words.append(f"{facts['position']} before it")
    if facts.get("estimate_seconds") is not None:
        words.append(f"about {facts['estimate_seconds']:.0f} s")
    return " · ".join(words)


def show_submission(console: Console, facts: Facts) -> None:
    """A submission: what it is, where it is, and why."""
    style = _STATE_STYLES.get(facts["state"], "cyan")
    console.print(f"[bold]{escape(str(facts['id']))}[/]  [{style}]{facts['state']}[/]  {_standing(facts)}")
    if facts["state"] not in _STATE_STYLES:
        console.print(state_line(facts))
    for reason in facts.get("reasons") or ():
        console.print(f"  [red]✗[/] {_reason(reason)}")
    rows = table("", "")
    for step in facts.get("timeline") or ():
        rows.add_row(f"[dim]{local_time(step['at'])}[/]", escape(str(step["state"])))
    console.print(rows)


def _standing(facts: Facts) -> str:
    words = []
    if facts.get("rank") is not None:
        words.append(f"rank [bold]{facts['rank']}[/]")
    if facts.get("total") is not None:
        words.append(f"total [bold]{facts['total']}[/]")
    if facts.get("grade"):
        words.append(f"grade [{grade_style(facts['grade'])}]{facts['grade']}[/]")
    return "  ".join(words)


def difference(before: Facts, after: Facts) -> dict[str, Any]:
    """What moved between two reports: totals, dimensions, and every measure that is not the same in both."""
    old, new = _lines(before), _lines(after)
    moved = []
    for identifier in dict.fromkeys([*old, *new]):
        first, second = old.get(identifier), new.get(identifier)
        if _essence(first) != _essence(second):
            moved.append({"measure": identifier, "before": _essence(first), "after": _essence(second)})
    return {
        "total": {"before": before["total"], "after": after["total"]},
        "grade": {"before": before["grade"], "after": after["grade"]},
        "dimensions": {
            name: {"before": before["dimensions"].get(name), "after": after["dimensions"].get(name)}
            for name in dict.fromkeys([*before["dimensions"], *after["dimensions"]])
        },
        "measures": moved,
        "same_rubric": before["engine"]["rubric"] == after["engine"]["rubric"],
    }


def _lines(facts: Facts) -> dict[str, MeasureLine]:
    every: list[DimensionLine] = list(dimensions(facts)) if facts["total"] is not None else []
    return {line.id: line for dimension in every for line in dimension.measures}


def _essence(line: MeasureLine | None) -> dict[str, Any] | None:
    if line is None:
        return None
    return {
        "status": line.status,
        "num": line.num,
        "den": line.den,
        "value": None if line.value is None else str(line.value),
        "score": None if line.score is None else str(line.score),
    }


def show_difference(console: Console, before: Facts, after: Facts, *, as_json: bool) -> None:
    """What moved between two reports."""
    facts = difference(before, after)
    if as_json:
        print_json(facts)
        return
    if not facts["same_rubric"]:
        console.print("[yellow]![/] The two were judged under different rubrics.")
    total, grade = facts["total"], facts["grade"]
    console.print(
        f"total {total['before']} → [bold]{total['after']}[/] {_change(total['before'], total['after'])}   "
        f"grade {grade['before']} → [{grade_style(grade['after'])}]{grade['after']}[/]\n"
    )
    rows = table("measure", "before", "after", "score", right=("before", "after", "score"))
    for one in facts["measures"]:
        old, new = one["before"] or {}, one["after"] or {}
        rows.add_row(one["measure"], _shown(old), _shown(new), _change(old.get("score"), new.get("score")))
    console.print(rows if facts["measures"] else "Every measure is the same.")


def _shown(essence: Facts) -> str:
    if not essence:
        return "–"
    if essence["status"] != "measured":
        return str(essence["status"])
    if essence["num"] is None:
        return str(essence["value"])
    return f"{essence['num']:,}/{essence['den']:,}"


def _change(before: str | None, after: str | None) -> str:
    if before is None or after is None:
        return ""
    change = Decimal(after) - Decimal(before)
    if change == 0:
        return "[dim]±0[/]"
    return f"[green]+{change:.2f}[/]" if change > 0 else f"[red]{change:.2f}[/]".replace("-", "−")
