"""The scan worker as it is, with an engine that datasets can take over. Run as `python -m` this module."""

from __future__ import annotations

from functools import partial

import shared.sandboxes
from jiebang.sandbox import ForkServer
from services.ingest import scan_worker

if __name__ == "__main__":
    vars(shared.sandboxes)["ForkServer"] = partial(ForkServer, "tests.system.hostile_engine")
    scan_worker.main()
