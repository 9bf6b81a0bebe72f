"""What the gateway says of the host's configuration, and what of it is refused."""

from __future__ import annotations

import json
from ipaddress import ip_address, ip_interface, ip_network

import pytest
from lantern.config import parse

from vpnclient.api import ConfigurationRefused, MalformedAnswer

GOOD: dict[str, object] = {"addresses": ["10.77.0.2/24", "fd77::2/64"], "mtu": 1400}


def said(**more: object) -> bytes:
    return json.dumps(GOOD | more).encode()


def test_everything_said_is_taken() -> None:
    more: dict[str, object] = {"dns": ["10.77.0.1"], "search": ["lab.example"], "include": ["10.0.0.0/8"], "dpd": 30}
    settings = parse(said(**more, exclude=["10.1.0.0/16"], banner="Hello\n\x1b[1m"))
    tunnel = settings.tunnel
    assert tunnel.addresses == (ip_interface("10.77.0.2/24"), ip_interface("fd77::2/64"))
    assert (tunnel.mtu, settings.dpd, tunnel.banner) == (1400, 30, "Hello  [1m")
    assert tunnel.dns == (ip_address("10.77.0.1"),) and tunnel.search_domains == ("lab.example",)
    assert (tunnel.split_include, tunnel.split_exclude) == ((ip_network("10.0.0.0/8"),), (ip_network("10.1.0.0/16"),))


@pytest.mark.parametrize(("wanted", "mtu"), [(0, 1400), (1500, 1400), (1300, 1300), (100, 1280)])
def test_the_smaller_mtu_counts(wanted: int, mtu: int) -> None:
    assert parse(said(), mtu=wanted).tunnel.mtu == mtu


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        (b"", "no JSON"),
        (b"[" * 16000, "no JSON"),
        (b"[]", "got list, want an object"),
        (said(mtu=1279), "mtu: got 1279, want 1280 to 16380"),
        (said(mtu="1400"), "mtu: got 1400, want"),
        (said(mtu=10**30), "mtu: got 1000"),
        (said(dpd=-1), "dpd: got -1, want 0 to 86400"),
        (said(dns="10.77.0.1"), "dns: want a list"),
        (said(include=["10.0.0.0/33"]), "include: '10.0.0.0/33'"),
        (said(include=["10.0.0.0/8"] * 257), "include: want a list of at most 256"),
        (said(addresses=[1]), "addresses: want a list"),
    ],
)
def test_nothing_is_believed(payload: bytes, text: str) -> None:
    with pytest.raises(MalformedAnswer) as caught:
        parse(payload)
    assert caught.value.code == "lantern-config"
    assert text in str(caught.value)


def test_without_an_address_there_is_no_tunnel() -> None:
    with pytest.raises(ConfigurationRefused, match="gave no address"):
        parse(said(addresses=[]))
