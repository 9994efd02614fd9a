"""`make contracts`: writes the JSON Schemas and AsyncAPI documents, and refuses a change that breaks a version."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from shared.contracts.asyncapi import SERVICES, asyncapi, event_schema
from shared.contracts.compatibility import breaks
from shared.contracts.registry import FACTS

HERE = Path(__file__).parent
SCHEMAS = HERE / "schemas"
EXAMPLES = HERE / "examples"


def documents() -> dict[Path, str]:
    """Every generated file and its text."""
    made: dict[Path, Any] = {SCHEMAS / f"{name}.json": event_schema(name) for name in FACTS}
    made |= {HERE / "asyncapi" / f"{service}.json": asyncapi(service) for service in SERVICES}
    return {path: json.dumps(document, indent=1, ensure_ascii=False) + "\n" for path, document in made.items()}


def broken() -> dict[str, list[str]]:
    """Event type → what this tree changes about it that is not additive, against the schema that is committed."""
    found = {}
    for name in FACTS:
        path = SCHEMAS / f"{name}.json"
        if path.exists() and (why := breaks(json.loads(path.read_text("utf-8")), event_schema(name))):
            found[name] = why
    return found


def main() -> int:
    """Write the documents; 1 if an event changed in a way that needs a new version."""
    if problems := broken():
        for name, sentences in problems.items():
            sys.stderr.write(f"{name} changed in a way that old or new code cannot read:\n")
            sys.stderr.writelines(f"  - {sentence}\n" for sentence in sentences)
        sys.stderr.write("Add the changed event as the next version (…v2) and publish it beside the old one.\n")
        return 1
    for path, text in documents().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")
    sys.stdout.write(f"wrote {len(documents())} documents below {HERE.name}/\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
