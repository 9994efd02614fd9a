"""The alerts: each is tested by promtool, each has a page that says what to do, and a rehearsal scales them right."""

from __future__ import annotations

import copy
import re
import shutil
import subprocess
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from deploy.local.process import StartFailed
from deploy.local.prometheus import RULES, VARIABLE, find_prometheus, scaled_rules
from jiebang.cli.operating import ops_app
from shared import metrics

ROOT = Path(__file__).resolve().parents[2]
TESTS = sorted((RULES.parent / "tests").glob("*.yaml"))
RUNBOOKS = ROOT / "docs" / "runbooks"
DOCUMENT: dict[str, Any] = yaml.safe_load(RULES.read_text("utf-8"))
ALERTS = [(group["name"], rule) for group in DOCUMENT["groups"] for rule in group["rules"] if "alert" in rule]
NAMES = list(dict.fromkeys(rule["alert"] for _, rule in ALERTS))
RECORDED = {rule["record"] for group in DOCUMENT["groups"] for rule in group["rules"] if "record" in rule}

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not installed: `apt-get install prometheus` brings it"
)


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = ["promtool", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=240)


@needs_promtool
def test_the_rules_are_valid() -> None:
    checked = promtool("check", "rules", "--lint=all", "--lint-fatal", RULES)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@needs_promtool
@pytest.mark.parametrize("file", TESTS, ids=lambda file: file.stem)
def test_each_alert_fires_when_it_must_and_ends_when_it_may(file: Path) -> None:
    run = promtool("test", "rules", file)
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize("name", NAMES)
def test_each_alert_is_seen_firing_quiet_and_resolved(name: str) -> None:
    seen: dict[str, list[dict[str, bool]]] = defaultdict(list)
    for file in TESTS:
        for case in yaml.safe_load(file.read_text("utf-8"))["tests"]:
            moments: dict[str, bool] = {}
            for check in case["alert_rule_test"]:
                if check["alertname"] == name:
                    moments[check["eval_time"]] = bool(check["exp_alerts"])
            if moments:
                seen[name].append(moments)
    courses = [[moments[at] for at in sorted(moments, key=lambda at: int(at[:-1]))] for moments in seen[name]]
    assert any(course[0] is False and True in course and course[-1] is False for course in courses), courses
    assert any(True not in course for course in courses), "no test in which it keeps quiet though it could fire"


def mutants(group: str, never: bool) -> list[Any]:
    return [pytest.param(name, never, id=f"{name}-{'never' if never else 'always'}")
            for name in NAMES if any(of == group and rule["alert"] == name for of, rule in ALERTS)]  # fmt: skip


@needs_promtool
@pytest.mark.parametrize(
    ("name", "never"),
    [mutant for group in dict.fromkeys(of for of, _ in ALERTS)
     for never in (True, False) for mutant in mutants(group, never)],
)  # fmt: skip
def test_the_tests_notice_an_alert_that_never_fires_and_one_that_always_does(
    name: str, never: bool, tmp_path: Path
) -> None:
    changed = copy.deepcopy(DOCUMENT)
    (group,) = [each for each in changed["groups"] if any(rule.get("alert") == name for rule in each["rules"])]
    for rule in group["rules"]:
        if rule.get("alert") == name:
            rule["expr"] = f"({rule['expr']}) and vector(1) == 0" if never else "vector(1)"
    (tmp_path / "alerts.yaml").write_text(yaml.safe_dump({"groups": [group]}))
    (tmp_path / "tests").mkdir()
    shutil.copy(RULES.parent / "tests" / f"{group['name']}.yaml", tmp_path / "tests")
    assert promtool("test", "rules", tmp_path / "tests" / f"{group['name']}.yaml").returncode != 0


