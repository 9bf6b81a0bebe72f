from __future__ import annotations

import pytest

from transports.pump import PumpEvent, PumpEventKind
from vpnclient.lab.link import ending_of


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (PumpEvent(PumpEventKind.LINK_EOF, "the gateway closed the connection"), "the client closed the link"),
        (
            PumpEvent(PumpEventKind.LINK_ERROR, "the gateway closed the DTLS association"),
            "the link failed: the client closed the DTLS association",
        ),
        (PumpEvent(PumpEventKind.DEVICE_GONE, ""), "the device is gone"),
        (PumpEvent(PumpEventKind.REKEYED, ""), None),
    ],
    ids=["stream", "datagrams", "device", "no end"],
)
def test_an_end_is_told_from_the_gateways_side(event: PumpEvent, said: str | None) -> None:
    assert ending_of(event) == said
