"""The configuration, element by element (sections 4 and 11), and the TunnelConfig made of it."""

from __future__ import annotations

from ipaddress import IPv4Address, ip_address, ip_interface, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.base import TunnelConfig
from protocols.errors import ConfigurationRefused, CookieRejected, NotSupported, ProtocolError
from protocols.fortinet import config
from protocols.fortinet.document import MAX_DOCUMENT, MAX_DOMAINS, MAX_NETWORKS, MAX_SERVERS, Reauth, Settings, parse
from protocols.notes import Notes
from tests.protocols.refusals import refused

EXAMPLE = b"""
<?xml version="1.0" encoding="utf-8"?>
<sslvpn-tunnel ver="2" dtls="1" patch="1">
  <dtls-config heartbeat-interval="10" heartbeat-fail-count="10"/>
  <tunnel-method value="ppp"/><tunnel-method value="tun"/>
  <fos platform="LABGATE" major="7"/>
  <auth-ses check-src-ip='1' tun-connect-without-reauth='1' tun-user-ses-timeout='240'/>
  <client-config save-password="off"/>
  <ipv4>
    <dns ip='10.11.0.53' domain='lab.example'/>
    <split-dns domains='lab.example,corp.example' dnsserver1='10.11.0.53' dnsserver2='10.11.0.54'/>
    <assigned-addr ipv4='10.11.1.2'/>
    <split-tunnel-info><addr ip='10.11.0.0' mask='255.255.0.0'/></split-tunnel-info>
    <split-tunnel-info negate='1'><addr ip='10.11.9.0' mask='255.255.255.0'/></split-tunnel-info>
  </ipv4>
  <ipv6>
    <assigned-addr ipv6='fd00:11::2' prefix-len='64'/>
    <split-tunnel-info><addr ipv6='fd00:11::' prefix-len='32'/></split-tunnel-info>
  </ipv6>
  <idle-timeout val='300'/><auth-timeout val='28800'/>
</sslvpn-tunnel>
"""
FOUR, SIX = "<assigned-addr ipv4='10.11.1.2'/>", "<assigned-addr ipv6='fd00:11::2'/>"


def document(four: str = FOUR, more: str = "", six: str = "", attributes: str = "") -> bytes:
    sections = (f"<ipv4>{four}</ipv4>" if four else "") + (f"<ipv6>{six}</ipv6>" if six else "")
    return f"<sslvpn-tunnel {attributes}>{more}{sections}</sslvpn-tunnel>".encode()


def read(body: bytes) -> tuple[Settings, tuple[str, ...]]:
    notes = Notes()
    return parse(body, notes), notes.texts()


def built(body: bytes) -> TunnelConfig:
    notes = Notes()
    settings = parse(body, notes)
    return config.build(settings, settings.addresses, servers={}, mtu=1400, notes=notes)


def routes(four: str = "", six: str = "", more: str = "") -> list[str]:
    found = built(document(FOUR + four, more, SIX + six if six else ""))
    return [str(net) for net in found.split_include]


def info(*networks: str, negate: str = "") -> str:
    """networks: ip/mask or ipv6/length."""
    halves = [net.split("/") for net in networks]
    inside = "".join(
        f"<addr ipv6='{start}' prefix-len='{end}'/>" if ":" in start else f"<addr ip='{start}' mask='{end}'/>"
        for start, end in halves
    )
    return f"<split-tunnel-info{negate and f' negate={negate!r}'}>{inside}</split-tunnel-info>"


def test_the_example() -> None:
    settings, warnings = read(EXAMPLE)
    assert settings.addresses == (ip_interface("10.11.1.2/32"), ip_interface("fd00:11::2/64"))
    assert (settings.dtls, settings.heartbeat, settings.reauth) == (True, 10, Reauth(True, True, 240))
    assert (settings.idle, settings.lifetime) == (300, 28800)
    assert settings.dns == (ip_address("10.11.0.53"),)
    assert settings.split_servers == (ip_address("10.11.0.53"), ip_address("10.11.0.54"))
    assert settings.search_domains == ("lab.example",) and settings.split_dns == ("lab.example", "corp.example")
    assert settings.include == (ip_network("10.11.0.0/16"), ip_network("fd00:11::/32"))
    assert settings.exclude == (ip_network("10.11.9.0/24"),)
    assert ("sslvpn-tunnel/ipv4/assigned-addr@ipv4", "10.11.1.2") in settings.raw
    assert warnings == ()


def test_the_tunnel_of_the_example() -> None:
    found = built(EXAMPLE)
    assert found.addresses == (ip_interface("10.11.1.2/32"), ip_interface("fd00:11::2/64"))
    assert found.split_include == (ip_network("10.11.0.0/16"), ip_network("fd00:11::/32"))
    assert found.split_exclude == (ip_network("10.11.9.0/24"),)
    assert found.dns == (ip_address("10.11.0.53"), ip_address("10.11.0.54"))
    assert (found.mtu, found.idle_timeout, found.session_timeout) == (1400, 300, 28800)


