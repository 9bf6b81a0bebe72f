"""What people and scripts see of each event."""

from __future__ import annotations

import io
import json
import typing

import pytest

from tests.vpnclient.auth.terminals import terminal
from vpnclient import events
from vpnclient.events import (
    Banner,
    ChannelChanged,
    Configured,
    Event,
    Failed,
    Noted,
    RetryScheduled,
    State,
    StateChanged,
    Statistics,
    TlsEstablished,
    Warned,
)
from vpnclient.view import Views
from vpnclient.view.jsonl import JsonView
from vpnclient.view.plain import PlainView
from vpnclient.view.terminal import StatusLine, TerminalView
from vpnclient.view.text import Level, duration, rate, size

TOTALS = Statistics(10.0, 1_000_000, 2_000, 900, 20, 3, 1, (("sink_full", 3),))
EVENTS: tuple[Event, ...] = (
    StateChanged(State.SIGNING_IN),
    TlsEstablished("192.0.2.1:443", "TLSv1.3", "TLS_AES_256_GCM_SHA384", "pin-sha256:abc="),
    Configured("tun0", ("10.0.0.5/32", "fd00::5/128"), 1400, ("10.0.0.0/8",), (), ("10.0.0.1",), ("corp",), "resolved"),
    StateChanged(State.CONNECTED),
    TOTALS,
    Banner("Welcome\nto it"),
    ChannelChanged("DTLS", "DTLSv1.2, PSK-AES128-GCM-SHA256"),
    Warned("odd"),
    Noted("a detail", "debug"),
    Noted("a byte", "trace"),
    Noted("a fact"),
    RetryScheduled(1, 10.0, "refused"),
    Failed("unreachable", "no route", "check it", 4),
    StateChanged(State.CLOSED, "no route"),
)


def plain(level: int, *shown: Event, timestamps: bool = False) -> str:
    out = io.StringIO()
    view = PlainView(out, level, timestamps=timestamps, now=lambda: 0.0)
    for event in shown or EVENTS:
        view(event)
    return out.getvalue()


def test_the_events_here_are_all_there_are() -> None:
    assert {type(event) for event in EVENTS} == set(typing.get_args(events.Event))


def test_quiet_is_errors_only() -> None:
    assert plain(Level.ERROR) == "error: no route\nhint: check it\n"


def test_info() -> None:
    assert plain(Level.INFO).splitlines() == [
        "signing in",
        "link to 192.0.2.1:443: TLSv1.3, TLS_AES_256_GCM_SHA384",
        "interface tun0: 10.0.0.5/32, fd00::5/128, MTU 1400",
        "  routes: 10.0.0.0/8",
        "  DNS (resolved): 10.0.0.1",
        "  search: corp",
        "connected",
        "Welcome",
        "to it",
        "packets go by DTLS: DTLSv1.2, PSK-AES128-GCM-SHA256",
        "warning: odd",
        "a fact",
        "attempt 1 failed: refused; next in 10 s",
        "error: no route",
        "hint: check it",
        "closed",
        "received 1.0 MB (900 packets), sent 2.0 kB (20 packets) in 0:00:10; 3 dropped, 1 reconnect",
        "  sink full 3",
    ]


def test_more_with_each_v() -> None:
    assert "a detail" in plain(Level.DEBUG) and "pin-sha256:abc=" in plain(Level.DEBUG)
    assert "a byte" not in plain(Level.DEBUG) and "a byte" in plain(Level.TRACE)


def test_timestamps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    line = plain(Level.INFO, Warned("odd"), timestamps=True)
    assert (
        line.startswith("[19") and line.endswith("] warning: odd\n") and len(line) == len("[1970-01-01 00:00:00] ") + 13
    )


def test_statistics_are_shown_once_when_asked_for_even_when_quiet() -> None:
    out = io.StringIO()
    view = PlainView(out, Level.ERROR)
    view(TOTALS)
    assert out.getvalue() == ""
    view.show_statistics()
    view(TOTALS)
    view(TOTALS)
    assert out.getvalue().count("received 1.0 MB") == 1 and "\n  sink full 3\n" in out.getvalue()


