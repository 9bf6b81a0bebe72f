"""Who may make a tunnel, and where one can be made at all."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from transports import engine
from vpnclient import permissions, permissions_windows
from vpnclient.errors import Exit, NotOnThisSystem, NotPermitted
from vpnclient.settings import Settings

SETTINGS = Settings("https://vpn.example/")
PREPARED = Settings("https://vpn.example/", interface="tun7", script="/bin/true")


def test_an_engine_that_carries_tunnels_is_enough() -> None:
    permissions.require_links(lambda function: True)
    if sys.platform == "linux":
        permissions.require_links()


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ((), "this build of the engine has no TLS and no pump"),
        (("ve_tls_new",), "this build of the engine has no pump"),
    ],
)
@pytest.mark.parametrize(("platform", "name"), [("win32", "Windows"), ("linux", "linux")])
def test_what_the_engine_lacks_is_named(
    monkeypatch: pytest.MonkeyPatch, parts: tuple[str, ...], said: str, platform: str, name: str
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    with pytest.raises(NotOnThisSystem) as caught:
        permissions.require_links(parts.__contains__)
    assert str(caught.value) == f"connecting does not work on {name} yet: {said}"
    assert "docs/windows.md" in caught.value.hint
    assert (caught.value.code, caught.value.exit_code) == ("not-on-this-system", Exit.NOT_PERMITTED)


def test_an_engine_is_asked_for_its_functions() -> None:
    assert engine.has("ve_sink_memory")
    assert engine.has("ve_pump_new") == (sys.platform == "linux")


def test_on_windows_an_administrator_may() -> None:
    permissions_windows.require_network_admin(SETTINGS, lambda: True)


@pytest.mark.parametrize("settings", [SETTINGS, PREPARED])
def test_on_windows_nobody_else_may(settings: Settings) -> None:
    with pytest.raises(NotPermitted, match="administrator rights needed") as caught:
        permissions_windows.require_network_admin(settings, lambda: False)
    assert "Run as administrator" in caught.value.hint and caught.value.exit_code == Exit.NOT_PERMITTED


@pytest.mark.parametrize(("ours", "said"), [(True, ""), (False, "it belongs to another user; want yours, or one of")])
def test_on_windows_a_file_of_another_user_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ours: bool, said: str
) -> None:
    monkeypatch.setattr(permissions_windows, "is_private", lambda path, status: ours)
    answer = permissions_windows.unsafe_file(tmp_path, tmp_path.stat())
    assert answer.startswith(said) and bool(answer) != ours


if sys.platform == "linux":
    from vpnclient.permissions_posix import has_net_admin, require_network_admin

    @pytest.mark.parametrize(
        ("text", "may"),
        [
            ("Name:\tx\nCapEff:\t000001ffffffffff\n", True),
            ("CapEff:\t0000000000001000\n", True),
            ("CapEff:\t0000000000000fff\n", False),
            ("CapPrm:\t000001ffffffffff\n", False),
        ],
    )
    def test_on_linux_it_is_a_capability(tmp_path: Path, text: str, may: bool) -> None:
        status = tmp_path / "status"
        status.write_text(text, encoding="ascii")
        assert has_net_admin(status) == may
        require_network_admin(PREPARED, status)  # the kernel decides
        if may:
            require_network_admin(SETTINGS, status)
            return
        with pytest.raises(NotPermitted, match=r"user id .* may not create a tunnel interface"):
            require_network_admin(SETTINGS, status)
