"""Which settings of the services the chart offers, read from the code itself."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from services.board.settings import BoardSettings
from services.ingest.settings import IngestSettings, ScanSettings
from services.notify.settings import NotifySettings
from services.notify.settings import WorkerSettings as NotifyWorkerSettings
from services.ranking.settings import RankingSettings
from services.scoring.settings import ScoringSettings
from services.scoring.settings import WorkerSettings as ScoringWorkerSettings
from shared.settings import PREFIX, Settings

PROCESSES: Mapping[str, type[Settings]] = {
    "board": BoardSettings,
    "ingest": IngestSettings,
    "ingest-scan": ScanSettings,
    "scoring": ScoringSettings,
    "scoring-worker": ScoringWorkerSettings,
    "ranking": RankingSettings,
    "notify": NotifySettings,
    "notify-worker": NotifyWorkerSettings,
}

SET_BY_CHART = {
    "HOST": "every address of the pod",
    "PORT": "8080",
    "INTERNAL_PORT": "9090",
    "KAFKA_BOOTSTRAP": "`kafka`",
    "KAFKA_REPLICATION": "`kafka.replication`, `kafka.strimzi.replicas`",
    "KAFKA_USERNAME": "`kafka.existingSecret`, or the KafkaUser of Strimzi",
    "KAFKA_PASSWORD": "from the same Secret",
    "KAFKA_CA_FILE": "`kafka.caSecret`, or the authority of Strimzi",
    "MONGO_URI": "`mongodb`, from a Secret",
    "OBJECTS_URL": "`objects`",
    "SCRATCH_DIR": "a folder of the pod, of the size `scratchSize`",
    "SIGNING_KEY_FILE": "`signing`, from a Secret",
    "ISSUER": "`certificates`, from a Secret",
}
"""Settings that other values make; they are not offered a second time."""

NOT_FOR_A_CLUSTER = {
    "SANDBOX": "bwrap needs user namespaces, which a pod of the restricted profile may not have",
    "BENCH": "replaces measuring; for benchmarks",
    "RECORDED_RESULT": "replaces measuring; for benchmarks",
    "WEBHOOK_ALLOW_LOOPBACK": "lets webhooks call the machine itself; for a platform on one machine",
}


@dataclass(frozen=True)
class Offered:
    """A setting that `settings` or `services.<name>.settings` takes."""

    name: str
    schema: Mapping[str, Any]
    default: str
    meaning: str


def shared_settings() -> list[Offered]:
    """What `settings` takes: the settings that every process reads."""
    return _offered(Settings, {name: f"{PREFIX}{name.upper()}" for name in Settings.model_fields}, PREFIX)


def own_settings(process: str) -> list[Offered]:
    """What `services.<process>.settings` takes: the settings that no other process defines."""
    settings = PROCESSES[process]
    return _offered(settings, settings.variables, f"{PREFIX}{settings.process.upper()}_")


def _offered(settings: type[Settings], variables: Mapping[str, str], prefix: str) -> list[Offered]:
    meanings = {name: text for each in reversed(settings.__mro__) for name, text in _docstrings(each).items()}
    return [
        Offered(name.upper(), _schema(field.annotation), _written(field.default), meanings.get(name, ""))
        for name, field in settings.model_fields.items()
        if variables[name] == f"{prefix}{name.upper()}" and name.upper() not in SET_BY_CHART | NOT_FOR_A_CLUSTER
    ]


def _docstrings(cls: type) -> dict[str, str]:
    """The sentence under each field of a class."""
    if not issubclass(cls, Settings):
        return {}
    (node,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    assert isinstance(node, ast.ClassDef)
    found = {}
    for field, after in zip(node.body, node.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(after, ast.Expr):
            found[field.target.id] = " ".join(str(ast.literal_eval(after.value)).split())
    return found


def _schema(annotation: Any) -> dict[str, Any]:
    if get_origin(annotation) in (Union, UnionType):
        (annotation,) = (each for each in get_args(annotation) if each is not type(None))
    if get_origin(annotation) is Literal:
        return {"enum": list(get_args(annotation))}
    if annotation is timedelta:
        return {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?(ms|s|m|h|d)$"}
    kinds = {bool: "boolean", int: "integer", float: "number", str: "string", Path: "string"}
    return {"type": kinds[annotation]}


def _written(default: Any) -> str:
    """A default as it is written in the values."""
    if isinstance(default, timedelta):
        seconds = default.total_seconds()
        for unit, length in (("h", 3600), ("m", 60), ("s", 1)):
            if seconds >= length and seconds % length == 0:
                return f"{seconds / length:.0f}{unit}"
        return f"{seconds * 1000:.0f}ms"
    if default is None:
        return ""
    return str(default).lower() if isinstance(default, bool) else str(default)
