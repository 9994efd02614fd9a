"""House rules that a type checker cannot know; `make lint` runs them, and each finding names its file and line."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PRODUCT = ("jiebang", "shared", "services")

PURE = {
    *(f"services/{name}.py" for name in ("ingest/submission", "ingest/upload", "ingest/quota")),
    *(f"services/{name}.py" for name in ("board/challenge", "board/team", "board/credential")),
    *(f"services/{name}.py" for name in ("notify/subscription", "notify/delivery", "notify/retries")),
    "services/ranking/ranking_rules.py",
    "services/ranking/projection.py",
    "services/ranking/leaderboard.py",
    "services/ranking/challenge.py",
    "services/scoring/score.py",
    "services/scoring/certificate.py",
}
"""Files that hold rules alone: no framework, no clock, no ids of their own."""

FRAMEWORKS = {
    "fastapi",
    "starlette",
    "faststream",
    "aiokafka",
    "motor",
    "pymongo",
    "bson",
    "httpx",
    "obstore",
    "uvicorn",
}
MONGO = {"motor", "pymongo", "bson"}
KAFKA = {"aiokafka", "faststream"}
CLIENTS = {"AsyncIOMotorClient", "AsyncClient", "KafkaBroker", "AIOKafkaProducer", "AIOKafkaConsumer", "FastAPI"}
PUBLISHERS = {"shared/kafka.py", "shared/outbox.py", "shared/failures.py", "shared/dead_letters.py"}
# What an archive puts back was published before.
PUBLISHERS |= {"shared/archive/streams.py"}
SENDS = {"publish", "publish_batch", "send", "send_and_wait"}
CLOCKS = {"shared/clock.py", "shared/ids.py"}
MAX_APP_LINES = 60
MAX_HANDLER_LINES = 15


def findings(path: str, source: str) -> Iterator[str]:
    """What in one file (`path` relative to the root) breaks a house rule, a sentence each."""
    tree = ast.parse(source, path)
    for node in ast.walk(tree):
        for line, sentence in (*_calls(path, node), *_imports(path, node)):
            yield f"{path}:{line}: {sentence}"
    for statement in tree.body:
        value = statement.value if isinstance(statement, ast.Assign | ast.AnnAssign) else None
        if isinstance(value, ast.Call) and _name(value.func) in CLIENTS:
            yield f"{path}:{statement.lineno}: a client at module level lives outside every lifespan; make it in app.py"
    if path.startswith("services/") and path.endswith("/app.py") and source.count("\n") > MAX_APP_LINES:
        yield f"{path}:1: a composition root has at most {MAX_APP_LINES} lines; move logic where it belongs"
    if path.startswith("services/") and path.endswith("/handlers.py"):
        for node in ast.walk(tree):
            if isinstance(node, ast.AsyncFunctionDef) and not any(
                isinstance(inner, ast.AsyncFunctionDef) for inner in ast.walk(node) if inner is not node
            ):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                lines = (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
                if lines > MAX_HANDLER_LINES:
                    yield f"{path}:{node.lineno}: a handler calls one command, in at most {MAX_HANDLER_LINES} lines"


def _name(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _calls(path: str, node: ast.AST) -> Iterator[tuple[int, str]]:
    if not isinstance(node, ast.Call):
        return
    name, given = _name(node.func), {keyword.arg: keyword.value for keyword in node.keywords}
    if name == "subscriber" and isinstance(node.func, ast.Attribute):
        no_reply = given.get("no_reply")
        if not (isinstance(no_reply, ast.Constant) and no_reply.value is True):
            yield node.lineno, "a subscriber without no_reply=True publishes wherever a reply_to header says"
        if "group_id" not in given:
            yield node.lineno, "a subscriber without group_id loses its place on every restart"
    owner = _name(node.func.value).strip("_") if isinstance(node.func, ast.Attribute) else ""
    if name in SENDS and owner in {"broker", "producer", "publisher"} and path not in PUBLISHERS:
        yield node.lineno, "only the outbox and the dead-letter path publish: state and event are one write"
    if name in {"update_one", "replace_one", "find_one_and_update", "find_one_and_replace"} and node.args:
        query = node.args[0]
        keys = [key.value for key in query.keys if isinstance(key, ast.Constant)] if isinstance(query, ast.Dict) else []
        upsert = given.get("upsert")
        idempotent = isinstance(upsert, ast.Constant) and upsert.value is True
        if keys == ["_id"] and None not in getattr(query, "keys", []) and not idempotent:
            yield node.lineno, "an unguarded write: put the from-state, the version or the attempt into the filter"
    platform = path.startswith(("services/", "shared/")) and path not in CLOCKS
    if name in {"now", "utcnow", "today"} and owner in {"datetime", "date"} and platform:
        yield node.lineno, "time is injected: take it from shared.clock"
    if name in {"uuid4", "uuid1"} and platform:
        yield node.lineno, "ids are injected: take them from shared.ids"


def _imports(path: str, node: ast.AST) -> Iterator[tuple[int, str]]:
    if isinstance(node, ast.Import):
        modules = {alias.name.split(".")[0] for alias in node.names}
    elif isinstance(node, ast.ImportFrom) and node.module:
        modules = {node.module.split(".")[0]}
    else:
        return
    if modules & MONGO and not (path == "shared/mongo.py" or path.endswith(("/store.py", "/store_mongo.py"))):
        yield node.lineno, "only shared/mongo.py and the stores import the MongoDB driver"
    if modules & KAFKA and not path.startswith("shared/"):
        yield node.lineno, "only shared/ imports Kafka and FastStream"
    markup = isinstance(node, ast.ImportFrom) and node.module == "rich.markup"
    if (markup or (isinstance(node, ast.ImportFrom) and [alias.name for alias in node.names] == ["markup"])) and (
        path != "jiebang/cli/terminal.py"
    ):
        yield node.lineno, "strangers' words are escaped by jiebang.cli.terminal.escape, which disarms a terminal too"
    if path in PURE and modules & FRAMEWORKS:
        yield node.lineno, "a file of pure rules imports no framework"


def main() -> int:
    """Print every finding; 1 if there is one."""
    found = [
        finding
        for package in PRODUCT
        for file in sorted((ROOT / package).rglob("*.py"))
        for finding in findings(file.relative_to(ROOT).as_posix(), file.read_text("utf-8"))
    ]
    missing = [
        f"{path}:1: named as a pure file in the house rules, but not there"
        for path in sorted(PURE)
        if not (ROOT / path).exists()
    ]
    for finding in found + missing:
        sys.stdout.write(finding + "\n")
    sys.stdout.write(f"house rules: {len(found) + len(missing)} findings\n")
    return 1 if found or missing else 0


if __name__ == "__main__":
    sys.exit(main())