@pytest.mark.parametrize(("group", "rule"), ALERTS, ids=[f"{r['alert']}-{r['labels']['severity']}" for _, r in ALERTS])
def test_each_alert_says_how_urgent_it_is_and_what_to_do(group: str, rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert rule["annotations"]["summary"].endswith(".")
    assert rule["annotations"]["runbook"] == f"docs/runbooks/{rule['alert']}.md"
    text = (ROOT / rule["annotations"]["runbook"]).read_text("utf-8")
    assert text.startswith(f"# {rule['alert']}\n")
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert headings == ["What it means", "What people feel", "How to look", "What to do"]


def _commands_of_ops() -> set[tuple[str, str]]:
    """Each command as a page writes it: `("doctor", "")`, `("dlq", " list")`."""
    group = typer.main.get_command(ops_app)
    found = set()
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        found |= {(name, f" {verb}") for verb in command.commands} if hasattr(command, "commands") else {(name, "")}
    return found


OPS = _commands_of_ops()


def test_no_page_is_about_an_alert_that_is_not_there() -> None:
    assert {page.stem for page in RUNBOOKS.glob("*.md")} == set(NAMES)


@pytest.mark.parametrize("page", sorted(RUNBOOKS.glob("*.md")), ids=lambda page: page.stem)
def test_a_page_names_only_commands_settings_metrics_and_pages_that_exist(page: Path) -> None:
    text = page.read_text("utf-8")
    for command in re.findall(r"`jiebang ops ([a-z]+)((?: [a-z]+)?)", text):
        assert command in OPS, command
    source = "\n".join(file.read_text("utf-8") for file in (ROOT / "services").rglob("settings.py"))
    for process, field in re.findall(r"`JIEBANG_(INGEST_SCAN|INGEST|SCORING_WORKER)_([A-Z_]+)`", text):
        assert re.search(rf"^    {field.lower()}: ", source, re.MULTILINE), (process, field)
    for link in re.findall(r"\]\(([^)]+)\)", text):
        assert (page.parent / link).exists(), link
    known = metrics.all_metrics().keys() | {"process_start_time_seconds", "process_cpu_seconds_total"}
    for name in re.findall(r"\b([a-z_]+_(?:total|bucket|records|seconds))\b(?=[{\[` ])", text):
        assert name.removesuffix("_bucket") in known, name


@pytest.mark.parametrize("rule", [rule for group in DOCUMENT["groups"] for rule in group["rules"]], ids=str)
def test_the_rules_ask_for_metrics_that_the_services_export(rule: dict[str, Any]) -> None:
    asked = set(re.findall(r"[a-z][a-z_]*:[a-z_:0-9]+|\b[a-z]+_[a-z_]+\b(?=[{\[) ]|$)", rule["expr"]))
    known = metrics.all_metrics().keys()
    for name in asked - {"min_over_time", "max_over_time"}:
        if ":" in name:
            assert name in RECORDED
        else:
            assert name in known or re.sub(r"_(bucket|count)$", "", name) in known, name


def test_a_rehearsal_shortens_every_length_of_time_and_leaves_the_limits() -> None:
    rules = {
        "groups": [
            {
                "name": "g",
                "rules": [{"alert": "A", "expr": 'sum(increase(x{code="5m"}[10m])) > 300', "for": "2m"},
                          {"alert": "B", "expr": "y > 1"}, {"record": "r", "expr": "increase(z[5s])"}],
            }
        ]
    }  # fmt: skip
    first, second, third = scaled_rules(rules, 0.1)["groups"][0]["rules"]
    assert first == {"alert": "A", "expr": 'sum(increase(x{code="5m"}[60000ms])) > 300', "for": "12000ms"}
    assert second == {"alert": "B", "expr": "y > 1"}
    assert third["expr"] == "increase(z[4000ms])", "two samples must be in a range, however short"


@needs_promtool
def test_the_rules_of_a_rehearsal_are_valid(tmp_path: Path) -> None:
    (tmp_path / "alerts.yaml").write_text(yaml.safe_dump(scaled_rules(DOCUMENT, 0.1)))
    checked = promtool("check", "rules", tmp_path / "alerts.yaml")
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_without_prometheus_it_is_said_how_to_get_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(StartFailed, match="apt-get install prometheus"):
        find_prometheus()
    monkeypatch.setenv(VARIABLE, str(tmp_path / "no-such-program"))
    with pytest.raises(StartFailed, match="no-such-program is not a program"):
        find_prometheus()
