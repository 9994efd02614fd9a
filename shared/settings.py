"""Settings from `JIEBANG_*` variables: typed, prefixed, frozen; an unknown or wrong one refuses the start."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

PREFIX = "JIEBANG_"

PROCESSES = (
    "board", "ingest", "ingest_scan", "scoring", "scoring_worker", "ranking", "notify", "notify_worker", "portal",
)  # fmt: skip
"""Every process of the platform: a variable `JIEBANG_<PROCESS>_…` is that process's own business."""

# Read by the `jiebang` command and the local platform, which often share an environment with the services.
_OF_OTHERS = frozenset(
    {"JIEBANG_CACHE_DIR", "JIEBANG_STATE_DIR", "JIEBANG_URL", "JIEBANG_KEY", "JIEBANG_GATEWAY_PORT"}
    | {"JIEBANG_PROMETHEUS"}
)

_UNITS = {"ms": 0.001, "s": 1.0, "": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


class SettingsError(ValueError):
    """The environment does not make valid settings; the message has one line for each thing to put right."""


def _duration(value: object) -> object:
    """Read `250ms`, `30s`, `15m`, `24h`, `7d`, and a bare number as seconds; the rest is left to pydantic."""
    if isinstance(value, str) and (match := re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*(ms|s|m|h|d|)\s*", value)):
        return timedelta(seconds=float(match[1]) * _UNITS[match[2]])
    return value


Duration = Annotated[timedelta, BeforeValidator(_duration)]
"""A length of time, written `250ms`, `30s`, `15m`, `24h` or `7d`."""


class Settings(BaseModel):
    """What every process of the platform needs to know; a process subclasses it and adds its own.

    A field of this class is read from `JIEBANG_<FIELD>`; a field that a subclass adds from
    `JIEBANG_<PROCESS>_<FIELD>`, and so are `port` and `internal_port`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    process: ClassVar[str] = ""
    variables: ClassVar[dict[str, str]] = {}

    host: str = "127.0.0.1"
    port: int = 0
    """Port of the public API; 0 picks a free one."""
    internal_port: int = 0
    """Port of `/livez`, `/readyz` and `/metrics`; 0 picks a free one."""

    kafka_bootstrap: tuple[str, ...] = ("127.0.0.1:9092",)
    kafka_topic_prefix: str = ""
    """What the names of topics and consumer groups begin with, where several platforms share the brokers."""
    kafka_replication: int = 1
    kafka_username: str = ""
    """The user that the brokers know the platform by (SCRAM-SHA-512); without one it comes without a password."""
    kafka_password: str = Field(default="", repr=False)
    kafka_ca_file: Path | None = None
    """The authority (PEM) that vouches for the brokers; with one, all that goes to and from them is encrypted."""
    mongo_uri: str = Field(default="mongodb://127.0.0.1:27017", repr=False)
    mongo_database_prefix: str = "jiebang"
    """What the names of the services' databases begin with."""
    objects_url: str = ""
    scratch_dir: Path = Path("/tmp/jiebang")
    signing_key_file: Path | None = None
    sandbox: Literal["landlock", "bwrap"] = "landlock"
    webhook_allow_loopback: bool = False
    bench: bool = False
    """True allows the settings that replace measuring by a recorded result."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """What is logged: this and whatever matters more."""
    otlp_endpoint: str = ""
    """Base URL of an OTLP/HTTP collector for traces; empty sends none."""
    trace_share: float = Field(default=1.0, ge=0, le=1)
    """The share of traces that are sent, decided where a trace begins; whoever hands in a trace decides for it."""
    grace: Duration = timedelta(seconds=20)
    """How long a process that is told to stop may take to finish what it has begun."""

    @model_validator(mode="after")
    def _user_with_password(self) -> Self:
        if bool(self.kafka_username) != bool(self.kafka_password):
            raise ValueError("JIEBANG_KAFKA_USERNAME and JIEBANG_KAFKA_PASSWORD go together")
        return self

    def __init_subclass__(cls, *, process: str = "", **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if process and process not in PROCESSES:
            raise TypeError(f"unknown process {process!r}; add it to PROCESSES in shared/settings.py")

    @classmethod
    def __pydantic_init_subclass__(cls, *, process: str = "", **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        cls.process = process or cls.process
        own = f"{PREFIX}{cls.process.upper()}_"
        inherited = _variables_of(cls.__mro__[1])
        cls.variables = {
            name: inherited.get(name, f"{own}{name.upper()}")
            if name not in ("port", "internal_port")
            else f"{own}{name.upper()}"
            for name in cls.model_fields
        }

    @classmethod
    def load(cls, environment: Mapping[str, str] | None = None) -> Self:
        """The settings that an environment (that of this process by default) describes.

        Raises:
            SettingsError: a `JIEBANG_` variable is unknown here or has a value that does not fit.
        """
        given = dict(os.environ if environment is None else environment)
        variables = _variables_of(cls)
        wrong = [_unknown(name, variables.values()) for name in sorted(given) if cls._is_unknown(name, variables)]
        values: dict[str, object] = {}
        for name, variable in variables.items():
            if variable in given:
                values[name] = _split(given[variable]) if _is_list(cls, name) else given[variable]
        try:
            settings = cls.model_validate(values)
        except ValidationError as error:
            wrong += [
                f"{variables.get(str(problem['loc'][0]), problem['loc'][0]) if problem['loc'] else cls.__name__}: "
                f"{problem['msg']}"
                for problem in error.errors(include_url=False, include_input=False)
            ]
            raise SettingsError("\n".join(wrong)) from None
        if wrong:
            raise SettingsError("\n".join(wrong))
        return settings

    @classmethod
    def load_or_exit(cls) -> Self:
        """The settings of this process's environment; on a wrong one, say what to put right and exit with 2."""
        with cls.exit_if_wrong():
            return cls.load()

    @classmethod
    @contextmanager
    def exit_if_wrong(cls) -> Iterator[None]:
        """Around whatever may find a setting wrong, a file that one names say: says what to put right, exits with 2."""
        try:
            yield
        except SettingsError as error:
            sys.stderr.write(f"{cls.process or 'jiebang'} cannot start with these settings:\n")
            sys.stderr.writelines(f"  {line}\n" for line in str(error).splitlines())
            raise SystemExit(2) from None

    @classmethod
    def _is_unknown(cls, variable: str, variables: Mapping[str, str]) -> bool:
        if not variable.startswith(PREFIX) or variable in variables.values() or variable in _OF_OTHERS:
            return False
        rest = variable.removeprefix(PREFIX).lower()
        owners = [process for process in PROCESSES if rest.startswith(f"{process}_")]
        return not owners or max(owners, key=len) == cls.process


def _variables_of(cls: type) -> dict[str, str]:
    if cls is Settings:
        return {
            name: f"{PREFIX}{name.upper()}" for name in Settings.model_fields if name not in ("port", "internal_port")
        }
    return cls.variables if issubclass(cls, Settings) else {}


def _is_list(cls: type[Settings], field: str) -> bool:
    return get_origin(cls.model_fields[field].annotation) is tuple


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _unknown(variable: str, known: object) -> str:
    nearest = get_close_matches(variable, sorted(known), n=1, cutoff=0.0)  # type: ignore[call-overload]
    return (
        f"{variable} is not a setting; the nearest one is {nearest[0]}" if nearest else f"{variable} is not a setting"
    )
