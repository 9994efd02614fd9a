from __future__ import annotations

from datetime import timedelta

import pytest

from shared.settings import Duration, Settings, SettingsError


class IngestSettings(Settings, process="ingest"):
    scan_deadline: Duration = timedelta(minutes=15)
    most_bytes: int = 10


class ScanSettings(IngestSettings, process="ingest_scan"):
    recorded_result: str = ""


def test_fields_are_read_from_the_variables_of_platform_service_and_process() -> None:
    settings = ScanSettings.load(
        {
            "JIEBANG_KAFKA_BOOTSTRAP": "a:1, b:2",
            "JIEBANG_INGEST_SCAN_DEADLINE": "90s",
            "JIEBANG_INGEST_SCAN_INTERNAL_PORT": "81",
            "JIEBANG_INGEST_SCAN_RECORDED_RESULT": "x.json",
            "PATH": "/bin",
        }
    )
    assert settings.kafka_bootstrap == ("a:1", "b:2")
    assert settings.scan_deadline == timedelta(seconds=90)
    assert settings.internal_port == 81
    assert settings.recorded_result == "x.json"
    assert ScanSettings.process == "ingest_scan"


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("250ms", timedelta(milliseconds=250)),
        ("1.5h", timedelta(minutes=90)),
        ("7d", timedelta(days=7)),
        ("PT5M", timedelta(minutes=5)),
        ("30", timedelta(seconds=30)),
    ],
)
def test_durations_are_read(text: str, length: timedelta) -> None:
    assert IngestSettings.load({"JIEBANG_INGEST_SCAN_DEADLINE": text}).scan_deadline == length


def test_an_unknown_variable_names_the_nearest_known_one() -> None:
    with pytest.raises(SettingsError, match=r"JIEBANG_KAFKA_BOOTSTRAPS is not .* JIEBANG_KAFKA_BOOTSTRAP$"):
        IngestSettings.load({"JIEBANG_KAFKA_BOOTSTRAPS": "a:1"})
    with pytest.raises(SettingsError, match=r"JIEBANG_INGEST_MOST_BITES is not .* JIEBANG_INGEST_MOST_BYTES$"):
        IngestSettings.load({"JIEBANG_INGEST_MOST_BITES": "1"})


def test_variables_of_other_processes_are_theirs() -> None:
    IngestSettings.load({"JIEBANG_SCORING_WORKER_ANYTHING": "1", "JIEBANG_INGEST_SCAN_INTERNAL_PORT": "5"})


@pytest.mark.parametrize("port", ["eighty", "", "8.5"])
def test_a_wrong_value_is_told_with_its_variable(port: str) -> None:
    with pytest.raises(SettingsError, match=r"JIEBANG_INGEST_PORT: "):
        IngestSettings.load({"JIEBANG_INGEST_PORT": port})


def test_all_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(SettingsError) as told:
        IngestSettings.load({"JIEBANG_NONSENSE": "1", "JIEBANG_INGEST_PORT": "x", "JIEBANG_BENCH": "perhaps"})
    assert len(str(told.value).splitlines()) == 3


def test_a_secret_in_the_database_address_is_not_shown() -> None:
    settings = IngestSettings.load({"JIEBANG_MONGO_URI": "mongodb://user:canary@host/"})
    assert "canary" not in repr(settings)


def test_a_start_with_wrong_settings_exits_with_a_readable_message(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("JIEBANG_MONGO_URL", "mongodb://user:canary@host/")
    with pytest.raises(SystemExit) as left:
        IngestSettings.load_or_exit()
    assert left.value.code == 2
    told = capsys.readouterr().err
    assert "JIEBANG_MONGO_URL is not a setting; the nearest one is JIEBANG_MONGO_URI" in told
    assert "canary" not in told
