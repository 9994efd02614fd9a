"""The compose file, read as Docker reads it and held against the code, as far as that goes without Docker."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiokafka.admin import AIOKafkaAdminClient

from deploy.docker.images import VARIANTS, name_of, version
from deploy.docker.tools import find_caddy, find_compose_reader
from deploy.helm.settings import PROCESSES as SETTINGS
from deploy.local.fetch import KAFKA_VERSION, Programs
from deploy.local.kafka import KafkaServer
from shared.contracts.registry import topics
from shared.kafka import ensure_topics
from tests.image.locked import ROOT
from tests.image.test_needs import PROCESSES

COMPOSE = ROOT / "deploy/docker/compose.yaml"


def read_plainly() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load(COMPOSE.read_text("utf-8"))
    return read


SERVICES: dict[str, dict[str, Any]] = read_plainly()["services"]
OURS = sorted(PROCESSES)


def test_compose_itself_takes_it_and_reads_in_it_what_we_do() -> None:
    reader = find_compose_reader()
    if reader is None:
        pytest.skip("Compose's reader is built with Go, and there is none")
    told = subprocess.run([reader, "-format", "json", COMPOSE], capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    services = json.loads(told.stdout)["services"]
    assert set(services) == set(SERVICES)
    for name, service in services.items():
        # Two dollars are how the file writes one.
        written = [word.replace("$$", "$") for word in SERVICES[name].get("command", ())]
        assert (service.get("command") or []) == written, name
        assert service.get("environment", {}) == SERVICES[name].get("environment", {}), name


def test_compose_itself_refuses_what_is_no_key(tmp_path: Path) -> None:
    reader = find_compose_reader()
    if reader is None:
        pytest.skip("Compose's reader is built with Go, and there is none")
    (tmp_path / "Caddyfile").touch()
    wrong = tmp_path / "compose.yaml"
    wrong.write_text(COMPOSE.read_text("utf-8").replace("    read_only: true", "    read_onyl: true"))
    told = subprocess.run([reader, wrong], capture_output=True, text=True)
    assert told.returncode != 0
    assert "read_onyl" in told.stderr + told.stdout


def test_it_runs_every_process_of_the_platform_and_no_other() -> None:
    assert set(SERVICES) == {*OURS, "kafka", "mongodb", "prepare", "gateway"}


@pytest.mark.parametrize("name", OURS)
def test_a_process_is_the_module_and_the_variant_that_the_chart_runs(name: str) -> None:
    expected = PROCESSES[name]
    assert SERVICES[name]["command"] == ["python", "-m", expected["module"]]
    assert SERVICES[name]["image"] == name_of(expected["variant"])
    assert SERVICES[name]["build"]["args"] == {"VARIANT": expected["variant"], "VERSION": version()}
    assert expected["variant"] in VARIANTS


@pytest.mark.parametrize("name", OURS)
def test_a_process_takes_its_settings_and_listens_where_it_is_looked_for(name: str) -> None:
    settings = SETTINGS[name].load(SERVICES[name]["environment"])
    assert settings.internal_port == 9090
    assert "127.0.0.1:9090/readyz" in " ".join(SERVICES[name]["healthcheck"]["test"])
    assert settings.host == "0.0.0.0"
    assert settings.kafka_bootstrap == ("kafka:9092",)
    if PROCESSES[name].get("routes"):
        assert settings.port == 8080
    mounted = {volume.partition(":")[2] for volume in SERVICES[name].get("volumes", ())}
    assert ("/var/lib/jiebang/objects" in mounted) == bool(PROCESSES[name].get("objects"))
    assert ("/var/lib/jiebang/signing" in mounted) == bool(PROCESSES[name].get("signs"))


@pytest.mark.parametrize("name", OURS)
def test_a_worker_may_use_as_much_memory_as_in_the_chart(name: str) -> None:
    if PROCESSES[name]["variant"] == "engine":
        assert SERVICES[name]["mem_limit"] == PROCESSES[name]["resources"]["limits"]["memory"].lower().removesuffix("i")


def test_topics_and_indexes_are_prepared_for_every_part_of_the_api_before_it_starts() -> None:
    script = SERVICES["prepare"]["command"][-1]
    (listed,) = re.findall(
        r"^for service in ([a-z ]+); do python -m services\.\$\$service\.app --prepare; done$", script
    )
    assert {f"services.{name}.app" for name in listed.split()} == {
        process["module"] for process in PROCESSES.values() if process.get("routes")
    }
    for name in OURS:
        assert SERVICES[name]["depends_on"] == {"prepare": {"condition": "service_completed_successfully"}}


def test_nothing_but_the_gateway_is_reached_and_it_from_this_machine_alone() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {"gateway": ["127.0.0.1:8080:8080"]}
    outside = {name for name, service in SERVICES.items() if "outside" in service["networks"]}
    assert outside == {"gateway", "notify-worker"}
    assert read_plainly()["networks"]["platform"] == {"internal": True}


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_every_container_is_without_privilege(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    if name not in ("kafka", "mongodb"):
        assert service["read_only"] is True
        assert service["user"] == "10001:10001"


def test_there_is_no_secret_in_it() -> None:
    said = re.findall(r"(?im)^ *[\w-]*(?:password|secret|token|api_key)[\w-]*\s*:.*$", COMPOSE.read_text("utf-8"))
    assert said == []
    assert "@" not in SERVICES["board"]["environment"]["JIEBANG_MONGO_URI"]


def test_the_images_of_others_are_those_that_the_rest_of_the_project_names() -> None:
    chart = yaml.safe_load((ROOT / "deploy/helm/jiebang/values.yaml").read_text("utf-8"))
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{KAFKA_VERSION}"
    assert SERVICES["mongodb"]["image"] == chart["mongodb"]["trial"]["image"]
    caddy = subprocess.run([find_caddy(), "version"], capture_output=True, text=True, check=True).stdout.split()[0]
    assert SERVICES["gateway"]["image"] == f"caddy:{caddy.removeprefix('v')}"


def properties(environment: dict[str, str]) -> dict[str, str]:
    """Kafka's settings as its image makes them of an environment."""
    return {
        name.removeprefix("KAFKA_").lower().replace("_", "."): value
        for name, value in environment.items()
        if name.startswith("KAFKA_") and name != "KAFKA_HEAP_OPTS"
    }


class ComposedKafka(KafkaServer):
    """A broker with the compose file's settings, at addresses of this machine."""

    def _properties(self, data: Path) -> str:
        given = "\n".join(f"{name}={value}" for name, value in properties(SERVICES["kafka"]["environment"]).items())
        here = given.replace("kafka:9092", self.bootstrap).replace("://:9092", f"://{self.bootstrap}")
        controller = f"127.0.0.1:{self._controller_port}"
        here = here.replace("kafka:9093", controller).replace("://:9093", f"://{controller}")
        return here.replace("/var/lib/kafka/data", str(data)) + "\n"


async def test_kafka_starts_with_these_settings_and_takes_the_topics(programs: Programs, tmp_path: Path) -> None:
    broker = ComposedKafka(tmp_path, programs)
    await broker.start()
    try:
        environment = {**SERVICES["board"]["environment"], "JIEBANG_KAFKA_BOOTSTRAP": broker.bootstrap}
        await ensure_topics(SETTINGS["board"].load(environment))
        admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
        await admin.start()
        assert {row.name for row in topics()} <= set(await admin.list_topics())
        await admin.close()
    finally:
        await broker.stop()
