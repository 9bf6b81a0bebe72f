"""A client with nothing but a TUN device and a host configuration; the tests speak to it in JSON lines.

    {"do": "apply", "include": [...], ...}  ->  {"ok": {...}}  or  {"error": "text"}

It runs inside a network namespace.  Every call goes through a worker thread of an event loop, as in a session.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import signal
import struct
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from ipaddress import ip_address, ip_interface, ip_network
from pathlib import Path
from typing import Any

from protocols.base import TunnelConfig
from vpnclient.errors import HostError
from vpnclient.host import HostConfig, HostPlan
from vpnclient.host.linux import NativeHost
from vpnclient.host.routes import Route
from vpnclient.host.script import ScriptHost

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x1, 0x1000


def open_tun(name: str) -> int:
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    return fd


def plan_of(order: dict[str, object], profile: str, interface: str) -> HostPlan:
    def texts(name: str) -> Sequence[str]:
        value = order.get(name, ())
        assert isinstance(value, list | tuple)
        return [str(each) for each in value]

    mtu = order.get("mtu", 1400)
    assert isinstance(mtu, int)
    config = TunnelConfig(
        addresses=tuple(ip_interface(text) for text in texts("addresses")),
        mtu=mtu,
        dns=tuple(ip_address(text) for text in texts("dns")),
        search_domains=tuple(texts("search")),
        split_include=tuple(ip_network(text) for text in texts("include")),
        split_exclude=tuple(ip_network(text) for text in texts("exclude")),
        banner="hello",
    )
    gateways = tuple(ip_address(text) for text in texts("gateways"))
    return HostPlan(interface, config, gateways, profile)


def die_at(host: HostConfig, network: str) -> None:
    """This process is killed when it comes to that route."""
    assert isinstance(host, NativeHost)
    put = host._put

    def last(job: Callable[[Route], None], route: Route, *rest: Any) -> None:
        if str(route.dst) == network:
            os.kill(os.getpid(), signal.SIGKILL)
        put(job, route, *rest)

    host._put = last  # type: ignore[method-assign]


class Driver:
    def __init__(self, profile: str, interface: str, script: str) -> None:
        self.profile, self.interface = profile, interface
        self.host: HostConfig = ScriptHost(script) if script else NativeHost(profile)
        self.tun = -1

    def carry_out(self, order: dict[str, object]) -> object:
        plan = plan_of(order, self.profile, self.interface)
        match order["do"]:
            case "recover":
                return self.host.recover()
            case "prepare":
                return self.host.prepare()
            case "apply":
                self.tun = open_tun(self.interface) if self.tun < 0 else self.tun
                if "die_at" in order:
                    die_at(self.host, str(order["die_at"]))
                return asdict(self.host.apply(plan))
            case "update":
                return asdict(self.host.update(plan))
            case "before_reconnect":
                return self.host.before_reconnect(plan.gateways)
            case "undo":
                return self.host.undo()
            case "close":
                os.close(self.tun)
                self.tun = -1
                return None
            case other:
                raise ValueError(f"unknown order {other!r}")


async def main() -> None:
    driver = Driver(sys.argv[1], sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else "")
    for line in iter(sys.stdin.readline, ""):
        try:
            answer: dict[str, object] = {"ok": await asyncio.to_thread(driver.carry_out, json.loads(line))}
        except HostError as exc:
            answer = {"error": str(exc), "hint": exc.hint}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    assert Path("/etc/netns").exists(), "the driver changes the network: run it inside a namespace"
    asyncio.run(main())
