"""Writes the image's bill of materials (CycloneDX 1.5, JSON) of what is really installed in it.

Runs with the image's own Python while it is built, and with the standard library alone: the Python packages as the
lock file describes them, Debian's as dpkg does. It refuses a Python package that is not locked in that version.
"""

from __future__ import annotations

import json
import re
import sys
from importlib.metadata import distributions
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import UUID, uuid5

Component = dict[str, Any]

NAMESPACE = UUID("6f1d7a3c-4b0e-5d52-9f5e-1f0f3a8c7e11")
"""Where the serial numbers come from: the same components have the same one, in every build."""


def normal(name: str) -> str:
    """A package's name as the index of packages spells it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def of_project(locked: dict[str, Any]) -> str:
    """What the project itself is called, as a package URL."""
    project = locked["metadata"]["component"]
    return f"pkg:pypi/{normal(project['name'])}@{project['version']}"


def installed() -> dict[str, str]:
    """Name and version of every Python package that this interpreter finds."""
    return {normal(found.metadata["Name"]): found.version for found in distributions()}


def python_components(
    locked: dict[str, Any], here: dict[str, str]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The locked components that are installed and what they need of each other; the project itself is not among them.

    Raises:
        SystemExit: a package is installed that is not locked, or in another version.
    """
    project = normal(locked["metadata"]["component"]["name"])
    described = {(normal(each["name"]), each["version"]): each for each in locked["components"]}
    strange = sorted(
        f"{name} {version}" for name, version in here.items() if name != project and (name, version) not in described
    )
    if strange:
        raise SystemExit(f"installed, but not as it is locked: {', '.join(strange)}")
    references = {
        described[name, version]["bom-ref"]: described[name, version]["purl"]
        for name, version in here.items()
        if name != project
    }
    references[locked["metadata"]["component"]["bom-ref"]] = (
        f"pkg:pypi/{project}@{locked['metadata']['component']['version']}"
    )
    components = [
        {"type": "library", "bom-ref": each["purl"], "name": name, "version": version, "purl": each["purl"]}
        for (name, version), each in sorted(described.items())
        if here.get(name) == version
    ]
    needs = [
        {
            "ref": references[each["ref"]],
            "dependsOn": sorted(references[need] for need in each.get("dependsOn", ()) if need in references),
        }
        for each in locked["dependencies"]
        if each["ref"] in references
    ]
    return components, sorted(needs, key=lambda each: str(each["ref"]))


def debian_components(status: str, release: str) -> list[Component]:
    """The packages that are installed according to dpkg's `status`, on the system that `os-release` describes."""
    system = dict(line.split("=", 1) for line in release.splitlines() if "=" in line)
    distribution = f"{system['ID']}-{system.get('VERSION_ID', '')}".replace('"', "").rstrip("-")
    components = []
    for paragraph in status.split("\n\n"):
        fields = dict(re.findall(r"^([A-Za-z-]+): (.*)$", paragraph, re.MULTILINE))
        if fields.get("Status", "").endswith(" installed"):
            name, version, machine = fields["Package"], fields["Version"], fields["Architecture"]
            purl = f"pkg:deb/debian/{name}@{quote(version, safe='~')}?arch={machine}&distro={distribution}"
            components.append({"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl})
    return sorted(components, key=lambda each: str(each["name"]))


def bill(locked: dict[str, Any], here: dict[str, str], debian: list[Component]) -> dict[str, Any]:
    """The bill of materials as a document; nothing in it depends on when it is made."""
    python, needs = python_components(locked, here)
    project = locked["metadata"]["component"]
    document: dict[str, Any] = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": of_project(locked),
                "name": project["name"],
                "version": project["version"],
                "purl": of_project(locked),
                "licenses": [{"license": {"id": "Apache-2.0"}}],
            }
        },
        "components": [*python, *debian],
        "dependencies": needs,
    }
    document["serialNumber"] = f"urn:uuid:{uuid5(NAMESPACE, json.dumps(document, sort_keys=True))}"
    return document


def main(locked: Path, base: Path, target: Path) -> None:
    """Writes to `target` what this Python finds, described by uv's export of the lock file in `locked`, and what is in
    the base, whose `status` of dpkg and `os-release` are in that folder.
    """
    debian = debian_components((base / "status").read_text("utf-8"), (base / "os-release").read_text("utf-8"))
    document = bill(json.loads(locked.read_text("utf-8")), installed(), debian)
    target.write_text(json.dumps(document, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
