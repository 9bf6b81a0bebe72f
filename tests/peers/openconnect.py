"""Debian's openconnect as an independent client in a namespace, with a script of ours that configures little."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vpnclient.lab.netns import Namespace

PATIENCE = 60.0  # seconds; only a broken test waits that long
SCRIPT = """#!/bin/sh
# Addresses and the tunnel's networks only; what the gateway told goes to a file per reason.
if [ "$reason" = connect ]; then
    ip link set dev "$TUNDEV" up mtu "$INTERNAL_IP4_MTU"
    ip addr add "$INTERNAL_IP4_ADDRESS/32" dev "$TUNDEV"
    ip route add "$INTERNAL_IP4_NETADDR/$INTERNAL_IP4_NETMASKLEN" dev "$TUNDEV"
    [ -z "$INTERNAL_IP6_NETMASK" ] || ip addr add "$INTERNAL_IP6_NETMASK" dev "$TUNDEV" nodad
    # GlobalProtect tells a bare IPv6 address, and single hosts whose networks are routes.
    [ -n "$INTERNAL_IP6_NETMASK" ] || [ -z "$INTERNAL_IP6_ADDRESS" ] ||
        ip addr add "$INTERNAL_IP6_ADDRESS/64" dev "$TUNDEV" nodad
    [ -z "$CISCO_SPLIT_INC_0_ADDR" ] ||
        ip route replace "$CISCO_SPLIT_INC_0_ADDR/$CISCO_SPLIT_INC_0_MASKLEN" dev "$TUNDEV"
fi
env > "FOLDER/$reason.new" && mv "FOLDER/$reason.new" "FOLDER/$reason"
"""


@dataclass(frozen=True, slots=True)
class OpenConnect:
    process: subprocess.Popen[bytes]
    folder: Path

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def told(self) -> dict[str, str]:
        """The environment that the script got at `connect`; values of several lines are cut after the first."""
        lines = (self.folder / "connect").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)

    def connected(self) -> None:
        until = time.monotonic() + PATIENCE
        while not (self.folder / "connect").exists():
            assert self.process.poll() is None, f"openconnect ended with {self.process.returncode}:\n{self.log}"
            assert time.monotonic() < until, f"openconnect did not connect:\n{self.log}"
            time.sleep(0.02)

    def finish(self, timeout: float = PATIENCE) -> int:
        return self.process.wait(timeout)

    def stop(self) -> int:
        """Ctrl-C: it says BYE."""
        self.process.send_signal(signal.SIGINT)
        return self.finish()


@contextlib.contextmanager
def openconnect(space: Namespace, facts: dict[str, str], *argv: str, stdin: str = "") -> Iterator[OpenConnect]:
    """A running openconnect towards a gateway; killed at the end if it still runs."""
    with tempfile.TemporaryDirectory(prefix="vpn-oc-") as name:
        folder = Path(name)
        script = folder / "script"
        script.write_text(SCRIPT.replace("FOLDER", name))
        script.chmod(0o755)
        command = [
            "openconnect",
            f"--protocol={facts['protocol']}",
            "--servercert",
            facts["pin"],
            "--script",
            str(script),
        ]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                space.command(*command, "--non-inter", *argv, facts["url"]),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            assert process.stdin is not None
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(stdin.encode())
                process.stdin.close()
            yield OpenConnect(process, folder)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