def test_the_least_there_can_be() -> None:
    assert read(document())[0] == Settings((ip_interface("10.11.1.2/32"),), raw=read(document())[0].raw)
    assert built(document()).split_include == ()
    six = built(document(four="", six=SIX))
    assert six.addresses == (ip_interface("fd00:11::2/128"),)


def test_routes_of_each_family_by_itself() -> None:  # Q16, section 11
    assert routes() == []
    assert routes(info("10.0.0.0/255.255.0.0")) == ["10.0.0.0/16"]
    assert routes(info("10.0.0.0/255.255.0.0"), six=" ") == ["10.0.0.0/16"]  # all IPv6, some IPv4
    assert routes(info("10.0.0.0/255.255.0.0", "0.0.0.0/0.0.0.0")) == []
    assert routes(info("10.0.0.0/255.0.0.0"), info("fd00::/16", "::/0")) == ["10.0.0.0/8"]
    assert routes(info("10.0.0.0/255.0.0.0", negate="1")) == []
    assert routes(info("10.0.0.0/255.0.0.0"), more="<exclusive-routing value='on'/>") == []
    assert routes(info("10.0.0.0/255.0.0.0"), more="<exclusive-routing>on</exclusive-routing>") == []
    assert routes(info("10.0.0.0/255.0.0.0"), more="<exclusive-routing value='off'/>") == ["10.0.0.0/8"]
    both = routes(info("10.0.0.0/255.0.0.0"), info("fd00::/16"), "<ipv6-exclusive-routing value='1'/>")
    assert both == ["10.0.0.0/8"]
    found = built(document(FOUR + info("0.0.0.0/0.0.0.0", "10.9.0.0/255.255.0.0", negate="1")))
    assert found.split_exclude == (ip_network("10.9.0.0/16"),)
    assert any("a default route outside" in text for text in found.warnings)


@pytest.mark.parametrize(
    ("net", "kept", "warned"),
    [
        ("10.0.1.2/255.255.0.0", ["10.0.0.0/16"], "host bits"),
        ("10.0.0.0/255.0.255.0", [], "without gaps"),
        ("10.0.0.0/", [], "mask"),
        ("/255.0.0.0", [], "IPv4 or IPv6 address"),
        ("x/y", [], "address"),
        ("224.0.0.0/240.0.0.0", [], "multicast"),
        ("fd00::/129", [], "prefix length 129"),
        ("fd00::/x", [], "mask"),
        ("fd00::/16", ["fd00::/16"], ""),
    ],
)
def test_networks(net: str, kept: list[str], warned: str) -> None:
    body = document(six=SIX + info(net)) if ":" in net else document(FOUR + info(net))
    settings, warnings = read(body)
    assert [str(one) for one in settings.include] == kept
    assert [text for text in warnings if warned in text] == list(warnings) and bool(warnings) is bool(warned)


def test_domains() -> None:  # Q15
    names = r"lab.example\059corp.example; a.example b.example,\999x, -bad-"
    settings, warnings = read(document(FOUR + f"<dns ip='10.0.0.1' domain='{names}'/>"))
    assert settings.search_domains == ("lab.example", "corp.example", "a.example", "b.example")
    assert len(warnings) == 2
    split = "<split-dns domains='*.a.example,b.example' dnsserver1='10.0.0.1' dnsserver9='x'/>"
    settings, warnings = read(document(FOUR + split + split.replace("10.0.0.1", "10.0.0.2")))
    assert settings.split_dns == ("a.example", "b.example")
    assert settings.split_servers == (ip_address("10.0.0.1"), ip_address("10.0.0.2"))
    assert any("all are asked for all" in text for text in warnings)


def test_servers_without_a_name_and_of_another_family() -> None:
    four = FOUR + "<dns ip='10.0.0.1'/><dns ip='bad'/><dns ip='10.0.0.1'/><dns/><dns ipv6='fd00::53'/>"
    settings, warnings = read(document(four))
    assert settings.dns == (ip_address("10.0.0.1"), ip_address("fd00::53")) and len(warnings) == 1
    assert built(document(four)).dns == (ip_address("10.0.0.1"),)
    notes = Notes()
    bare = parse(document(), notes)
    found = config.build(bare, bare.addresses, servers={129: IPv4Address("10.0.0.9")}, mtu=1400, notes=notes)
    assert found.dns == (ip_address("10.0.0.9"),)


@pytest.mark.parametrize(
    "four",
    [
        "<assigned-addr ipv4='error'/>",
        "<assigned-addr ipv4=''/>",
        "<assigned-addr/>",
        "<assigned-addr ipv4='10.0.0.1/24'/>",
        "<assigned-addr ipv4='fd00::1'/>",
        "<assigned-addr ipv4='0.0.0.0'/>",
        "<assigned-addr ipv4='999.0.0.1'/>",
    ],
)
def test_addresses_that_cannot_be(four: str) -> None:
    with refused(ConfigurationRefused, "no-address: ipv4/assigned-addr"):
        read(document(four, six=SIX))


