"""What the image of the API's processes may be without, told from their imports on this machine."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import yaml

from tests.image.locked import ROOT, group, packages

PROCESSES = yaml.safe_load((ROOT / "deploy/helm/jiebang/values.yaml").read_text("utf-8"))["services"]
API = sorted(process["module"] for process in PROCESSES.values() if process["variant"] == "api")

# Imports a module where nothing can be imported that belongs to other packages than the given ones.
IMPORT_WITHOUT_THE_REST = """
import importlib, json, re, sys
from importlib.metadata import packages_distributions
allowed = set(json.loads(sys.argv[2]))
owners = {
    top: {re.sub(r"[-_.]+", "-", package).lower() for package in packages}
    for top, packages in packages_distributions().items()
}
class Absent:
    def find_spec(self, name, path=None, target=None):
        if owners.get(name, allowed).isdisjoint(allowed):
            raise ModuleNotFoundError(f"No module named {name!r} in this image", name=name)
sys.meta_path.insert(0, Absent())
importlib.import_module(sys.argv[1])
"""


def import_alone(module: str, packages: set[str]) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-c", IMPORT_WITHOUT_THE_REST, module, json.dumps(sorted(packages))]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True)


@pytest.mark.parametrize("module", API)
def test_a_process_of_the_api_starts_with_what_its_group_brings_and_no_more(module: str) -> None:
    told = import_alone(module, group("services") | {"jiebang"})
    assert told.returncode == 0, (
        f"{told.stderr}\nThe image `api` has not what {module} imports: import it where it is used, or name it in the "
        "group `services` of pyproject.toml"
    )


def test_the_engine_does_not_start_with_it() -> None:
    told = import_alone("jiebang.judge", group("services") | {"jiebang"})
    assert "in this image" in told.stderr


def test_the_group_of_the_services_brings_nothing_that_reads_data() -> None:
    assert not group("services") & {"duckdb", "pyarrow", "numpy", "pandas", "hyperscan"}


def test_the_tools_that_build_the_image_are_those_of_the_lock_file() -> None:
    written = (ROOT / "deploy/docker/build-tools.txt").read_text("utf-8")
    pinned = {line.split()[0] for line in written.splitlines() if "==" in line}
    locked = packages()
    expected = {f"{name}=={locked[name]['version']}" for name in group("image")}
    assert pinned == expected, "run `make image`, and commit what it writes"
    hashes = {line.strip().rstrip(" \\").removeprefix("--hash=") for line in written.splitlines() if "--hash=" in line}
    files = [file for name in group("image") for file in (*locked[name]["wheels"], locked[name].get("sdist"))]
    assert hashes == {file["hash"] for file in files if file}
