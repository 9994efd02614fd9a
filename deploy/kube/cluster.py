"""A cluster as its user has it: a kubeconfig, kubectl and helm."""

from __future__ import annotations

import json
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from deploy.helm.tools import find_helm, find_kubectl


class Refused(Exception):
    """kubectl or helm ended with a fault; the message is theirs."""


@dataclass(frozen=True)
class Cluster:
    """Runs kubectl and helm against one cluster."""

    kubeconfig: Path

    @property
    def server(self) -> str:
        """The address of the API server."""
        known: str = yaml.safe_load(self.kubeconfig.read_text())["clusters"][0]["cluster"]["server"]
        return known

    def kubectl(self, *arguments: str, objects: str | list[dict[str, Any]] | None = None) -> str:
        """What kubectl says; `objects` (YAML, or the objects themselves) are its standard input.

        Raises:
            Refused: it ended with a fault.
        """
        given = yaml.safe_dump_all(objects) if isinstance(objects, list) else objects
        return self._run(find_kubectl(), arguments, given)

    def helm(self, *arguments: str) -> str:
        """What helm says.

        Raises:
            Refused: it ended with a fault.
        """
        return self._run(find_helm(), arguments, None)

    def get(self, kind: str, name: str, namespace: str) -> dict[str, Any]:
        """One object.

        Raises:
            Refused: there is none of that name.
        """
        found: dict[str, Any] = json.loads(self.kubectl("get", kind, name, "-n", namespace, "-o", "json"))
        return found

    def list(self, kinds: str, namespace: str, selector: str = "") -> list[dict[str, Any]]:
        """The objects of some kinds (`pods,secrets`) in a namespace."""
        chosen = [f"--selector={selector}"] if selector else []
        found: list[dict[str, Any]] = json.loads(self.kubectl("get", kinds, "-n", namespace, "-o", "json", *chosen))[
            "items"
        ]
        return found

    def wait(self, kinds: str, condition: str, within: float = 60.0) -> None:
        """Waits until every object of a kind has a condition; `kubectl wait` ends at one that has none at all yet.

        Raises:
            Refused: they have it not in time.
        """
        deadline = time.monotonic() + within
        while True:
            objects = json.loads(self.kubectl("get", kinds, "-o", "json"))["items"]
            without = [each["metadata"]["name"] for each in objects if not _has(each, condition)]
            if objects and not without:
                return
            if time.monotonic() > deadline:
                raise Refused(
                    f"{kinds}: not {condition} within {within:.0f} s: {', '.join(without) or 'there is none'}"
                )
            time.sleep(0.2)

    def exec(self, target: str, namespace: str, *command: str) -> subprocess.CompletedProcess[str]:
        """Runs a command in a pod, or in the first pod of a Deployment; how it ended is the caller's to judge."""
        words = ["exec", target, "--namespace", namespace, "--", *command]
        return subprocess.run(
            [find_kubectl(), *words],
            env={**os.environ, "KUBECONFIG": str(self.kubeconfig)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )

    def _run(self, program: Path, arguments: tuple[str, ...], given: str | None) -> str:
        finished = subprocess.run(
            [program, *arguments],
            env={**os.environ, "KUBECONFIG": str(self.kubeconfig)},
            input=given or "",
            capture_output=True,
            text=True,
        )
        if finished.returncode != 0:
            raise Refused(f"{program.name} {' '.join(arguments)}: {(finished.stderr + finished.stdout).strip()}")
        return finished.stdout


def _has(document: dict[str, Any], condition: str) -> bool:
    conditions = document.get("status", {}).get("conditions") or []
    return any(each["type"] == condition and each["status"] == "True" for each in conditions)