def test_no_address_and_a_bad_prefix() -> None:
    with refused(ConfigurationRefused, "no-address: the gateway assigned no address"):
        read(document(" "))
    settings, warnings = read(document("", six="<assigned-addr ipv6='fd00::2' prefix-len='999'/>"))
    assert settings.addresses == (ip_interface("fd00::2/128"),) and "prefix-len" in warnings[0]


def test_what_comes_twice() -> None:
    four = FOUR + "<assigned-addr ipv4='10.9.9.9'/>"
    more = "<idle-timeout val='x'/><idle-timeout val='5'/><idle-timeout val='6'/><auth-timeout/>"
    settings, _ = read(document(four, more))
    assert settings.addresses == (ip_interface("10.11.1.2/32"),)
    assert (settings.idle, settings.lifetime) == (5, 0)


def test_tunnel_methods() -> None:
    read(document(more="<tunnel-method value='tun'/><tunnel-method value='ppp'/>"))
    with refused(NotSupported, "unsupported-tunnel-method: .*'tun'"):
        read(document(more="<tunnel-method value='tun'/>"))


def test_caps() -> None:
    many = "".join(f"<addr ip='10.{n >> 8}.{n & 255}.0' mask='255.255.255.0'/>" for n in range(MAX_NETWORKS + 1))
    settings, warnings = read(document(FOUR + f"<split-tunnel-info>{many}</split-tunnel-info>"))
    assert len(settings.include) == MAX_NETWORKS and "the rest is ignored" in warnings[0]
    servers = "".join(f"<dns ip='10.0.0.{n}' domain='{','.join(f'd{n}x{m}.test' for m in range(20))}'/>"
                      for n in range(1, 30))  # fmt: skip
    settings, _ = read(document(FOUR + servers))
    assert len(settings.dns) == MAX_SERVERS and len(settings.search_domains) == MAX_DOMAINS
    with refused(ConfigurationRefused, "config-bad-xml: more than 20000 elements"):
        read(document(FOUR + "<x/>" * 20_001))
    with refused(ConfigurationRefused, "config-bad-xml: document of"):
        read(b" " * (MAX_DOCUMENT + 1))
    large = FOUR + "".join(f"<x a='{'y' * 1000}'/>" for _ in range(100))
    assert sum(len(name) + len(value) for name, value in read(document(large))[0].raw) <= 65536


@pytest.mark.parametrize(
    ("body", "error", "text"),
    [
        (b"", ConfigurationRefused, "config-bad-xml"),
        (b"\xff\xfe", ConfigurationRefused, "config-bad-xml"),
        (b"<other/>", ConfigurationRefused, "config-bad-xml: root element 'other'"),
        (b"<html><body>sign in</body></html>", CookieRejected, "session-rejected"),
        (b"<!DOCTYPE html><html><p>", CookieRejected, "session-rejected"),
        (b"<!DOCTYPE a [<!ENTITY x 'y'>]><sslvpn-tunnel/>", ConfigurationRefused, "config-bad-xml"),
        (b"<sslvpn-tunnel>" + b"<a>" * 100, ConfigurationRefused, "config-bad-xml"),
        (EXAMPLE[:-20], ConfigurationRefused, "config-bad-xml: the document is cut short"),
    ],
)
def test_what_is_no_configuration(body: bytes, error: type[ProtocolError], text: str) -> None:
    with refused(error, text):
        read(body)


WORDS = st.sampled_from(["", "error", "10.0.0.1", "fd00::1", "0", "-1", "255.255.0.0", "9" * 40, "on", "a\\059b", "é"])
NAMES = st.sampled_from(["ipv4", "ipv6", "dns", "split-dns", "assigned-addr", "split-tunnel-info", "addr", "auth-ses"])
KEYS = st.sampled_from(["ip", "ipv4", "ipv6", "mask", "prefix-len", "domain", "domains", "dnsserver1", "negate", "val"])


def element(name: str, keys: dict[str, str], inside: list[str]) -> str:
    attributes = " ".join(f"{key}={value!r}" for key, value in keys.items())
    return f"<{name} {attributes}>{''.join(inside)}</{name}>"


TREES = st.recursive(
    st.just(""),
    lambda inner: st.builds(
        element,
        NAMES, st.dictionaries(KEYS, WORDS, max_size=3), st.lists(inner, max_size=4),
    ),
    max_leaves=12,
)  # fmt: skip


@given(
    st.one_of(
        st.integers(0, len(EXAMPLE)).map(lambda at: EXAMPLE[:at]),
        st.builds(
            lambda at, junk: EXAMPLE[:at] + junk + EXAMPLE[at:], st.integers(0, len(EXAMPLE)), st.binary(max_size=9)
        ),
        TREES.map(lambda inside: f"<sslvpn-tunnel>{inside}</sslvpn-tunnel>".encode()),
        st.binary(max_size=200),
    )
)  # fmt: skip
def test_any_document_is_a_configuration_or_a_named_error(body: bytes) -> None:
    try:
        found = built(body)
    except ProtocolError as exc:
        assert exc.code in ("config-bad-xml", "no-address", "session-rejected", "unsupported-tunnel-method")
        return
    versions = {one.version for one in found.addresses}
    assert versions and {net.version for net in found.split_include + found.split_exclude} <= versions
