from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Network

import pytest

from protocols.base import Secret
from vpnclient.lab.settings import LabSettings

GOOD = LabSettings(users={"test": Secret("x")})


def test_good_settings_have_no_problems() -> None:
    assert GOOD.problems() == []
    assert replace(GOOD, mtu=576, network6=None).problems() == []


@pytest.mark.parametrize(
    "bad, text",
    [
        (replace(GOOD, mtu=1279), "--mtu: got 1279, want 1280 to 16376"),
        (replace(GOOD, mtu=16377), "want 1280 to 16376"),
        (replace(GOOD, mtu=575, network6=None), "want 576 to 16376"),
        (replace(GOOD, network=IPv4Network("10.0.0.0/31")), "want at least a /30"),
        (replace(GOOD, users={}), "nobody could sign in"),
        (replace(GOOD, rekey_time=4, rekey_method="never"), "want ssl or new-tunnel"),
        (replace(GOOD, rekey_method="never"), "want ssl or new-tunnel"),
        (replace(GOOD, tls_max="1.1"), "want 1.2 or 1.3"),
        (replace(GOOD, dpd=-1), "dpd: must not be negative"),
    ],
)
def test_problems_are_named(bad: LabSettings, text: str) -> None:
    (problem,) = bad.problems()
    assert text in problem
