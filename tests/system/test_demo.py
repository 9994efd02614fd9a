"""The demo as a person runs it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

from deploy.local.ports import free_port
from jiebang.receipt import verify_receipt


async def begin(output: Path, **environment: str) -> asyncio.subprocess.Process:
    command = [sys.executable, "-m", "deploy.local.demo", "--output", str(output)]
    return await asyncio.create_subprocess_exec(
        *command,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, **environment, "TMPDIR": str(output.parent)},
    )


async def demo(output: Path, **environment: str) -> tuple[int | None, str]:
    process = await begin(output, **environment)
    shown, _ = await process.communicate()
    return process.returncode, shown.decode()


async def test_the_demo_prints_three_leaderboards_and_the_refusals_and_leaves_reports(tmp_path: Path) -> None:
    code, shown = await demo(tmp_path / "out")
    assert code == 0, shown
    for title in ("Antarctic penguins (science)", "airports (transportation)", "treatments (healthcare)"):
        assert title in shown
    for reason in ("ratio_too_high", "pickle", "truncated"):
        assert reason in shown
    assert "Sponsors were told of 13 scores" in shown
    reports = list((tmp_path / "out" / "reports").glob("*.html"))
    assert len(reports) == 13
    assert all("<html" in report.read_text() for report in reports)
    page = (tmp_path / "out" / "index.html").read_text()
    linked = set(re.findall(r'href="([^"#]+)"', page))
    assert {f"reports/{report.name}" for report in reports} <= linked
    assert all((tmp_path / "out" / place).is_file() for place in linked)
    assert "ratio_too_high" in page
    assert page.index("(not the team's best)") > page.index("every third record twice"), "it stands after the board"
    receipts = {file.stem: json.loads(file.read_text()) for file in (tmp_path / "out" / "receipts").glob("*.json")}
    keys = receipts.pop("keys")
    assert len(receipts) == 16
    assert len({verify_receipt(receipt, keys)["submission"] for receipt in receipts.values()}) == 16
    certificates = sorted((tmp_path / "out" / "certificates").glob("*.zip"))
    assert certificates, shown
    assert "Certificates, each verified offline" in shown
    for certificate in certificates:
        dataset = tmp_path / "out" / "data" / certificate.stem
        assert (await verify(certificate, dataset))["valid"], certificate
    raw = bytearray(certificates[0].read_bytes())
    raw[len(raw) // 2] ^= 1
    certificates[0].write_bytes(raw)
    assert not (await verify(certificates[0]))["valid"]
    assert os.listdir(tmp_path) == ["out"]


async def verify(certificate: Path, dataset: Path | None = None) -> dict[str, Any]:
    """What `jiebang verify` says of a certificate, by the root key that the demo has kept."""
    command = [str(Path(sys.executable).parent / "jiebang"), "verify", str(certificate), "--json"]
    command += ["--root", str(certificate.parent / "root.pem")]
    if dataset is not None:
        command += ["--dataset", str(dataset)]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    shown, _ = await process.communicate()
    found: dict[str, Any] = json.loads(shown)
    assert (process.returncode == 0) == found["valid"]
    return found


async def test_a_demo_that_cannot_be_played_says_why_and_exits_with_1(tmp_path: Path) -> None:
    away = free_port()
    code, shown = await demo(
        tmp_path / "out",
        JIEBANG_KAFKA_BOOTSTRAP=f"127.0.0.1:{away}",
        JIEBANG_MONGO_URI="mongodb://127.0.0.1:1/?directConnection=true",
    )
    assert code == 1
    assert f"Kafka at 127.0.0.1:{away} did not create the topics" in shown
    assert "Traceback" not in shown


async def test_the_demo_empties_no_folder_but_its_own(tmp_path: Path) -> None:
    precious = tmp_path / "out" / "thesis.txt"
    precious.parent.mkdir()
    precious.write_text("years of work")
    code, shown = await demo(tmp_path / "out")
    assert code == 1
    assert "no demo made" in shown
    assert precious.read_text() == "years of work"


async def test_a_demo_that_is_ended_by_sigterm_leaves_nothing_behind(tmp_path: Path) -> None:
    process = await begin(tmp_path / "out")
    assert process.stdout is not None
    said = b""
    while b"starting" not in said:
        line = await process.stdout.readline()
        assert line, said.decode()
        said += line
    assert any(name.startswith("jiebang-demo-") for name in os.listdir(tmp_path)), "its state is there"
    process.terminate()
    rest, _ = await process.communicate()
    assert process.returncode == 130, (said + rest).decode()
    assert b"nothing is left running" in rest
    assert os.listdir(tmp_path) == ["out"]
