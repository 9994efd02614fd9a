"""The image, built for real and run as a cluster runs it: another user, nothing to write on, no privilege."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from deploy.docker.containers import Built, CannotBuild, Containers, Podman
from deploy.docker.images import VARIANTS, Base, archive, bill_of_materials, build, compressed_size, find_base, version
from tests.eventually import eventually
from tests.image.locked import group, versions
from tests.image.test_needs import API, PROCESSES

pytestmark = pytest.mark.timeout(900)

RESTRICTED = ("--read-only", "--tmpfs=/tmp", "--cap-drop=all", "--security-opt=no-new-privileges")
ENGINE = sorted(process["module"] for process in PROCESSES.values() if process["variant"] == "engine")


@pytest.fixture(params=VARIANTS)
def image(request: pytest.FixtureRequest, images: Mapping[str, Built]) -> Built:
    """Each variant in turn."""
    return images[request.param]


def run(containers: Containers, image: Built, *command: str, options: tuple[str, ...] = ()) -> str:
    """What a command says in the restricted container; it must end well."""
    told = containers.run(image.name, command, (*RESTRICTED, *options))
    assert told.returncode == 0, told.stderr + told.stdout
    return told.stdout


def run_python(containers: Containers, image: Built, script: str) -> Any:
    """What a script prints, read as JSON."""
    return json.loads(run(containers, image, "python", "-c", script))


# --- what it is --------------------------------------------------------------------------------------------------


def test_it_says_what_it_is(image: Built) -> None:
    labels = image.settings["Labels"]
    assert labels["org.opencontainers.image.version"] == version()
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert labels["org.opencontainers.image.title"] in image.name.replace("-tested", "")
    assert {f"org.opencontainers.image.{label}" for label in ("source", "revision", "created")} <= set(labels)
    assert image.settings["User"] == "10001:10001"
    assert image.settings["StopSignal"] in ("SIGTERM", "15")


def test_it_runs_as_nobody_known_with_nothing_to_write_on(containers: Containers, image: Built) -> None:
    status = run(containers, image, "cat", "/proc/self/status")
    facts = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert facts["Uid"].split() == ["10001"] * 4
    assert int(facts["CapBnd"], 16) == 0
    assert facts["NoNewPrivs"] == "1"
    assert facts["Seccomp"] == "2"
    refused = containers.run(image.name, ["touch", "/srv/jiebang/x"], RESTRICTED)
    assert "Read-only file system" in refused.stderr


def test_its_user_owns_nothing_of_it_even_where_the_root_may_be_written(containers: Containers, image: Built) -> None:
    writable = containers.run(
        image.name, ["find", "/", "-xdev", "!", "-type", "l", "-writable", "-not", "-path", "/tmp"], ["--cap-drop=all"]
    )
    assert [
        path
        for path in writable.stdout.split()
        if not path.startswith(("/run", "/var/tmp", "/var/lock", "/var/lib/jiebang"))
    ] == []


@pytest.mark.parametrize("folder", ["objects", "signing"])
def test_a_new_volume_belongs_to_its_user(containers: Containers, image: Built, folder: str) -> None:
    path = f"/var/lib/jiebang/{folder}"
    assert run(containers, image, "sh", "-c", f"touch {path}/x && ls {path}", options=(f"--volume={path}",)) == "x\n"


@pytest.mark.parametrize("program", ["gcc", "cc", "make", "uv", "git", "curl"])
def test_it_carries_no_program_that_nothing_needs(containers: Containers, image: Built, program: str) -> None:
    assert not run_python(containers, image, f"import json, shutil; print(json.dumps(shutil.which({program!r})))")


def test_every_module_of_it_is_compiled_and_does_not_look_at_times(containers: Containers, image: Built) -> None:
    told = run_python(
        containers,
        image,
        """
import importlib.util, json, pathlib
missing, checked, good = [], [], 0
for root in ("/opt/jiebang/lib", "/srv/jiebang"):
    for source in pathlib.Path(root).rglob("*.py"):
        compiled = pathlib.Path(importlib.util.cache_from_source(source))
        if not compiled.exists():
            missing.append(str(source))
        elif int.from_bytes(compiled.read_bytes()[4:8], "little") != 1:
            checked.append(str(source))
        else:
            good += 1
