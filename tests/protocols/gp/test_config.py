"""The gateway's configuration, element by element (section 9)."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, IPv6Interface, ip_address, ip_network
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import ConfigurationRefused, ProtocolError
from protocols.gp import answers, config
from protocols.gp.config import GatewayConfig
from tests.protocols.doubles import coded

ADDRESS = "<ip-address>10.99.0.2</ip-address><netmask>255.255.255.255</netmask>"
SIX = "<ip-address-v6>fd00:99::2</ip-address-v6>"


def parsed(inside: str, *, ipv6: bool = True) -> GatewayConfig:
    root = answers.document(f'<response status="success">{inside}</response>'.encode(), "response")
    return config.parse(root, ipv6=ipv6)


def members(name: str, *texts: str) -> str:
    return f"<{name}>{''.join(f'<member>{text}</member>' for text in texts)}</{name}>"


def test_the_least_answer() -> None:
    found = parsed(ADDRESS)
    assert found.config.addresses == (IPv4Interface("10.99.0.2/32"),)
    assert (found.config.mtu, found.path, found.esp) == (0, "/ssl-tunnel-connect.sslvpn", None)
    assert found.config.split_include == () and found.config.warnings == ()  # the default route


def test_everything_that_is_used() -> None:
    found = parsed(
        ADDRESS + SIX + "<mtu>1400</mtu><lifetime>2592000</lifetime><timeout>10800</timeout>"
        "<disconnect-on-idle>3600</disconnect-on-idle><lifetime-notify-prior>1800</lifetime-notify-prior>"
        "<lifetime-notify-message>Soon over</lifetime-notify-message><ssl-tunnel-url>/other.sslvpn</ssl-tunnel-url>"
        + members("dns", "10.1.1.1", "10.1.1.2", "10.1.1.1") + members("dns-v6", "10.1.1.2", "fd00::53")
        + members("wins", "10.1.1.3", "0.0.0.0") + members("dns-suffix", "a.example b.example", "c.example;a.example")
        + members("access-routes", "10.0.0.0/8", "192.168.1.7/24") + members("access-routes-v6", "fd00::/16")
        + members("exclude-access-routes", "10.5.0.0/16") + members("exclude-access-routes-v6", "fd00:5::/32")
    )  # fmt: skip
    made = found.config
    assert made.addresses == (IPv4Interface("10.99.0.2/32"), IPv6Interface("fd00:99::2/128"))
    assert made.mtu == 1400 and found.path == "/other.sslvpn"
    assert made.dns == tuple(map(ip_address, ("10.1.1.1", "10.1.1.2", "fd00::53")))  # Q20
    assert made.nbns == (IPv4Address("10.1.1.3"),)
    assert made.search_domains == ("a.example", "b.example", "c.example")
    assert made.split_include == tuple(map(ip_network, ("10.0.0.0/8", "192.168.1.0/24", "fd00::/16")))
    assert made.split_exclude == tuple(map(ip_network, ("10.5.0.0/16", "fd00:5::/32")))
    assert (made.idle_timeout, made.session_timeout) == (3600, 2592000)
    assert found.timers == config.Timers(10800, 2592000, 1800, 3600, "Soon over")
    assert made.warnings == ()


def test_a_default_route_swallows_the_others() -> None:  # Q21
    found = parsed(
        ADDRESS + SIX + members("access-routes", "0.0.0.0/0", "10.1.1.1/32") + members("access-routes-v6", "::/0")
    )
    assert found.config.split_include == ()


def test_a_list_without_a_usable_route_is_no_default_route() -> None:
    found = parsed(ADDRESS + members("access-routes", "rubbish", "224.0.0.0/4"))
    assert found.config.split_include == (ip_network("10.99.0.2/32"),)
    assert len(found.config.warnings) == 3


def test_ipv6_is_left_alone_when_it_is_not_wanted() -> None:
    found = parsed(ADDRESS + SIX + members("access-routes-v6", "fd00::/16") + members("dns", "fd00::53"), ipv6=False)
    assert found.config.addresses == (IPv4Interface("10.99.0.2/32"),) and found.config.dns == ()
    assert found.config.split_include == ()


def test_an_ipv6_address_may_carry_its_length() -> None:
    assert parsed("<ip-address-v6>fd00::2/64</ip-address-v6>").config.addresses == (IPv6Interface("fd00::2/64"),)


@pytest.mark.parametrize(
    "inside, code",
    [
        ("", "no-address"),
        ("<ip-address>10.99.0</ip-address>", "config-invalid"),
        ("<ip-address>0.0.0.0</ip-address>", "config-invalid"),
        ("<ip-address>fd00::1</ip-address>", "config-invalid"),
        ("<ip-address>10.99.0.2</ip-address><netmask>255.0.255.0</netmask>", "config-invalid"),
        ("<ip-address-v6>fd00::2/200</ip-address-v6>", "config-invalid"),
        ("<ip-address-v6>10.0.0.1</ip-address-v6>", "config-invalid"),
        (ADDRESS + "<ssl-tunnel-url>https://evil.example/</ssl-tunnel-url>", "config-invalid"),
        (ADDRESS + "<ssl-tunnel-url>/a b</ssl-tunnel-url>", "config-invalid"),
        (ADDRESS + "<ssl-tunnel-url>/a?b</ssl-tunnel-url>", "config-invalid"),
        (ADDRESS + "<ssl-tunnel-url>//evil.example/</ssl-tunnel-url>", "config-invalid"),
        (ADDRESS + members("access-routes", *(f"10.{n // 256}.{n % 256}.0/24" for n in range(10_001))), "too-large"),
    ],
)
def test_what_ends_it(inside: str, code: str) -> None:
    with pytest.raises(ConfigurationRefused) as caught:
        parsed(inside)
    assert caught.value.code == code


def test_internal_gateways_have_no_tunnel() -> None:  # Q22
    with coded(ConfigurationRefused, "gateway-without-tunnel"):
        parsed(ADDRESS + "<need-tunnel>no</need-tunnel>")


@pytest.mark.parametrize(
    "inside, says",
    [
        ("<mtu>100</mtu>", "mtu: ignored '100', want 0 or 576 to 65535"),
        ("<mtu>many</mtu>", "mtu: ignored 'many'"),
        ("<mtu>99999999999999</mtu>", "mtu: ignored"),
        ("<timeout>soon</timeout>", "timeout: ignored 'soon'"),
        ("<lifetime>-1</lifetime>", "lifetime: ignored '-1'"),
        (members("dns", "server"), "dns: ignored: got 'server'"),
        (members("dns-suffix", "a b!"), "dns-suffix: ignored: got 'b!'"),
        (members("exclude-access-routes", "0.0.0.0/0"), "exclude-access-routes: route dropped"),
        ("<quarantine>yes</quarantine>", "quarantine: the gateway"),
    ],
)
def test_what_is_dropped_with_a_warning(inside: str, says: str) -> None:
    (warning,) = parsed(ADDRESS + inside).config.warnings
    assert warning.startswith(says)


def test_an_mtu_that_ipv6_does_not_allow() -> None:
    assert parsed(ADDRESS + SIX + "<mtu>1279</mtu>").config.mtu == 0


def test_warnings_and_servers_are_capped() -> None:
    many = members("dns", *(f"10.1.1.{n}" for n in range(1, 200)), *("x" for _ in range(200)))
    found = parsed(ADDRESS + many).config
    assert len(found.dns) == config.MAX_SERVERS and len(found.warnings) == config.MAX_WARNINGS


def test_scripts_get_no_secrets() -> None:
    keys = (
        "<hs-key>SECRET</hs-key><enc-hs-key>SECRET</enc-hs-key><tunnel-opaque>SECRET</tunnel-opaque><user>SECRET</user>"
    )
    found = parsed(ADDRESS + keys + "<connected-gw-ip>192.0.2.1</connected-gw-ip>" + members("dns", "10.1.1.1"))
    assert ("connected-gw-ip", "192.0.2.1") in found.config.raw and ("dns", "10.1.1.1") in found.config.raw
    assert "SECRET" not in repr(found)


NAMES = [
    "ip-address",
    "netmask",
    "ip-address-v6",
    "mtu",
    "timeout",
    "lifetime",
    "ssl-tunnel-url",
    "need-tunnel",
    "quarantine",
]
LISTS = ["dns", "dns-v6", "wins", "dns-suffix", "access-routes", "access-routes-v6", "exclude-access-routes"]
TEXTS = st.one_of(
    st.text(max_size=12), st.sampled_from(["10.0.0.1", "0", "fd00::1", "10.0.0.0/8", "::/0", "1e9", "/x"])
)


@given(
    st.lists(st.tuples(st.sampled_from(NAMES), TEXTS), max_size=9), st.lists(st.tuples(st.sampled_from(LISTS), TEXTS))
)
def test_anything_gives_a_configuration_or_a_named_error(
    fields: list[tuple[str, str]], lists: list[tuple[str, str]]
) -> None:
    inside = "".join(f"<{name}>{escape(text)}</{name}>" for name, text in fields)
    inside += "".join(members(name, escape(text)) for name, text in lists)
    try:
        found = parsed("".join(char for char in inside if char.isprintable()))
    except ProtocolError as exc:
        assert str(exc)
    else:
        assert found.config.addresses and found.path.startswith("/")
