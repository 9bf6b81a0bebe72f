"""The options of a resource, field by field (sections 5 and 12), and the TunnelConfig made of them."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.base import Secret, TunnelConfig
from protocols.errors import ConfigurationRefused, CookieRejected
from protocols.f5 import config
from protocols.f5.options import Options, parse
from protocols.notes import MAX_WARNINGS, Notes
from tests.protocols.refusals import refused

NEEDED = {"ur_Z": "/Common/lab1", "Session_ID": "abc123", "IPV4_0": "1"}


def document(fields: dict[str, str]) -> bytes:
    inside = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in fields.items())
    return f'\n<?xml version="1.0"?><favorite><object ID="ur_Host">{inside}</object></favorite>'.encode()


def read(fields: dict[str, str] | None = None, **more: str) -> tuple[Options, tuple[str, ...]]:
    notes = Notes()
    options = parse(document({**NEEDED, **(fields or {}), **more}), notes)
    return options, notes.texts()


def built(
    ipv6: IPv6Address | None = None, servers: dict[int, IPv4Address] | None = None, **fields: str
) -> TunnelConfig:
    notes = Notes()
    options = parse(document({**NEEDED, **fields}), notes)
    return config.build(
        options, ipv4=IPv4Address("10.11.1.2"), ipv6=ipv6, servers=servers or {}, mtu=1400, session=60, notes=notes
    )


def test_the_least_there_can_be() -> None:
    options, warnings = read()
    assert options == Options(Secret("abc123"), Secret("/Common/lab1"), ipv4=True, ipv6=False, raw=(("IPV4_0", "1"),))
    assert warnings == ()
    assert "abc123" not in repr(options) and "abc123" not in str(options.raw)


def test_everything() -> None:
    options, warnings = read(
        IPV6_0="yes",
        hdlc_framing="yes",
        idle_session_timeout="900",
        tunnel_dtls="1",
        tunnel_port_dtls="4433",
        dtls_v1_2_supported="1",
        UseDefaultGateway0="1",
        AllowLocalSubnetAccess0="1",
        DNS0="10.0.0.53, 10.0.0.54\n10.0.0.53",
        DNS6_0="fd00::53",
        DNS1="10.0.1.53",
        WINS0="10.0.0.9",
        DNSSuffix0="corp.example, lab.example.",
        DNS_SPLIT0="*.corp.example other.example",
        LAN0="10.11.0.0/255.255.0.0 192.0.2.7",
        LAN6_0="fd00:11::/32\nfd00:12::5",
        ExcludeSubnets0="10.11.9.0/24",
        ExcludeSubnets6_0="fd00:11:9::/48",
        ur_name="x",
    )
    assert warnings == ()
    assert (options.hdlc, options.idle, options.port_dtls, options.dtls_12) == (True, 900, 4433, True)
    assert options.default_route and options.local_lan and options.ipv6
    assert options.dns == tuple(map(ip_address, ("10.0.0.53", "10.0.0.54", "10.0.1.53", "fd00::53")))
    assert options.nbns == (IPv4Address("10.0.0.9"),)
    assert options.search_domains == ("corp.example", "lab.example")
    assert options.split_dns == ("corp.example", "other.example")
    assert options.include == tuple(map(ip_network, ("10.11.0.0/16", "192.0.2.7/32", "fd00:11::/32", "fd00:12::5/128")))
    assert options.exclude == tuple(map(ip_network, ("10.11.9.0/24", "fd00:11:9::/48")))
    assert ("ur_name", "x") in options.raw


def test_fields_are_taken_by_index_not_as_they_come() -> None:
    options, _ = read({"DNS10": "10.0.0.3", "DNS2": "10.0.0.2", "DNS0": "10.0.0.1"})
    assert [str(server) for server in options.dns] == ["10.0.0.1", "10.0.0.2", "10.0.0.3"]


@pytest.mark.parametrize(
    ("text", "net", "warned"),
    [
        ("10.11.0.0/255.255.0.0", "10.11.0.0/16", False),
        ("10.11.5.6/255.255.0.0", "10.11.0.0/16", True),
        ("10.0.0.0/255.0.255.0", None, True),
        ("192.0.2.7", "192.0.2.7/32", False),
        ("fd00:11::/ffff:ffff::", "fd00:11::/32", False),
        ("fd00:11::5", "fd00:11::5/128", False),
        ("10.0.0.0/33", None, True),
        ("10.1", "10.1.0.0/16", True),
        ("10.1/255.255.0.0", "10.1.0.0/16", True),
        ("10.1.2", "10.1.2.0/24", True),
        ("nonsense", None, True),
        ("10.0.0.0/", None, True),
        ("127.0.0.0/8", None, True),
        ("224.0.0.0/4", None, True),
        ("0.0.0.0/0", "0.0.0.0/0", False),
    ],
)
def test_networks(text: str, net: str | None, warned: bool) -> None:  # section 12
    options, warnings = read(LAN0=text)
    assert options.include == ((ip_network(net),) if net else ())
    assert bool(warnings) is warned


@pytest.mark.parametrize("text", ["1", "yes", "On", "2", "TRUE", " true ", "-1", "007"])
def test_true(text: str) -> None:
    assert read(hdlc_framing=text) == read(hdlc_framing=text) and read(hdlc_framing=text)[0].hdlc


@pytest.mark.parametrize("text", ["0", "no", "off", "", "False", "00"])
def test_false(text: str) -> None:
    options, warnings = read(hdlc_framing=text)
    assert not options.hdlc and not warnings


def test_neither_true_nor_false() -> None:
    options, warnings = read(hdlc_framing="maybe")
    assert not options.hdlc and warnings == ("hdlc_framing: got 'maybe', want yes or no: taken as no",)


@pytest.mark.parametrize(
    ("offered", "port", "usable", "warned"),
    [("1", "4433", 4433, 0), ("0", "4433", 0, 0), ("1", "", 0, 0), ("1", "65536", 0, 1), ("1", "x", 0, 1)],
)
def test_dtls(offered: str, port: str, usable: int, warned: int) -> None:  # Q10
    options, warnings = read(tunnel_dtls=offered, tunnel_port_dtls=port)
    assert (options.port_dtls, len(warnings)) == (usable, warned)


def test_a_field_given_twice_counts_once() -> None:
    body = document(NEEDED).replace(b"</object>", b"<DNS0>10.0.0.1</DNS0><DNS0>10.0.0.2</DNS0></object>")
    notes = Notes()
    assert parse(body, notes).dns == (IPv4Address("10.0.0.1"),)
    assert notes.texts() == ("DNS0: given twice: '10.0.0.2' ignored",)


@pytest.mark.parametrize("name", ["ur_Z", "Session_ID"])
@pytest.mark.parametrize("value", ["", "a b", "a&b", "a#b", "a\rb", "a\nb", "ü", "x" * 4097])
def test_what_must_not_enter_the_request(name: str, value: str) -> None:
    with refused(ConfigurationRefused, f"config-bad-options: {name}: got") as caught:
        read({name: value})
    assert value not in str(caught.value) or not value


def test_percent_escapes_are_left_alone() -> None:
    assert read(ur_Z="a%0d%0aX:")[0].z == Secret("a%0d%0aX:")


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "unparsable"),
        (b"<favorite/>", "root element 'favorite' without"),
        (b"<other><object/></other>", "root element 'other' without"),
        (b"<favorite><object/></favorite>", "ur_Z: got 0"),
        (b"<favorite><object><ur_Z>z</ur_Z></object></favorite>", "Session_ID: got 0"),
        (b"<!DOCTYPE a []><favorite><object/></favorite>", "document type"),
    ],
)
def test_documents_that_cannot_be_used(body: bytes, text: str) -> None:
    with refused(ConfigurationRefused, f"config-bad-options: .*{text}"):
        parse(body, Notes())


def test_a_page_means_that_the_session_is_gone() -> None:
    with refused(CookieRejected, "session-rejected"):
        parse(b"<html><body>sign in</body></html>", Notes())


def test_no_family_is_no_tunnel() -> None:
    with refused(ConfigurationRefused, "no-address"):
        read(IPV4_0="0")


def test_lists_are_capped_and_so_are_warnings() -> None:
    options, warnings = read(LAN0=" ".join(f"10.{n // 256}.{n % 256}.0/24" for n in range(5000)))
    assert len(options.include) == 4096 and warnings == ("LAN0: more than 4096: the rest is ignored",)
    options, _ = read(DNS0=" ".join(f"10.0.0.{n}" for n in range(1, 30)))
    assert len(options.dns) == 16
    _, warnings = read(DNS0=" ".join(f"bad{n}" for n in range(100)))
    assert len(warnings) == MAX_WARNINGS + 1 and warnings[-1] == "and 80 more like these"
    options, _ = read(Big="x" * 200_000)
    assert sum(len(value) for _, value in options.raw) <= 65536


# --- into TunnelConfig ---

SIX = IPv6Address("fd00:11::2")


def test_the_default_route() -> None:
    made = built(SIX, UseDefaultGateway0="1", LAN0="10.0.0.0/8", ExcludeSubnets0="10.1.0.0/16 0.0.0.0/0")
    assert made.split_include == ()
    assert made.split_exclude == (ip_network("10.1.0.0/16"),)
    assert any("ExcludeSubnets" in text for text in made.warnings)
    assert [str(one) for one in made.addresses] == ["10.11.1.2/32", "fd00:11::2/128"]


def test_the_default_route_by_a_network_of_everything_is_for_its_family() -> None:
    made = built(SIX, LAN0="0.0.0.0/0 10.0.0.0/8", LAN6_0="fd00:11::/64")
    assert made.split_include == (ip_network("fd00:11::/64"),)


def test_networks_of_a_family_without_an_address_are_left_out() -> None:
    made = built(LAN0="10.0.0.0/8", LAN6_0="fd00:11::/64", DNS6_0="fd00::53", DNS0="10.0.0.53")
    assert made.split_include == (ip_network("10.0.0.0/8"),)
    assert made.dns == (ip_address("10.0.0.53"),)


def test_neither_networks_nor_default_route_is_our_own_address_and_a_warning() -> None:
    made = built(SIX, LAN0="10.0.0.0/8")
    assert made.split_include == (ip_network("10.0.0.0/8"), ip_network("fd00:11::2/128"))
    assert any("no IPv6 network" in text for text in made.warnings)


def test_local_networks_may_stay_reachable_beside_a_default_route() -> None:
    assert built(UseDefaultGateway0="1", AllowLocalSubnetAccess0="1").exclude_local_lan
    assert not built(LAN0="10.0.0.0/8", AllowLocalSubnetAccess0="1").exclude_local_lan


def test_servers_of_ipcp_are_used_where_the_document_names_none() -> None:
    servers = {129: IPv4Address("10.0.0.1"), 131: IPv4Address("10.0.0.2"), 130: IPv4Address("10.0.0.3")}
    assert built(servers=servers).dns == (servers[129], servers[131])
    assert built(servers=servers).nbns == (servers[130],)
    assert built(servers=servers, DNS0="10.9.9.9").dns == (IPv4Address("10.9.9.9"),)


def test_the_rest() -> None:
    made = built(idle_session_timeout="900", DNSSuffix0="a.example", DNS_SPLIT0="*", DNS0="10.0.0.1")
    assert (made.mtu, made.idle_timeout, made.session_timeout) == (1400, 900, 60)
    assert (made.search_domains, made.split_dns) == (("a.example",), ())


NAMES = st.sampled_from(
    ["ur_Z", "Session_ID", "IPV4_0", "IPV6_0", "DNS0", "DNS6_0", "LAN0", "LAN6_1", "ExcludeSubnets0", "WINS0",
     "DNSSuffix0", "DNS_SPLIT0", "hdlc_framing", "tunnel_dtls", "tunnel_port_dtls", "idle_session_timeout",
     "UseDefaultGateway0", "x", "DNS99999"]
)  # fmt: skip
VALUES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=30) | st.sampled_from(
    ["1", "0", "10.0.0.0/8", "fd00::/48", "10.1", "99999999999999999999999", "255.255.255.255/255.0.0.0", "*", "::/0"]
)


@given(st.dictionaries(NAMES, VALUES, max_size=10), st.booleans(), st.integers(0, 2000))
def test_any_document_is_a_configuration_or_a_named_error(fields: dict[str, str], six: bool, cut: int) -> None:
    body = document({**NEEDED, **fields})
    for one in (body, body[:cut]):
        notes = Notes()
        try:
            options = parse(one, notes)
            made = config.build(
                options,
                ipv4=IPv4Address("10.0.0.2"),
                ipv6=SIX if six else None,
                servers={},
                mtu=1400,
                session=0,
                notes=notes,
            )
        except ConfigurationRefused as exc:
            assert exc.code in ("config-bad-options", "no-address")
        else:
            assert len(made.warnings) <= MAX_WARNINGS + 1
