"""The KMP 301 -> TunnelConfig, each attribute right, wrong, missing and repeated (section 5.2)."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, IPv4Network, ip_address, ip_interface

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.base import TunnelConfig
from protocols.errors import ConfigurationRefused
from protocols.framing.oncp import MAX_SENT
from protocols.nc import kmp
from protocols.nc.configuration import MAX_ROUTES, MAX_WARNINGS, Negotiated, negotiate
from tests.protocols.nc.vectors import J2_PAYLOAD
from tests.protocols.refusals import refused

Attributes = list[tuple[int, int, bytes]]
ADDRESS = (1, 1, b"\x0a\x09\x00\x02")


def config(*attributes: tuple[int, int, bytes], mtu: int = 0, held: tuple[IPv4Interface, ...] = ()) -> TunnelConfig:
    return negotiate(payload(*attributes), mtu=mtu, held=held).config


def payload(*attributes: tuple[int, int, bytes]) -> bytes:
    return kmp.write([(group, [(number, value)]) for group, number, value in attributes])


def net(text: str) -> bytes:
    found = IPv4Network(text)
    return found.network_address.packed + found.netmask.packed


def test_the_vector() -> None:
    negotiated = negotiate(J2_PAYLOAD)
    found = negotiated.config
    assert (found.addresses, found.mtu) == ((IPv4Interface("10.9.0.2/32"),), 1400)
    assert (found.dns, found.nbns) == ((ip_address("10.9.0.53"),), (IPv4Address("10.9.0.60"),))
    assert found.search_domains == ("lab.example", "corp.example")
    assert found.split_include == (IPv4Network("10.9.0.0/24"),)
    assert found.split_exclude == (IPv4Network("10.9.0.128/25"),)
    assert found.warnings == () and (found.idle_timeout, found.session_timeout) == (0, 0)
    assert negotiated.esp is not None and negotiated.esp.parameters.port == 4500


def test_scripts_see_everything_but_the_keys() -> None:
    raw = dict(negotiate(J2_PAYLOAD).config.raw)
    assert raw["1/1"] == "10.9.0.2" and raw["3/3"] == "10.9.0.0/255.255.255.0" and raw["8/4"] == "4500"
    assert raw["2/2"] == "lab.example,corp.example" and raw["6/2"] == "1400"
    assert "7/2" not in raw and not any("3d3e3f" in value for value in raw.values())
    unknown = dict(config(ADDRESS, (77, 1, b"\xab" * 70)).raw)
    assert unknown["77/1"] == "ab" * 64 + "..."


def test_an_address_alone_is_enough() -> None:
    found = config(ADDRESS)
    assert found == TunnelConfig(
        addresses=(IPv4Interface("10.9.0.2/32"),), mtu=1400, raw=(("1/1", "10.9.0.2"),), split_include=()
    )


@pytest.mark.parametrize(
    "attribute, text",
    [
        ((1, 1, b"\x0a\x09\x00"), "attribute 1/1: got 3 bytes, want 4"),
        ((1, 1, bytes(4)), "attribute 1/1: got '0.0.0.0', want an address that a host can have"),
        ((1, 1, b"\xe0\x00\x00\x01"), "attribute 1/1: got '224.0.0.1'"),
        ((1, 2, b"\xff\x00\xff\x00"), "attribute 1/2: got mask '255.0.255.0', want one without gaps"),
        ((1, 2, b"\xff"), "attribute 1/2: got 1 bytes, want 4"),
        ((1, 3, b""), "attribute 1/3: got 0 bytes, want 4"),
        ((2, 1, bytes(5)), "attribute 2/1: got 5 bytes, want 4"),
        ((3, 3, bytes(7)), "attribute 3/3: got 7 bytes, want 8"),
        ((3, 4, bytes(9)), "attribute 3/4: got 9 bytes, want 8"),
        ((4, 1, b"x"), "attribute 4/1: got 1 bytes, want 4"),
        ((6, 2, b"\x05\x78"), "attribute 6/2: got 2 bytes, want 4"),
        ((6, 2, b"\x00\x00\x02\x3f"), "attribute 6/2: got an MTU of 575 bytes, want 576 to 65535"),
        ((6, 2, b"\x00\x01\x00\x00"), "attribute 6/2: got an MTU of 65536 bytes"),
        ((7, 1, b"\x01"), "attribute 7/1: got 1 bytes, want 4"),
        ((7, 2, bytes(63)), "attribute 7/2: got 63 bytes, want 64"),
        ((8, 1, bytes(2)), "attribute 8/1: got 2 bytes, want 1"),
        ((8, 4, bytes(1)), "attribute 8/4: got 1 bytes, want 2"),
        ((8, 6, bytes(3)), "attribute 8/6: got 3 bytes, want 4"),
    ],
)
def test_a_known_attribute_that_is_wrong_ends_it(attribute: tuple[int, int, bytes], text: str) -> None:
    with refused(ConfigurationRefused, match=f"oncp-bad-config: {text}"):
        config(*(() if attribute[:2] == (1, 1) else (ADDRESS,)), attribute)


def test_no_address_is_refused_unless_one_is_held() -> None:  # Q14
    with refused(ConfigurationRefused, match="no-address"):
        config()
    held = (ip_interface("10.9.0.2/24"),)
    assert config(held=held).addresses == held  # type: ignore[arg-type]
    assert config((1, 2, b"\xff\xff\xff\xff"), held=held).addresses == (IPv4Interface("10.9.0.2/32"),)  # type: ignore[arg-type]
    assert config((1, 1, b"\x0a\x09\x00\x09"), held=held).addresses == (IPv4Interface("10.9.0.9/32"),)  # type: ignore[arg-type]


def test_a_mask_of_nothing_is_repaired() -> None:
    found = config(ADDRESS, (1, 2, bytes(4)))
    assert found.addresses == (IPv4Interface("10.9.0.2/32"),)
    assert found.warnings == ("1/2: ignored 0.0.0.0: it would make every address a neighbour",)


def test_the_first_of_what_may_come_once_counts() -> None:
    found = config(ADDRESS, (1, 1, b"\x0a\x09\x00\x03"), ADDRESS)
    assert found.addresses == (IPv4Interface("10.9.0.2/32"),)
    assert found.warnings == ("1/1: told 3 times: the first counts",)
    assert config(ADDRESS, ADDRESS).warnings == ()


@pytest.mark.parametrize(
    "told, wish, mtu", [(0, 0, 1400), (1400, 0, 1400), (1400, 1300, 1300), (1300, 1400, 1300), (1400, 100, 576)]
)
def test_mtu(told: int, wish: int, mtu: int) -> None:
    assert config(ADDRESS, (6, 2, told.to_bytes(4, "big")), mtu=wish).mtu == mtu


def test_an_mtu_that_no_record_carries_is_lowered() -> None:
    found = config(ADDRESS, (6, 2, (65535).to_bytes(4, "big")))
    assert found.mtu == MAX_SENT and "lowered" in found.warnings[0]


def test_everything_goes_through_the_tunnel_if_no_route_says_otherwise() -> None:  # Q26
    assert config(ADDRESS).split_include == ()
    both = ((3, 3, net("0.0.0.0/0")), (3, 3, net("10.0.0.0/8")), (1, 2, b"\xff\xff\xff\xff"))
    assert config(ADDRESS, *both).split_include == ()


def test_bad_routes_are_dropped_and_never_become_everything() -> None:
    gaps = b"\x0a\x00\x00\x00\xff\x00\xff\x00"
    found = config(ADDRESS, (3, 3, gaps), (3, 3, net("10.8.0.0/16")), (3, 4, gaps), (3, 4, net("0.0.0.0/0")))
    assert found.split_include == (IPv4Network("10.8.0.0/16"),) and found.split_exclude == ()
    assert sorted(text.partition(":")[0] for text in found.warnings) == ["3/3", "3/4", "3/4"]
    alone = config(ADDRESS, (3, 3, gaps))
    assert alone.split_include == (IPv4Network("10.9.0.2/32"),) and "no usable route" in alone.warnings[-1]
    same = config(ADDRESS, (3, 3, net("10.8.0.0/16")), (3, 4, net("10.8.0.0/16")))
    assert same.split_include == (IPv4Network("10.9.0.2/32"),)


def test_host_bits_are_masked_and_repetitions_dropped() -> None:
    route = b"\x0a\x08\x01\x02\xff\xff\x00\x00"
    assert config(ADDRESS, (3, 3, route), (3, 3, net("10.8.0.0/16"))).split_include == (IPv4Network("10.8.0.0/16"),)


def test_routes_are_capped() -> None:
    routes = [(3, 3, (0x0A000000 + 256 * at).to_bytes(4, "big") + b"\xff\xff\xff\x00") for at in range(MAX_ROUTES + 1)]
    with refused(ConfigurationRefused, match=f"more than {MAX_ROUTES} routes"):
        config(ADDRESS, *routes)
    assert len(config(ADDRESS, *routes[:-1]).split_include) == MAX_ROUTES


def test_servers() -> None:  # Q28
    four = [(2, 1, bytes([10, 9, 0, last])) for last in (1, 2, 2, 3, 4)]
    found = config(ADDRESS, *four, (4, 1, bytes(4)), (4, 1, b"\x0a\x09\x00\x05"), (2, 1, b"\x7f\x00\x00\x01"))
    assert found.dns == tuple(map(ip_address, ("10.9.0.1", "10.9.0.2", "10.9.0.3")))
    assert found.nbns == (IPv4Address("10.9.0.5"),)
    assert any("127.0.0.1" in text for text in found.warnings) and any("the first 3" in text for text in found.warnings)


def test_domains_are_split_at_everything() -> None:  # Q27
    found = config(ADDRESS, (2, 2, b"a.example, b.example;c.example d.example\0"), (2, 2, b"a.example,bad name;-x-\0"))
    assert found.search_domains == ("a.example", "b.example", "c.example", "d.example", "bad", "name")
    assert len(found.warnings) == 1 and "-x-" in found.warnings[0]


def test_warnings_are_capped() -> None:
    bad = [(2, 1, bytes([127, 0, at // 256, at % 256])) for at in range(100)]
    warnings = config(ADDRESS, *bad).warnings
    assert len(warnings) == MAX_WARNINGS + 1 and warnings[-1] == "and 80 more like these"


@pytest.mark.parametrize(
    "attributes, why",
    [
        ([(8, 4, b"\x11\x94")], "no SPI and secrets"),
        ([(7, 1, bytes(4)), (7, 2, bytes(64)), (8, 4, b"\x11\x94")], "no SPI and secrets"),
        ([(7, 1, b"\1\2\3\4"), (7, 2, bytes(64))], "no UDP port"),
        ([(7, 1, b"\1\2\3\4"), (7, 2, bytes(64)), (8, 4, b"\x11\x94"), (8, 1, b"\x07")], "encryption 7 and HMAC 0"),
        (
            [(7, 1, b"\1\2\3\4"), (7, 2, bytes(64)), (8, 4, b"\x11\x94"), (8, 1, b"\x20"), (8, 2, b"\x00")],
            "encryption 32 and HMAC 0",  # the codes of GCM are our own
        ),
    ],
)
def test_esp_that_cannot_be_used_leaves_tls(attributes: Attributes, why: str) -> None:
    negotiated = negotiate(payload(ADDRESS, *attributes))
    assert negotiated.esp is None
    assert why in negotiated.config.warnings[0] and "everything goes over TLS" in negotiated.config.warnings[0]


def test_a_gateway_without_esp_is_no_reason_to_warn() -> None:
    assert negotiate(payload(ADDRESS)) == Negotiated(config(ADDRESS), None)


KNOWN = [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (3, 3), (3, 4), (4, 1), (6, 1), (6, 2), (7, 1), (7, 2)]
KNOWN += [(8, number) for number in range(1, 12)]
REAL = [bytes(64), b"\xff" * 4, b"\x0a\x09\x00\x02", net("10.0.0.0/8")]
VALUES = st.one_of(st.binary(max_size=10), st.sampled_from(REAL))


@given(
    st.lists(st.tuples(st.sampled_from(KNOWN), VALUES), max_size=12),
    st.sampled_from([0, 100, 1300, 70000]),
    st.sampled_from([(), (ip_interface("10.9.0.2/24"),), (ip_interface("fd00::2/64"),)]),
)
def test_any_attributes_are_a_configuration_or_refused(
    attributes: list[tuple[tuple[int, int], bytes]], mtu: int, held: tuple[IPv4Interface, ...]
) -> None:
    try:
        found = negotiate(payload(*((*name, value) for name, value in attributes)), mtu=mtu, held=held).config
    except ConfigurationRefused as exc:
        assert exc.code in ("oncp-bad-config", "no-address")
        return
    assert len(found.addresses) == 1 and found.addresses[0].version == 4
    assert 576 <= found.mtu <= MAX_SENT
    assert len(found.dns) <= 3 and len(found.warnings) <= MAX_WARNINGS + 1
