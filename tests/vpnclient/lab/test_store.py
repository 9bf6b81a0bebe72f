from __future__ import annotations

import itertools
from ipaddress import IPv4Network, IPv6Network

import pytest

from vpnclient.lab.store import COOKIE_LIFE, Exhausted, Store


def make(network: str = "10.77.0.0/29", life: float = 0) -> Store:
    numbers = itertools.count()
    return Store(IPv4Network(network), IPv6Network("fd77::/64"), life=life, token=lambda: f"c{next(numbers)}")


def test_addresses_follow_the_gateway_and_are_given_again() -> None:
    store = make()
    first, second = store.add("a", "", 0.0), store.add("b", "", 0.0)
    assert str(store.gateway_v4) == "10.77.0.1" and str(store.gateway_v6) == "fd77::1"
    assert (str(first.v4), str(first.v6)) == ("10.77.0.2/29", "fd77::2/64")
    assert str(second.v4) == "10.77.0.3/29"
    store.drop(first)
    assert store.find(first.cookie, 0.0) is None
    assert str(store.add("c", "", 0.0).v4) == "10.77.0.2/29"


def test_a_full_pool_says_so_and_never_gives_the_broadcast_address() -> None:
    store = make("10.77.0.0/29")
    given = [str(store.add("a", "", 0.0).v4.ip) for _ in range(5)]
    assert given[-1] == "10.77.0.6"
    with pytest.raises(Exhausted, match=r"no address of 10.77.0.0/29 is free"):
        store.add("a", "", 0.0)


def test_the_number_of_sessions_is_capped() -> None:
    store = make("10.0.0.0/8")
    for _ in range(200):
        store.add("a", "", 0.0)
    with pytest.raises(Exhausted, match="200 sessions"):
        store.add("a", "", 0.0)


def test_cookies_expire() -> None:
    store = make(life=60)
    session = store.add("a", "", 10.0)
    assert store.find("c0", 69.9) is session
    assert store.find("c0", 70.0) is None
    assert store.expired(69.9) == [] and store.expired(70.0) == [session]
    assert make().add("a", "", 0.0).expires_at == COOKIE_LIFE


@pytest.mark.parametrize("cookie", ["", "c1", "c0 ", "C0", "x" * 100_000, "é"])
def test_wrong_cookies_find_nothing(cookie: str) -> None:
    store = make()
    store.add("a", "", 0.0)
    assert store.find(cookie, 0.0) is None
