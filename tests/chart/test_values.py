"""What the chart takes and what it refuses."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from deploy.helm.chart import CHART, ChartRefused, documents, render

SMALL = CHART / "ci" / "small-values.yaml"
KEDA = CHART / "ci" / "keda-values.yaml"


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ("replica=2", "replica"),
        ("services.bord.replicas=2", "bord"),
        ("services.board.replcas=2", "replcas"),
        ("defaults.autoscaling.minReplicas=0", "minReplicas"),
        ('settings.LOG_LEVEL="LOUD"', "LOG_LEVEL"),
        ('settings.LOGLEVEL="INFO"', "LOGLEVEL"),
        ('settings.KAFKA_BOOTSTRAP="kafka:9092"', "KAFKA_BOOTSTRAP"),
        ("settings.BENCH=true", "BENCH"),
        ("services.ingest.settings.UPLOAD_MAX_BYTE=1", "UPLOAD_MAX_BYTE"),
        ('services.scoring-worker.settings.WALL="an hour"', "WALL"),
        ('services.scoring-worker.settings.RECORDED_RESULT="/x"', "RECORDED_RESULT"),
        ('kafka.bootstrap=["kafka"]', "bootstrap"),
        ('objects.url="minio/bucket"', "url"),
        ("networkPolicy.enable=false", "enable"),
        ('podSecurity.runAsUser="root"', "runAsUser"),
        ("podSecurity.runAsUser=0", "runAsUser"),
    ],
)
def test_a_value_that_does_not_exist_or_fit_is_refused_by_name(helm: Path, given: str, named: str) -> None:
    with pytest.raises(ChartRefused, match=named):
        render(helm, SMALL, given)


@pytest.mark.parametrize(
    ("values", "given", "said"),
    [
        (SMALL, ["kafka.strimzi.enabled=false"], "set kafka.bootstrap"),
        (SMALL, ["mongodb.trial.enabled=false"], "set mongodb.existingSecret or mongodb.uri"),
        (KEDA, ["services.ranking.autoscaling.maxReplicas=13"], "has 12 partitions"),
        (SMALL, ["services.ranking.replicas=13"], "has 12 partitions"),
        (SMALL, ['ingress={"enabled": true, "tlsSecret": "x"}'], "ingress.tlsSecret needs ingress.host"),
    ],
)
def test_values_that_make_no_whole_are_refused_with_what_to_do(
    helm: Path, values: Path, given: list[str], said: str
) -> None:
    with pytest.raises(ChartRefused, match=said):
        render(helm, values, *given)


def test_whole_numbers_stay_whole(helm: Path) -> None:
    made = documents(render(helm, SMALL, "services.ingest.settings.UPLOAD_MAX_BYTES=53687091200"))
    (settings,) = [each for each in made if each["metadata"]["name"] == "jiebang-settings"]
    assert settings["data"]["JIEBANG_INGEST_UPLOAD_MAX_BYTES"] == "53687091200"


def test_a_share_stays_a_share(helm: Path) -> None:
    made = documents(render(helm, SMALL, "settings.TRACE_SHARE=0.25"))
    (settings,) = [each for each in made if each["metadata"]["name"] == "jiebang-settings"]
    assert settings["data"]["JIEBANG_TRACE_SHARE"] == "0.25"


def test_a_change_of_a_setting_starts_the_pods_anew(helm: Path) -> None:
    def pods(rendered: str) -> list[dict[str, object]]:
        return [each["spec"]["template"] for each in documents(rendered) if each["kind"] == "Deployment"]

    before, after = pods(render(helm, SMALL)), pods(render(helm, SMALL, 'settings.LOG_LEVEL="DEBUG"'))
    assert pods(render(helm, SMALL)) == before
    assert all(old != new for old, new in zip(before, after, strict=True))


def test_a_process_that_is_not_enabled_leaves_nothing_behind(helm: Path) -> None:
    made = documents(render(helm, SMALL, "services.notify-worker.enabled=false"))
    assert [each for each in made if each["metadata"]["name"].endswith("notify-worker")] == []


def test_without_policies_everything_else_is_there(helm: Path) -> None:
    with_policies = documents(render(helm, SMALL))
    made = documents(render(helm, SMALL, "networkPolicy.enabled=false"))
    assert len(made) == sum(each["kind"] != "NetworkPolicy" for each in with_policies)


def test_it_can_be_a_part_of_another_chart(helm: Path, tmp_path: Path) -> None:
    parent = tmp_path / "parent"
    (parent / "charts").mkdir(parents=True)
    (parent / "charts" / "jiebang").symlink_to(CHART)
    dependency = {"name": "jiebang", "version": "0.1.0", "condition": "jiebang.enabled"}
    chart = {"apiVersion": "v2", "name": "parent", "version": "1.0.0", "dependencies": [dependency]}
    (parent / "Chart.yaml").write_text(yaml.safe_dump(chart))
    values = {"global": {"region": "x"}, "jiebang": {"enabled": True, **yaml.safe_load(SMALL.read_text())}}
    (parent / "values.yaml").write_text(yaml.safe_dump(values))
    rendered = subprocess.run([helm, "template", "whole", parent], capture_output=True, text=True)
    assert rendered.returncode == 0, rendered.stderr
    assert "name: whole-jiebang-board" in rendered.stdout
