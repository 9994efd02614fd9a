"""What the chart says of the code, held against the code."""

from __future__ import annotations

import base64
import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.helm import readme, schema
from deploy.helm.chart import CHART, DASHBOARDS, EXAMPLES, ROOT, example
from deploy.helm.settings import NOT_FOR_A_CLUSTER, PROCESSES, SET_BY_CHART, own_settings, shared_settings
from deploy.local.gateway import ROUTES
from deploy.local.services import SERVICE_PROCESSES
from shared.contracts.registry import topics
from shared.kafka import _new_topic, dead_letter_topic
from shared.settings import Settings
from tests.chart.policies import pods_of

NAMES = [example(values) for values in EXAMPLES]
VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
MIB, GIB = 1 << 20, 1 << 30
UNITS = {"Mi": MIB, "Gi": GIB, "Ti": 1024 * GIB}
OWN_MEMORY = 512 * MIB


def size(quantity: str) -> int:
    """The bytes of a quantity such as `4Gi`."""
    return int(float(quantity[:-2]) * UNITS[quantity[-2:]])


def of_kind(objects: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [document for document in objects if document["kind"] == kind]


def component(document: dict[str, Any]) -> str:
    return str(document["metadata"]["labels"]["app.kubernetes.io/component"])


def given(objects: list[dict[str, Any]], container: dict[str, Any]) -> dict[str, str]:
    """The environment of a container, with stand-ins for what comes from a Secret or the container's own resources."""
    configured = {each["metadata"]["name"]: each["data"] for each in of_kind(objects, "ConfigMap")}
    environment: dict[str, str] = {}
    for source in container.get("envFrom", []):
        environment |= configured[source["configMapRef"]["name"]]
    for variable in container.get("env", []):
        if "value" in variable:
            environment[variable["name"]] = variable["value"]
        elif "secretKeyRef" in variable["valueFrom"]:
            environment[variable["name"]] = "mongodb://stand-in"
        else:
            environment[variable["name"]] = "2"
    return environment


# --- processes ------------------------------------------------------------------------------------------------------


def test_the_chart_runs_the_processes_that_the_local_platform_runs() -> None:
    here = {name: (process["module"], "routes" in process) for name, process in VALUES["services"].items()}
    assert here == {row.name: (row.module, row.public) for row in SERVICE_PROCESSES}
    for module, _ in here.values():
        assert importlib.util.find_spec(module) is not None


def test_the_routes_are_those_of_the_local_gateway() -> None:
    routed = {route: name for name, process in VALUES["services"].items() for route in process.get("routes", [])}
    assert routed == ROUTES


def test_a_gateway_sends_each_prefix_and_each_service_s_operations_to_it(objects: dict[str, Any]) -> None:
    routed = {
        match["path"]["value"]: component(route)
        for route in of_kind(objects["gateway-api"], "HTTPRoute")
        for rule in route["spec"]["rules"]
        for match in rule["matches"]
    }
    public = [row.name for row in SERVICE_PROCESSES if row.public]
    operations = {f"/v1/ops/{name}": name for name in public}
    described = {f"/{kind}/{name}.json": name for kind in ("openapi", "asyncapi") for name in public}
    assert routed == ROUTES | operations | described


def test_an_ingress_sends_each_prefix_to_its_service(objects: dict[str, Any]) -> None:
    (ingress,) = of_kind(objects["external"], "Ingress")
    (rule,) = ingress["spec"]["rules"]
    routed = {
        each["path"]: each["backend"]["service"]["name"].removeprefix("jiebang-") for each in rule["http"]["paths"]
    }
    operations = {f"/v1/ops/{row.name}": row.name for row in SERVICE_PROCESSES if row.public}
    assert routed == ROUTES | operations


# --- settings -------------------------------------------------------------------------------------------------------


def test_every_setting_of_the_code_is_offered_or_said_to_be_elsewhere() -> None:
    offered = {f"JIEBANG_{each.name}" for each in shared_settings()}
    for process, settings in PROCESSES.items():
        offered |= {f"JIEBANG_{settings.process.upper()}_{each.name}" for each in own_settings(process)}
    elsewhere = tuple(f"_{name}" for name in SET_BY_CHART | NOT_FOR_A_CLUSTER)
    read = {variable for settings in PROCESSES.values() for variable in settings.variables.values()}
    assert {variable for variable in read - offered if not variable.endswith(elsewhere)} == set()
    assert offered <= read


def test_each_process_has_its_settings_class() -> None:
    assert {name: settings.process for name, settings in PROCESSES.items()} == {
        row.name: row.name.replace("-", "_") for row in SERVICE_PROCESSES
    }


@pytest.mark.parametrize("name", NAMES)
def test_each_process_can_start_with_the_settings_it_is_given(objects: dict[str, Any], name: str) -> None:
    for deployment in of_kind(objects[name], "Deployment"):
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        settings = PROCESSES[component(deployment)].load(given(objects[name], container))
        assert settings.internal_port == 9090
        assert settings.port == (8080 if "routes" in VALUES["services"][component(deployment)] else 0)
        assert settings.mongo_uri == "mongodb://stand-in"
        mounted = {each["mountPath"] for each in container["volumeMounts"]}
        assert {str(settings.scratch_dir.parent)} <= mounted
        if settings.kafka_ca_file is not None:
            assert str(settings.kafka_ca_file.parent) in mounted
        if settings.objects_url.startswith("file://") and VALUES["services"][component(deployment)].get("objects"):
            assert settings.objects_url.removeprefix("file://") in mounted


@pytest.mark.parametrize("name", NAMES)
def test_what_is_prepared_and_tested_can_start_too(objects: dict[str, Any], name: str) -> None:
    (job,) = of_kind(objects[name], "Job")
    prepared = {each["name"]: each for each in job["spec"]["template"]["spec"]["containers"]}
    assert set(prepared) == {row.name for row in SERVICE_PROCESSES if row.public}
    for process, container in prepared.items():
        PROCESSES[process].load(given(objects[name], container))
        assert container["command"][-1] == "--prepare"
    (pod,) = of_kind(objects[name], "Pod")
    PROCESSES["board"].load(given(objects[name], pod["spec"]["containers"][0]))


@pytest.mark.parametrize("name", NAMES)
def test_a_pod_that_is_told_to_stop_has_the_time_that_it_takes(objects: dict[str, Any], name: str) -> None:
    for deployment in of_kind(objects[name], "Deployment"):
        spec = deployment["spec"]["template"]["spec"]
        settings = Settings.load(
            {"JIEBANG_GRACE": "20s"}
            | {
                key: value
                for key, value in given(objects[name], spec["containers"][0]).items()
                if key == "JIEBANG_GRACE"
            }
        )
        # What `Service._stop` takes at most, one part after another, and what it waits for before it begins.
        longest = 2.75 * settings.grace.total_seconds() + 6 + VALUES["defaults"]["drainSeconds"]
        assert spec["terminationGracePeriodSeconds"] >= longest


@pytest.mark.parametrize("name", NAMES)
def test_a_worker_has_the_memory_and_the_room_that_its_children_may_use(objects: dict[str, Any], name: str) -> None:
    for process, parallel in (("ingest-scan", "at_once"), ("scoring-worker", "concurrency")):
        (deployment,) = [each for each in of_kind(objects[name], "Deployment") if component(each) == process]
        spec = deployment["spec"]["template"]["spec"]
        environment = given(objects[name], spec["containers"][0])
        settings: Any = PROCESSES[process].load(environment)
        upload: Any = PROCESSES["ingest"].load(environment)
        at_once = getattr(settings, parallel)
        memory = size(spec["containers"][0]["resources"]["limits"]["memory"])
        assert memory >= at_once * settings.memory_bytes + OWN_MEMORY, process
        (scratch,) = [each["emptyDir"]["sizeLimit"] for each in spec["volumes"] if each["name"] == "scratch"]
        assert size(scratch) >= at_once * (settings.disk_bytes + upload.upload_max_bytes), process
        for kind, quantities in spec["containers"][0]["resources"].items():
            # Kubernetes counts the folder among it: less would evict a worker that keeps to its bounds.
            assert size(quantities.get("ephemeral-storage", scratch)) >= size(scratch), (process, kind)


# --- streams and queues ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "prefix", "copies"), [("keda", "season1.", 3), ("small", "", 1)])
def test_the_topics_of_the_operator_are_those_that_the_services_would_make(
    objects: dict[str, Any], name: str, prefix: str, copies: int
) -> None:
    settings = Settings(kafka_replication=copies)
    wanted = {}
    for row in topics():
        retention = -1 if row.retention_days is None else row.retention_days * 86_400_000
        wanted[f"{prefix}{row.name}"] = _new_topic(settings, row.name, row.partitions, retention)
        for reader in row.readers:
            full = dead_letter_topic(f"{prefix}{reader}.{row.name}")
            wanted[full] = _new_topic(settings, full, 1, -1)
    made = {each["spec"]["topicName"]: each["spec"] for each in of_kind(objects[name], "KafkaTopic")}
    assert set(made) == set(wanted)
    for full, topic in wanted.items():
        assert made[full]["partitions"] == topic.num_partitions
        assert made[full]["replicas"] == topic.replication_factor
        assert {key: str(value) for key, value in made[full]["config"].items()} == topic.topic_configs


def test_keda_looks_at_each_topic_that_a_service_reads_and_at_its_group(objects: dict[str, Any]) -> None:
    watched = {
        (component(scaled), trigger["metadata"]["topic"], trigger["metadata"]["consumerGroup"])
        for scaled in of_kind(objects["keda"], "ScaledObject")
        for trigger in scaled["spec"]["triggers"]
        if trigger["type"] == "kafka"
    }
    assert watched == {
        (reader, f"season1.{row.name}", f"season1.{reader}.{row.name}") for row in topics() for reader in row.readers
    }


@pytest.mark.parametrize(("name", "user"), [("keda", "jiebang-kafka-client"), ("external", "mongodb://stand-in")])
def test_every_pod_comes_to_kafka_as_the_user_over_tls(objects: dict[str, Any], name: str, user: str) -> None:
    for document, spec, _ in pods_of(objects[name]):
        for container in spec["containers"]:
            environment = given(objects[name], container)
            if "JIEBANG_KAFKA_BOOTSTRAP" in environment:
                settings = Settings.load({key: value for key, value in environment.items() if "_KAFKA_" in key})
                assert settings.kafka_username == user, document["metadata"]["name"]
                mounts = {each["mountPath"]: each["name"] for each in container["volumeMounts"]}
                assert settings.kafka_ca_file is not None
                (volume,) = [
                    each for each in spec["volumes"] if each["name"] == mounts[str(settings.kafka_ca_file.parent)]
                ]
                assert [item["path"] for item in volume["secret"]["items"]] == [settings.kafka_ca_file.name]
    if name == "keda":
        assert [each["metadata"]["name"] for each in of_kind(objects[name], "KafkaUser")] == [user]


def test_keda_looks_at_the_queue_of_each_worker(objects: dict[str, Any]) -> None:
    watched = {
        component(scaled): (trigger["metadata"]["dbName"], trigger["metadata"]["collection"])
        for scaled in of_kind(objects["keda"], "ScaledObject")
        for trigger in scaled["spec"]["triggers"]
        if trigger["type"] == "mongodb"
    }
    assert watched == {
        "ingest-scan": ("season1_ingest", "scan_jobs"),
        "scoring-worker": ("season1_scoring", "score"),
        "notify-worker": ("season1_notify", "deliveries"),
    }


# --- what is generated ----------------------------------------------------------------------------------------------


def test_the_schema_and_the_tables_of_the_page_are_made_of_what_is_there_now() -> None:
    assert (CHART / "values.schema.json").read_text() == schema.written(), "run `make helm`"
    page = (CHART / "README.md").read_text("utf-8")
    assert page == readme.written(page), "run `make helm`"


def test_each_value_is_in_the_schema_and_each_of_the_schema_s_has_a_default() -> None:
    def compare(properties: dict[str, Any], values: dict[str, Any], path: str = "") -> list[str]:
        apart = [f"{path}{key}" for key in properties.keys() ^ values.keys()]
        for key in properties.keys() & values.keys():
            inner = properties[key]
            if "$ref" in inner:
                continue
            open_ended = key in {"settings", "variants"} or path.startswith("services.")
            if "properties" in inner and not open_ended:
                apart += compare(inner["properties"], values[key], f"{path}{key}.")
        return apart

    declared = json.loads((CHART / "values.schema.json").read_text())["properties"]
    # A parent chart sets the first two; one of the time-outs is none by default.
    assert sorted(compare(declared, VALUES)) == [
        "enabled", "gateway.timeouts.backendRequest", "global",
    ]  # fmt: skip


def test_the_alerts_are_those_that_are_tested(objects: dict[str, Any]) -> None:
    (rule,) = of_kind(objects["keda"], "PrometheusRule")
    assert rule["spec"] == yaml.safe_load((ROOT / "deploy/observability/alerts.yaml").read_text("utf-8"))
    assert rule["metadata"]["labels"]["release"] == "prometheus"


def test_what_is_scraped_has_the_jobs_that_the_alerts_speak_of(objects: dict[str, Any]) -> None:
    """The job is read from the Service for a ServiceMonitor, from the pod for a PodMonitor."""
    monitors = of_kind(objects["keda"], "ServiceMonitor") + of_kind(objects["keda"], "PodMonitor")
    assert {each["spec"]["jobLabel"] for each in monitors} == {"app.kubernetes.io/component"}
    assert {component(each) for each in monitors} == {row.name for row in SERVICE_PROCESSES}
    labelled = of_kind(objects["keda"], "Service") + of_kind(objects["keda"], "Deployment")
    for monitor in monitors:
        selected = monitor["spec"]["selector"]["matchLabels"].items()
        assert any(selected <= each["metadata"]["labels"].items() for each in labelled)
    alerts = (ROOT / "deploy/observability/alerts.yaml").read_text("utf-8")
    assert "|".join(row.name for row in SERVICE_PROCESSES) in alerts


def test_each_dashboard_is_where_grafana_looks_for_it(objects: dict[str, Any]) -> None:
    made = {
        name: json.loads(text)
        for each in of_kind(objects["production"], "ConfigMap")
        if each["metadata"]["labels"].get("grafana_dashboard") == "1"
        for name, text in each["data"].items()
    }
    assert made == {file.name: json.loads(file.read_text("utf-8")) for file in DASHBOARDS.glob("*.json")}
    assert made


def test_the_key_that_is_made_is_one_that_receipts_can_be_signed_with(
    renderings: dict[str, str], objects: dict[str, Any], tmp_path: Path
) -> None:
    from shared.signing import Signer

    (secret,) = [each for each in of_kind(objects["small"], "Secret") if each["metadata"]["name"].endswith("-signing")]
    file = tmp_path / "key.pem"
    file.write_bytes(base64.b64decode(secret["data"]["signing-key.pem"]))
    assert len(Signer.load(file).public.raw) == 32
