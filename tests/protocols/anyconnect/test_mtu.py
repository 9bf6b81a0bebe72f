"""MTU arithmetic (section 7): the vectors V11, and the ends of the range."""

from __future__ import annotations

import pytest

from protocols.anyconnect.mtu import Cipher, dtls_data, requested


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


@pytest.mark.parametrize(
    ("cipher", "mtu"), [(Cipher.AES_GCM, 1334), (Cipher.CHACHA20, 1342), (Cipher.AES_CBC_SHA1, 1306)]
)
def test_what_a_dtls_record_carries(cipher: Cipher, mtu: int) -> None:  # V11
    assert dtls_data(1400, cipher) == mtu


def test_a_path_too_narrow_carries_nothing() -> None:
    assert dtls_data(40, Cipher.AES_CBC_SHA1, outer_ipv6=True) == 0
