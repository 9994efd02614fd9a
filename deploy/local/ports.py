"""The ports of the local platform, chosen once and kept in the state folder."""

from __future__ import annotations

import json
import random
import socket
from pathlib import Path

from deploy.local.process import StartFailed

# Below Linux's range of ephemeral ports. A port inside it can become the source port of anybody's outgoing connection,
# even of a client that keeps trying to reach the very server that is down, which then cannot bind it again.
_PORTS = range(15_000, 32_000)


def is_free(port: int) -> bool:
    """Whether nobody listens on this port of the loopback interface."""
    with socket.socket() as candidate:
        candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # closed connections do not hold a port
        try:
            candidate.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def listens(address: str, port: int) -> bool:
    """Whether somebody takes connections at this address."""
    try:
        socket.create_connection((address, port), timeout=1).close()
    except OSError:
        return False
    return True


def free_port() -> int:
    """A port of the loopback interface that nobody listens on, outside the range of ephemeral ports."""
    for port in random.sample(_PORTS, 200):
        if is_free(port):
            return port
    raise StartFailed("No free port was found between 15000 and 32000")


def require_free(port: int, part: str) -> None:
    """Refuses to start `part` where another program answers on its port.

    Raises:
        StartFailed: the port is taken.
    """
    if not is_free(port):
        raise StartFailed(
            f"{part}'s port {port} is taken by another program. Is this platform running already? Else end that "
            "program, or begin anew with --fresh, which chooses new ports"
        )


def stored_port(folder: Path, name: str) -> int:
    """The port that `name` was given in this folder, chosen among the free ones the first time.

    Keeping it matters: clients and other parts hold the address while a killed server comes back.
    """
    file = folder / "ports.json"
    ports: dict[str, int] = json.loads(file.read_text()) if file.exists() else {}
    if name not in ports:
        ports[name] = free_port()
        folder.mkdir(parents=True, exist_ok=True)
        written = file.with_suffix(".new")
        written.write_text(json.dumps(ports, indent=2) + "\n")
        written.replace(file)
    return ports[name]