print(json.dumps([missing, checked, good]))
""",
    )
    missing, checked, good = told
    # A few files of packages are templates or tests of what Python refuses.
    assert [
        path for path in missing if "/srv/jiebang/" in path or "/jiebang/" in path.partition("site-packages")[2]
    ] == []
    assert len(missing) < 5, missing
    assert checked == []
    assert good > 1000


# --- the two variants --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", API)
def test_the_api_starts_every_process_of_its_own(containers: Containers, images: dict[str, Built], module: str) -> None:
    imported = run_python(
        containers, images["api"], f"import json, sys, {module}; print(json.dumps(sorted(sys.modules)))"
    )
    assert module in imported
    assert "jiebang.judge" not in imported


@pytest.mark.parametrize("package", ["duckdb", "pyarrow", "numpy", "hyperscan", "typer"])
def test_the_api_has_no_library_of_the_engine(containers: Containers, images: dict[str, Built], package: str) -> None:
    script = f"import json, importlib.util; print(json.dumps(importlib.util.find_spec({package!r}) is not None))"
    assert run_python(containers, images["api"], script) is False
    assert run_python(containers, images["engine"], script) is True


@pytest.mark.parametrize("module", ENGINE)
def test_a_worker_starts_and_says_which_setting_it_lacks(
    containers: Containers, images: dict[str, Built], module: str
) -> None:
    told = containers.run(images["engine"].name, ["python", "-m", module], RESTRICTED)
    assert told.returncode != 0
    assert "cannot start with these settings" in told.stdout + told.stderr


def test_the_engine_judges_a_dataset_as_it_does_outside(
    containers: Containers, images: dict[str, Built], tmp_path: Path
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "t.csv").write_text("id,name,price\n1,a,2.5\n2,b,\n2,b,\n")
    tmp_path.chmod(0o755)
    given = (f"--volume={tmp_path}:{tmp_path}:ro",)
    inside = json.loads(run(containers, images["engine"], "jiebang", "score", str(data), "--json", options=given))
    outside = json.loads(
        subprocess.run(
            [Path(sys.executable).with_name("jiebang"), "score", str(data), "--json"],
            capture_output=True,
            text=True,
            check=True,
            env={name: value for name, value in os.environ.items() if not name.startswith("JIEBANG_")},
        ).stdout
    )
    assert inside["measures"]
    assert inside == outside


def test_escape_fails_in_the_sandbox_without_any_privilege(containers: Containers, images: dict[str, Built]) -> None:
    script = "import json; from jiebang.sandbox import self_test; print(json.dumps(self_test()))"
    assert run_python(containers, images["engine"], script) == []


# --- the bill of materials ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_bill_of_materials_is_what_is_installed(
    containers: Containers, images: dict[str, Built], variant: str
) -> None:
    image = images[variant]
    bill = json.loads(bill_of_materials(containers, variant, name=image.name))
    assert bill["bomFormat"] == "CycloneDX"
    listed = {(each["purl"].partition("/")[0], each["name"], each["version"]) for each in bill["components"]}
    installed = run_python(
        containers,
        image,
        "import json; from importlib.metadata import distributions as every; "
        "print(json.dumps([[each.metadata['Name'], each.version] for each in every()]))",
    )
    python = {(re.sub(r"[-_.]+", "-", name).lower(), version) for name, version in installed}
    assert {each[1:] for each in listed if each[0] == "pkg:pypi"} == python - {("jiebang", version())}
    debian = run(
        containers, image, "dpkg-query", "--show", "--showformat", "${Package} ${Version} ${db:Status-Status}\n"
    )
    packaged = {tuple(line.split()[:2]) for line in debian.splitlines() if line.endswith(" installed")}
    assert {each[1:] for each in listed if each[0] == "pkg:deb"} == packaged
    assert {"libc6", "ca-certificates"} <= {name for name, _ in packaged}


def test_every_python_package_is_as_it_is_locked(containers: Containers, images: dict[str, Built]) -> None:
    locked = versions()
    bills = {
        variant: json.loads(bill_of_materials(containers, variant, name=images[variant].name)) for variant in VARIANTS
    }
    listed = {
        variant: {each["name"]: each["version"] for each in bill["components"] if each["purl"].startswith("pkg:pypi/")}
        for variant, bill in bills.items()
    }
    for found in listed.values():
        assert {f"{name}=={version}" for name, version in found.items()} <= locked
    assert set(listed["api"]) <= group("services")
    assert {"duckdb", "pyarrow"} <= set(listed["engine"]) - set(listed["api"])
    assert {each["ref"] for bill in bills.values() for each in bill["dependencies"]} >= {
        "pkg:pypi/jiebang@" + version()
    }


# --- how it is built ---------------------------------------------------------------------------------------------


def test_another_machine_builds_the_same_layers(
    containers: Containers, base: Base, images: dict[str, Built], tree: Path
) -> None:
    if not isinstance(containers, Podman):
        pytest.skip("docker has one store: there is no other to build in")
    with tempfile.TemporaryDirectory() as folder:
        elsewhere = Podman(Path(folder))
        found = find_base(elsewhere, base.name)
        again = build(elsewhere, found, "engine", context=tree, name="localhost/jiebang-tested-elsewhere")
    assert again.layers == images["engine"].layers


def test_a_variant_that_is_none_is_refused(containers: Containers, base: Base, tree: Path) -> None:
    with pytest.raises(CannotBuild, match="VARIANT is api or engine, not 'both'"):
        build(containers, base, "both", context=tree, name="localhost/jiebang-tested-none")


def test_its_archive_names_it_and_holds_its_layers_compressed(
    containers: Containers, images: dict[str, Built], tmp_path: Path
) -> None:
    image = images["api"]
    packed = archive(containers, "api", tmp_path, name=image.name)
    if isinstance(containers, Podman):
        assert 0 < (compressed_size(packed) or 0) < image.size / 2
    with tarfile.open(packed) as opened:
        index = opened.extractfile("index.json")
        assert index is not None
        assert image.name in index.read().decode()


async def test_nothing_is_left_running_or_mounted(containers: Containers, images: dict[str, Built]) -> None:
    if not isinstance(containers, Podman):
        pytest.skip("what docker's daemon leaves is not this test's to say")
    run(containers, images["api"], "true")
    store = Path(containers.environment["CONTAINERS_STORAGE_CONF"]).parent

    def left() -> list[str]:
        listed = subprocess.run(
            ["podman", "ps", "--all", "--quiet"], env=containers.environment, capture_output=True, text=True, check=True
        )
        return listed.stdout.split() + [
            line for line in Path("/proc/mounts").read_text().splitlines() if str(store) in line
        ]

    # Another build on this machine may be using the same store.
    await eventually(lambda: not left(), within=120, every=1, what="containers or mounts are left")
