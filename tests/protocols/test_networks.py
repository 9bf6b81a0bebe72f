"""Addresses, masks, routes and domains as gateways write them (section 3.3; host-config.md section 13)."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols import networks


@pytest.mark.parametrize(
    ("text", "net", "masked"),
    [
        ("10.1.2.3/255.255.0.0", "10.1.0.0/16", True),
        ("10.1.0.0/16", "10.1.0.0/16", False),
        ("10.1.2.3", "10.1.2.3/32", False),
        ("0.0.0.0/0.0.0.0", "0.0.0.0/0", False),
        ("0.0.0.0/0", "0.0.0.0/0", False),
        ("2001:db8::/ffff:ffff::", "2001:db8::/32", False),
        ("2001:db8::1", "2001:db8::1/128", False),
        ("2001:db8::1/64", "2001:db8::/64", True),
        ("::/0", "::/0", False),
    ],
)
def test_routes(text: str, net: str, masked: bool) -> None:
    assert networks.network(text) == (ip_network(net), masked)


@pytest.mark.parametrize(
    "text",
    ["10.2", "10.0.0.0/255.0.255.0", "10.0.0.0/33", "10.0.0.0/", "/8", "", "x", "10.0.0.0/-1", "10.0.0.0/8/8",
     "fe80::1%eth0", "10.0.0.0/ffff::", "::/255.0.0.0", "::/ff00:ff::", "010.0.0.1"],
)  # fmt: skip
def test_bad_routes(text: str) -> None:
    with pytest.raises(ValueError, match=r"got .*, want"):
        networks.network(text)


@pytest.mark.parametrize("text", ["224.0.0.0/4", "ff02::/16", "127.0.0.0/8", "::1", "fe80::/10", "0.0.0.0", "::"])
def test_routes_that_no_tunnel_carries(text: str) -> None:
    with pytest.raises(ValueError, match="got"):
        networks.useful(networks.network(text)[0])


@pytest.mark.parametrize("text", ["0.0.0.0/0", "::/0", "169.254.0.0/16", "10.0.0.0/8", "fd00::/8"])
def test_routes_that_a_tunnel_carries(text: str) -> None:
    assert networks.useful(networks.network(text)[0]) == ip_network(text)


@pytest.mark.parametrize("text", ["0.0.0.0", "::", "127.0.0.1", "::1", "224.0.0.1", "ff02::1", "fe80::1%eth0", "a", ""])
def test_addresses_that_no_host_has(text: str) -> None:
    with pytest.raises(ValueError, match="got"):
        networks.own(text)


@pytest.mark.parametrize(
    ("text", "bits", "length"),
    [("255.255.255.0", 32, 24), ("0.0.0.0", 32, 0), ("24", 32, 24), ("255.255.255.255", 32, 32),
     ("ffff:ffff:ffff:ffff::", 128, 64), ("128", 128, 128), ("::", 128, 0)],
)  # fmt: skip
def test_masks(text: str, bits: int, length: int) -> None:
    assert networks.prefix_length(text, bits) == length


@pytest.mark.parametrize(
    "name", ["corp.example", "CORP.example.", "_dmarc.x", "a" * 63, "xn--bcher-kva.example", "a-b"]
)
def test_domains(name: str) -> None:
    assert networks.domain(name) == name.rstrip(".")


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "a..b",
        "a b",
        "a;b",
        "a\nb",
        "-a",
        "a-",
        "a" * 64,
        "a." * 130 + "a",
        "$(id)",
        "bücher.example",
        "*.a",
        "a/b",
    ],
)
def test_names_that_could_end_up_in_a_command(name: str) -> None:
    with pytest.raises(ValueError, match="want a domain name"):
        networks.domain(name)


@given(st.text(max_size=60) | st.from_regex(r"[0-9.:a-f]{1,20}(/[0-9.:a-f]{1,10})?", fullmatch=True))
def test_any_text_is_a_route_or_a_value_error(text: str) -> None:
    for read in (networks.network, networks.own, networks.domain):
        try:
            read(text)
        except ValueError:
            pass


@given(st.ip_addresses(), st.integers(0, 128))
def test_masking_agrees_with_the_standard_library(address: object, length: int) -> None:
    host = ip_address(str(address))
    length = min(length, host.max_prefixlen)
    wanted = ip_network(f"{host}/{length}", strict=False)
    assert networks.network(f"{host}/{length}")[0] == wanted
    assert networks.network(f"{host}/{wanted.netmask}")[0] == wanted