def test_json_lines_hold_every_event() -> None:
    out = io.StringIO()
    view = JsonView(out, now=lambda: 1.5)
    for event in EVENTS:
        view(event)
    found = [json.loads(line) for line in out.getvalue().splitlines()]
    assert len(found) == len(EVENTS) and all(entry["time"] == 1.5 for entry in found)
    assert found[0] == {"event": "state", "time": 1.5, "state": "signing-in", "reason": ""}
    assert found[12]["event"] == "error" and found[12]["exit_code"] == 4


class Broken(io.StringIO):
    def write(self, text: str, /) -> int:
        raise BrokenPipeError


def test_a_reader_that_went_away_does_not_end_the_session() -> None:
    for view in (JsonView(Broken()), PlainView(Broken(), Level.TRACE)):
        for event in EVENTS:
            view(event)


def test_two_views_as_one() -> None:
    first, second = io.StringIO(), io.StringIO()
    views = Views(JsonView(first), PlainView(second, Level.ERROR))
    views.show_statistics()
    with views.undisturbed():
        views(TOTALS)
    views.close()
    assert '"statistics"' in first.getvalue() and "received" in second.getvalue()


def test_the_status_line() -> None:
    status = StatusLine("work")
    for event in EVENTS[:3]:
        status(event)
    assert not status.live
    status(EVENTS[3])
    status(Statistics(10.0, 0, 0, 0, 0, 0, 0))
    status(Statistics(12.0, 1_000_000, 250_000, 0, 0, 0, 0))
    status(Statistics(12.01, 1_100_000, 250_000, 0, 0, 0, 0))  # too soon for a rate
    text = "connected  0:00:12  down 4.0 Mbit/s  up 1.0 Mbit/s  work  10.0.0.5 fd00::5  tun0"
    assert str(status.text()) == text
    status(StateChanged(State.RECONNECTING, "lost"))
    status(RetryScheduled(1, 10.0, "refused"))
    assert str(status.text()) == "reconnecting  0:00:12  attempt 2 in 10 s  work  10.0.0.5 fd00::5  tun0"
    status(StateChanged(State.CLOSED))
    assert not status.live


def test_a_terminal_shows_lines_and_a_live_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.delenv("NO_COLOR", raising=False)
    with terminal() as screen:
        view = TerminalView(screen.err, Level.INFO, target="work")
        for event in EVENTS[:5]:
            view(event)
        shown = screen.rest()
        assert "interface tun0" in shown and "down 800.0 kbit/s" not in shown.split("connected")[0]
        assert "\x1b[32m" in shown  # colour
        with view.undisturbed():
            screen.rest()
            before = len(screen.seen)
            view(TOTALS)
            assert "down" not in screen.rest()[before:]
        assert "down" in screen.rest()[before:]
        view.close()
        assert screen.rest().endswith(("\x1b[2K", "\x1b[?25h"))


def test_no_colour_if_not_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", "1")
    with terminal() as screen:
        view = TerminalView(screen.err, Level.INFO)
        view(Failed("x", "no route", "", 4))
        assert "\x1b[" not in screen.rest().replace("\x1b[1m", "").replace("\x1b[0m", "")
        view.close()


def test_a_terminal_without_a_live_line_when_quiet() -> None:
    with terminal() as screen:
        view = TerminalView(screen.err, Level.ERROR)
        for event in EVENTS[:5]:
            view(event)
        assert screen.rest() == ""
        view.close()


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (99_950, "100 kB"), (1e6, "1.0 MB"), (5e13, "50.0 TB")],
)
def test_size(count: float, text: str) -> None:
    assert size(count) == text


@pytest.mark.parametrize(
    ("bits", "text"), [(0, "0 bit/s"), (999_600, "1.0 Mbit/s"), (940e6, "940 Mbit/s"), (2.5e9, "2.50 Gbit/s")]
)
def test_rate(bits: float, text: str) -> None:
    assert rate(bits) == text


def test_duration() -> None:
    assert [duration(seconds) for seconds in (0, 59.9, 3661, 90061)] == ["0:00:00", "0:00:59", "1:01:01", "1 d 1:01:01"]


def test_a_gateway_cannot_command_the_terminal() -> None:
    """Whatever forgot to clean a text, the last place does: escapes, their C1 forms, carriage returns."""
    said = plain(Level.INFO, Warned("a\x1b]0;title\x07b\x9b2Jc\rd"), Failed("protocol", "x\x1b[2Jy", "z\x85", 8))
    assert said == "warning: a]0;titleb2Jcd\nerror: x[2Jy\nhint: z\n"
