"""What --authenticate prints survives `eval` whatever a gateway puts into it (cli-parity 5.2)."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.base import Secret, Ticket
from protocols.errors import MalformedAnswer
from vpnclient.cli.ticket import as_shell, fields, quoted


@settings(max_examples=20)
@given(st.text(st.characters(exclude_characters="\0\r\n", exclude_categories=["Cs"]), max_size=40))
def test_a_shell_reads_back_what_was_quoted(text: str) -> None:
    script = f'X={quoted(text)}; printf %s "$X"'
    found = subprocess.run(["/bin/sh", "-c", script], capture_output=True, timeout=60, check=True)
    assert found.stdout.decode() == text


def test_a_cookie_cannot_run_a_command() -> None:
    text = as_shell(Ticket("anyconnect", "https://h/", Secret("a'; touch /tmp/x; echo '")))
    assert text.splitlines()[0] == r"COOKIE='a'\''; touch /tmp/x; echo '\'''"


@pytest.mark.parametrize("cookie", ["a\nb", "a\rb", "a\0b"])
def test_what_no_line_can_hold(cookie: str) -> None:
    with pytest.raises(MalformedAnswer):
        as_shell(Ticket("anyconnect", "https://h/", Secret(cookie)))


@pytest.mark.parametrize(
    ("url", "address", "host", "resolve"),
    [
        ("https://vpn.test/", "203.0.113.1", "203.0.113.1", "vpn.test:203.0.113.1"),
        ("https://vpn.test/", "fd00::1", "[fd00::1]", "vpn.test:fd00::1"),
        ("https://vpn.test:4433/", "", "vpn.test", ""),  # behind a proxy
        ("https://203.0.113.1/", "203.0.113.1", "203.0.113.1", ""),
        ("https://[fd00::1]:8443/", "fd00::1", "[fd00::1]", ""),
    ],
)
def test_host_and_resolve(url: str, address: str, host: str, resolve: str) -> None:
    found = fields(Ticket("anyconnect", url, Secret("c"), address))
    assert (found["host"], found["resolve"]) == (host, resolve)
    assert len(as_shell(Ticket("anyconnect", url, Secret("c"), address)).splitlines()) == 5
