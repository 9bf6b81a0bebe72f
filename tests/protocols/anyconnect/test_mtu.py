"""MTU arithmetic (section 7): of the vectors V11 those of CONNECT, and the ends of the range."""

from __future__ import annotations

import pytest

from protocols.anyconnect.mtu import requested


@pytest.mark.parametrize(
    ("wishes", "told", "mtu"),
    [
        ({"path": 1500}, 1500, 1390),  # V11
        ({"path": 1500, "outer_ipv6": True}, 1500, 1370),  # V11
        ({"base": 1000}, 1280, 1170),  # V11: sent as 1280
        ({}, 1406, 1296),
        ({"base": 1400, "path": 1500}, 1400, 1290),
        ({"path": 1500, "mtu": 1200}, 1500, 1200),
        ({"mtu": 100}, 1406, 576),
        ({"path": 65536}, 65535, 16376),  # loopback
    ],
)
def test_what_is_asked_for(wishes: dict[str, int], told: int, mtu: int) -> None:
    assert requested(**wishes) == (told, mtu)  # type: ignore[arg-type]
