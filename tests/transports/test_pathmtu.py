"""The kernel's idea of a path MTU."""

from __future__ import annotations

import pytest

from transports.pathmtu import path_mtu


def test_loopback_has_a_large_one() -> None:
    assert path_mtu("127.0.0.1") >= 1500


@pytest.mark.parametrize("address", ["", "vpn.test", "1.2.3", "::zz"])
def test_unknown_is_zero(address: str) -> None:
    assert path_mtu(address) == 0


def test_a_bad_port_is_no_accident() -> None:
    assert path_mtu("127.0.0.1", 99999) == 0
