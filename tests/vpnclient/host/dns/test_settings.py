"""Which names go to the tunnel's servers: table of host-config 3.1, section 13, quirks Q11 and Q12."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address, ip_interface

import pytest

from protocols.base import TunnelConfig
from vpnclient.errors import HostError
from vpnclient.host import HostPlan
from vpnclient.host.dns import DnsSettings, clean_domains, dns_settings
from vpnclient.host.dns.detect import Choice, Facts, choose
from vpnclient.host.dns.resolvconf import Resolvconf, text
from vpnclient.host.dns.resolved import commands, domains
from vpnclient.host.warn import Warnings


def settings(
    *, search: Sequence[str] = (), split: Sequence[str] = (), full: bool = False, everything: bool = False
) -> DnsSettings:
    config = TunnelConfig(
        addresses=(ip_interface("192.168.77.190/24"),),
        mtu=1400,
        dns=(ip_address("192.168.77.1"), ip_address("fd00::53")),
        search_domains=tuple(search),
        split_dns=tuple(split),
        tunnel_all_dns=everything,
    )
    found, warnings = dns_settings(HostPlan("tun0", config, ()), 7, full_tunnel=full)
    assert found is not None and warnings == ()
    return found


@pytest.mark.parametrize(
    ("given", "want", "default_route"),
    [
        (settings(search=["corp.example"], full=True), [("corp.example", False), (".", True)], "true"),
        (
            settings(search=["corp.example"], split=["lab.example"]),
            [("corp.example", False), ("lab.example", True)],
            "false",
        ),
        (
            settings(search=["corp.example"], split=["lab.example", "corp.example"], full=True),
            [("corp.example", False), ("lab.example", True)],
            "false",
        ),
        (settings(search=["corp.example"]), [("corp.example", False)], "false"),
        (settings(split=["lab.example"], everything=True), [(".", True)], "true"),
        (settings(split=["."]), [(".", True)], "true"),
        (settings(), [], "false"),
    ],
)
def test_resolved(given: DnsSettings, want: list[tuple[str, bool]], default_route: str) -> None:
    assert domains(given) == want
    run = commands(given)
    assert run[0] == ("resolvectl", "dns", "tun0", "192.168.77.1", "fd00::53")
    assert run[2] == ("resolvectl", "default-route", "tun0", default_route)


def test_resolvectl_words() -> None:
    given = settings(search=["corp.example"], split=["lab.example"])
    assert commands(given)[1] == ("resolvectl", "domain", "tun0", "corp.example", "~lab.example")
    assert commands(settings())[1] == ("resolvectl", "domain", "tun0", "")


def test_resolvconf_record() -> None:
    given = settings(search=["corp.example"], split=["lab.example"])
    assert text(given) == "nameserver 192.168.77.1\nnameserver fd00::53\nsearch corp.example lab.example\n"
    assert Resolvconf("x", openresolv=True)._flags(given) == ("-m", "0", "-p")
    assert Resolvconf("x", openresolv=True)._flags(settings(full=True)) == ("-m", "0", "-x")
    assert Resolvconf("x", openresolv=False)._flags(given) == ()


@pytest.mark.parametrize(
    ("name", "clean"),
    [
        ("*.Corp.Example.", ("corp.example",)),
        (".lab.example", ("lab.example",)),
        (".", (".",)),
        ("_tcp.corp.example", ("_tcp.corp.example",)),
        ("a.example, b.example;c.example d.example", ("a.example", "b.example", "c.example", "d.example")),
        ("", ()),
        ("x" * 64 + ".example", None),
        (".".join(["abcdefgh"] * 30), None),
        ("-a.example", None),
        ("a..example", None),
        ("bücher.example", None),
        ("a.example\nnameserver 6.6.6.6", None),
        ("$(reboot).example", None),
        ("*", None),
    ],
)
def test_domains_are_cleaned_or_dropped(name: str, clean: tuple[str, ...] | None) -> None:
    warn = Warnings()
    assert clean_domains([name], warn) == (clean or ())
    assert bool(warn.texts()) == (clean is None)


def test_useless_servers() -> None:
    servers = tuple(ip_address(text) for text in ("0.0.0.0", "::", "127.0.0.1", "10.0.0.1", "10.0.0.1", "fd00::1"))
    config = TunnelConfig(addresses=(), mtu=0, dns=servers)
    found, warnings = dns_settings(HostPlan("tun0", config, (), ipv6=False), 7, full_tunnel=True)
    assert found is not None and found.servers == (ip_address("10.0.0.1"),)
    assert warnings == ("DNS server 127.0.0.1 dropped: no address of a server",)


def test_no_server_nothing_to_set() -> None:
    config = TunnelConfig(addresses=(), mtu=0, search_domains=("corp.example",))
    assert dns_settings(HostPlan("tun0", config, ()), 7, full_tunnel=True) == (None, ())


def test_too_many_domains() -> None:
    config = TunnelConfig(addresses=(), mtu=0, split_dns=tuple(f"d{i}.example" for i in range(1001)))
    with pytest.raises(HostError, match="1001 domains, at most 1000"):
        dns_settings(HostPlan("tun0", config, ()), 7, full_tunnel=True)


# who owns name resolution: the table at the head of section 3

STUB = "/run/systemd/resolve/stub-resolv.conf"


@pytest.mark.parametrize(
    ("facts", "backend"),
    [
        (Facts(), "file"),
        (Facts(mounted=True, link=STUB, resolved_answers=True), "file"),
        (Facts(link=STUB, resolved_answers=True), "resolved"),
        (Facts(wants_resolved=True, resolved_answers=True), "resolved"),
        (Facts(resolved_answers=True), "file"),
        (Facts(link=STUB), "file"),
        (Facts(link=STUB, resolvconf="/sbin/resolvconf"), "resolvconf"),
        (Facts(link="/run/resolvconf/resolv.conf", resolvconf="/sbin/resolvconf"), "resolvconf"),
        (Facts(link="/run/NetworkManager/resolv.conf"), "off"),
        (Facts(link="/run/NetworkManager/resolv.conf", resolved_answers=True, wants_resolved=True), "resolved"),
    ],
)
def test_detection(facts: Facts, backend: str) -> None:
    assert choose("auto", facts).backend == backend


def test_the_user_is_obeyed() -> None:
    assert choose("off", Facts(link=STUB, resolved_answers=True)) == Choice("off")
    assert choose("file", Facts(link=STUB, resolved_answers=True)) == Choice("file")
    assert choose("resolved", Facts(resolved_answers=True)) == Choice("resolved")
    assert "does not answer" in choose("resolved", Facts()).why
    assert "there is none" in choose("resolvconf", Facts()).why
    assert "NetworkManager" in choose("auto", Facts(link="/run/NetworkManager/resolv.conf")).why
