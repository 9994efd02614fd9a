"""Holds rendered objects against the schemas of Kubernetes and of the custom resources, strictly."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
from kubernetes_validate.utils import all_versions
from referencing import Registry, Resource

from deploy.helm.chart import documents
from deploy.helm.tools import STRIMZI, custom_resource_schemas, find_kubeconform

VERSIONS = tuple(f"1.{minor}" for minor in range(29, 38))

_SCHEMAS = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema"


def is_custom(document: dict[str, Any]) -> bool:
    """Whether an object is of a kind that Kubernetes itself does not have."""
    group = document["apiVersion"].rpartition("/")[0]
    return ("." in group and not group.endswith(".k8s.io")) or group == "gateway.networking.k8s.io"


@dataclass(frozen=True)
class Validator:
    """Validates objects; custom ones where there is Go to have kubeconform and the definitions with."""

    kubeconform: Path | None
    schemas: Path | None

    @classmethod
    def found(cls) -> Validator:
        """The validator that this machine can have.

        Raises:
            FetchFailed: there is Go, and it could not fetch or build what is needed.
        """
        return cls(find_kubeconform(), custom_resource_schemas())

    def faults(self, rendered: str, versions: Sequence[str] = VERSIONS) -> list[str]:
        """A line for each fault of a rendering."""
        return [*self.core_faults(rendered, versions), *self.custom_faults(rendered)]

    def core_faults(self, rendered: str, versions: Sequence[str] = VERSIONS) -> list[str]:
        """The faults of the objects that Kubernetes knows, in each of some versions."""
        found = []
        for document in documents(rendered):
            if is_custom(document):
                continue
            for version in versions:
                validator = _core_validator(version, document["apiVersion"], document["kind"])
                for error in validator.iter_errors(document):
                    found.append(f"Kubernetes {version}: {_name(document)}: {error.json_path}: {error.message}")
        return found

    def custom_faults(self, rendered: str) -> list[str]:
        """The faults of custom resources; without Go, of those of Strimzi only."""
        custom = [document for document in documents(rendered) if is_custom(document)]
        strimzi = [document for document in custom if document["apiVersion"].startswith("kafka.strimzi.io/")]
        others = [document for document in custom if document not in strimzi]
        return [*_strimzi_faults(strimzi), *self._kubeconform_faults(others)]

    def _kubeconform_faults(self, custom: list[dict[str, Any]]) -> list[str]:
        if self.kubeconform is None or self.schemas is None or not custom:
            return []
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "objects.json")
            file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": custom}))
            location = f"{self.schemas}/{{{{.ResourceKind}}}}_{{{{.ResourceAPIVersion}}}}.json"
            options = ["-strict", "-output", "json", "-schema-location", location, str(file)]
            finished = subprocess.run([self.kubeconform, *options], capture_output=True, text=True)
        if finished.returncode not in (0, 1) or not finished.stdout.strip():
            raise RuntimeError(f"kubeconform ended with {finished.returncode}: {finished.stderr}")
        answer = json.loads(finished.stdout)
        return [f"{each['kind']} {each['name']}: {each['msg']}" for each in answer.get("resources") or []]


@cache
def _core_validator(version: str, api_version: str, kind: str) -> Any:
    """What `kubernetes_validate.validate` does with `strict`, with each schema read once and not for every object."""
    group, _, name = api_version.rpartition("/")
    file = f"{kind.lower()}-{group.partition('.')[0]}-{name}".replace("--", "-")
    folder = _SCHEMAS / f"v{_release(version)}-local-strict"
    schema = json.loads((folder / f"{file}.json").read_text())
    registry: Registry[Any] = _definitions(folder).with_resource("", Resource.from_contents(schema))
    return jsonschema.Draft202012Validator(schema, registry=registry)


@cache
def _release(version: str) -> str:
    return str(next(known for known in all_versions() if known.startswith(f"{version}.")))


@cache
def _definitions(folder: Path) -> Registry[Any]:
    resource = Resource.from_contents(json.loads((folder / "_definitions.json").read_text()))
    return resource @ Registry()


def _strimzi_faults(custom: list[dict[str, Any]]) -> list[str]:
    found = []
    for document in custom:
        version = document["apiVersion"].partition("/")[2]
        schema = json.loads((STRIMZI / f"{document['kind'].lower()}_{version}.json").read_text())
        for error in jsonschema.Draft7Validator(schema).iter_errors(document):
            found.append(f"{_name(document)}: {error.json_path}: {error.message}")
    return found


def _name(document: dict[str, Any]) -> str:
    return f"{document['kind']} {document['metadata']['name']}"
