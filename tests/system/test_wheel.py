"""What `pip install jiebang` brings: the engine alone, in an environment that knows nothing of the platform."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from importlib.resources import files
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# What a person types into a notebook's cells.
SESSION = """
import decimal, json, sys
import jiebang

report = jiebang.score(sys.argv[1], label="species")
picture = report._repr_html_()
print(json.dumps({
    "total": report.total,
    "grade": report.grade,
    "COM-1": [report["COM-1"].num, report["COM-1"].den],
    "BAL-1": report["BAL-1"].value,
    "drawn": picture.lstrip().startswith("<") and f"{decimal.Decimal(report.total):.2f}" in picture,
    "elsewhere": sorted(name for name in sys.modules if name.split(".")[0] in {"shared", "services", "faststream"}),
}))
"""


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run([str(word) for word in command], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT, cwd=folder)
    (built,) = folder.glob("jiebang-*.whl")
    return built


def test_the_wheel_holds_the_engine_and_nothing_of_the_platform(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"jiebang"}
    assert "jiebang/rubrics/core-0.yaml" in names


def test_the_wheel_alone_scores_in_a_fresh_environment(wheel: Path, tmp_path: Path) -> None:
    run(sys.executable, "-m", "venv", tmp_path / "fresh", cwd=tmp_path)
    python = tmp_path / "fresh" / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wheel, cwd=tmp_path)
    penguins = files("palmerpenguins") / "data" / "penguins.csv"
    seen = json.loads(run(python, "-c", SESSION, str(penguins), cwd=tmp_path))
    assert seen["COM-1"] == [2733, 2752]
    assert seen["BAL-1"] == "0.954982"
    assert seen["drawn"]
    assert seen["elsewhere"] == []
    command = run(
        tmp_path / "fresh" / "bin" / "jiebang", "score", penguins, "--label", "species", "--json", cwd=tmp_path
    )
    assert json.loads(command)["total"] == seen["total"]
