"""How the tests speak to host_driver.py, and what they ask it to configure."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from vpnclient.lab.netns import Namespace

DRIVER = Path(__file__).with_name("host_driver.py")
ROOT = DRIVER.parents[2]
GATEWAY = "192.0.2.1"
FULL = {
    "addresses": ["10.90.0.2/24", "fd90::2/64"],
    "gateways": [GATEWAY, "2001:db8:77::1"],
    "dns": ["10.90.0.1"],
    "search": ["corp.example"],
}
SPLIT = {  # host-config 1.4, with this lab's addresses
    **FULL,
    "include": ["10.1.0.0/16", "10.2.0.0/16", "fd99::/64", "192.0.2.0/28"],
    "exclude": ["10.1.5.0/24"],
}


class Client:
    """The driver as a process; `ask` returns what it answered."""

    def __init__(self, space: Namespace, run_dir: Path, profile: str, interface: str, script: str) -> None:
        env = {**os.environ, "VPNCLIENT_RUN_DIR": str(run_dir), "PYTHONPATH": str(ROOT)}
        self.process = space.popen(sys.executable, str(DRIVER), profile, interface, script, env=env)

    def send(self, order: str, **fields: object) -> None:
        assert self.process.stdin
        print(json.dumps({"do": order, **fields}), file=self.process.stdin, flush=True)

    def ask(self, order: str, **fields: object) -> dict[str, object]:
        self.send(order, **fields)
        assert self.process.stdout
        answer = json.loads(self.process.stdout.readline())
        assert isinstance(answer, dict)
        return answer

    def ok(self, order: str, **fields: object) -> dict[str, list[str]]:
        answer = self.ask(order, **fields)
        assert "ok" in answer, answer
        found = answer["ok"]
        return found if isinstance(found, dict) else {"list": list(found or ())}  # type: ignore[call-overload]

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def leave(self) -> None:
        """Undo and end in order."""
        assert self.ok("undo") == {"list": []}


@contextlib.contextmanager
def driver(
    space: Namespace, run_dir: Path, *, profile: str = "work", interface: str = "tunh0", script: str = ""
) -> Iterator[Client]:
    client = Client(space, run_dir, profile, interface, script)
    try:
        yield client
    finally:
        for pipe in (client.process.stdin, client.process.stdout):
            assert pipe
            pipe.close()
        client.process.wait(timeout=60)
