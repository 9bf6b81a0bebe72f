"""Option, then environment, then profile, then default; and what never reaches the network."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from protocols.base import Secret
from vpnclient.auth.lines import Lines, SecretSourceFailed
from vpnclient.errors import Exit, HostError, UsageError, explain
from vpnclient.merge import Given, check_script, checked_cookie, environment_proxy, has_password, settle
from vpnclient.schema import Value
from vpnclient.settings import Settings

PIN = "pin-sha256:XNJS+wzokyQ2+vjM0QQJgbie5K1rn+niorfnGqyyfNM="


def merged(
    target: str = "h",
    environ: dict[str, str] | None = None,
    stdin: bytes = b"",
    *,
    order: tuple[str, ...] = (),
    warnings: list[str] | None = None,
    **options: Value,
) -> Settings:
    given = Given(target, options, order)
    told: list[str] = [] if warnings is None else warnings
    return settle(given, environ if environ is not None else {}, Lines(io.BytesIO(stdin)), told.append)


@pytest.fixture
def profiles(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "work.yaml").write_text(
        f"""
server: vpn.example.com/staff
user: profile-user
authgroup: profile-group
password: {{env: WORK_PW}}
mtu: 1300
form: {{main: {{a: profile, b: profile}}}}
tls: {{pins: ["{PIN}"], system-trust: false}}
reconnect-timeout: forever
"""
    )
    return {"VPNCLIENT_PROFILE_DIR": str(tmp_path), "WORK_PW": "from-env"}


def test_defaults() -> None:
    assert merged() == Settings("https://h/")


def test_precedence(profiles: dict[str, str]) -> None:
    profiles |= {"VPNCLIENT_USER": "env-user", "VPNCLIENT_AUTHGROUP": "env-group"}
    settings = merged("work", profiles, user="option-user")
    assert settings.user == "option-user"
    assert settings.authgroup == "env-group"
    assert (settings.url, settings.profile) == ("https://vpn.example.com/staff", "work")
    assert (settings.mtu, settings.reconnect_timeout) == (1300, float("inf"))
    assert settings.tls.pins == (PIN,) and not settings.tls.system_trust
    assert settings.password == Secret("from-env") and "WORK_PW" not in profiles


def test_form_entries_add_up_and_the_command_line_comes_last(profiles: dict[str, str]) -> None:
    entries = merged("work", profiles, form_entry=("main:a=option",)).form_entries
    assert [(entry.field, entry.value) for entry in entries] == [
        ("a", Secret("profile")), ("b", Secret("profile")), ("a", Secret("option")),
    ]  # fmt: skip


def test_a_profile_wins_over_a_host_of_that_name(profiles: dict[str, str]) -> None:
    assert merged("work", profiles).url == "https://vpn.example.com/staff"
    assert merged("work.", profiles).url == "https://work./"


def test_a_flag_of_the_command_line_beats_the_profile(profiles: dict[str, str]) -> None:
    assert merged("work", profiles, system_trust=True).tls.system_trust


def test_the_password_of_the_environment_is_taken_away(profiles: dict[str, str]) -> None:
    environ = {**profiles, "VPNCLIENT_PASSWORD": "pw", "VPNCLIENT_KEY_PASSWORD": "kp"}
    settings = merged("work", environ)
    assert (settings.password, settings.tls.key_password) == (Secret("pw"), Secret("kp"))
    assert "VPNCLIENT_PASSWORD" not in environ and "VPNCLIENT_KEY_PASSWORD" not in environ


@pytest.mark.parametrize(
    ("variable", "text", "said"),
    [
        ("VPNCLIENT_MTU", "big", "VPNCLIENT_MTU: wanted a whole number, 0 to 65535"),
        ("VPNCLIENT_IPV6", "perhaps", "VPNCLIENT_IPV6: wanted true or false"),
        ("VPNCLIENT_DNS", "magic", "VPNCLIENT_DNS: wanted one of auto, off"),
        ("VPNCLIENT_INTERFACE", "x" * 16, "VPNCLIENT_INTERFACE: .* at most 15"),
    ],
)
def test_a_bad_variable_is_named(variable: str, text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        merged(environ={variable: text})


def test_stdin_lines_in_the_order_of_the_options() -> None:
    both = ("cookie_on_stdin", "passwd_on_stdin")
    settings = merged(stdin=b"COOKIE\npassword\n", order=both)
    assert (settings.cookie, settings.password) == (Secret("COOKIE"), Secret("password"))
    settings = merged(stdin=b"password\nCOOKIE\n", order=both[::-1])
    assert (settings.cookie, settings.password) == (Secret("COOKIE"), Secret("password"))


def test_an_empty_cookie_line_is_an_error() -> None:  # cli-parity Q8
    for stdin in (b"\n", b"  \n"):
        with pytest.raises(SecretSourceFailed, match="the cookie from standard input is empty"):
            merged(stdin=stdin, order=("cookie_on_stdin",))
    with pytest.raises(SecretSourceFailed, match="ended where the cookie was expected"):
        merged(order=("cookie_on_stdin",))


@pytest.mark.parametrize("cookie", ["a\rb", "a\nb", "a\0b", "a\x1bb", "aüb", "x" * 70_000])
def test_a_cookie_that_would_break_a_header(cookie: str) -> None:
    with pytest.raises(UsageError, match="the cookie from --cookie") as caught:
        checked_cookie(Secret(cookie), "--cookie")
    assert cookie not in str(caught.value) and explain(caught.value).exit_code is Exit.USAGE


def test_with_a_cookie_no_password_is_fetched(profiles: dict[str, str]) -> None:
    del profiles["WORK_PW"]
    assert merged("work", profiles, cookie="webvpn=abc").password is None


def test_a_cookie_of_the_environment() -> None:
    environ = {"VPNCLIENT_COOKIE": "abc"}
    assert merged(environ=environ).cookie == Secret("abc") and not environ


def test_small_numbers_are_raised_with_a_warning() -> None:
    warnings: list[str] = []
    settings = merged(mtu=100, base_mtu=575, force_dpd=1, warnings=warnings)
    assert (settings.mtu, settings.base_mtu, settings.force_dpd) == (576, 576, 2)
    assert warnings == [
        "force-dpd 1 s raised to 2 s",
        "mtu 100 raised to 576 bytes",
        "base-mtu 575 raised to 576 bytes",
    ]
    assert merged(mtu=576).mtu == 576


# --- proxies ---


@pytest.mark.parametrize(
    ("environ", "found"),
    [
        ({}, ("", "")),
        ({"https_proxy": "http://a:1", "HTTPS_PROXY": "http://b:1"}, ("https_proxy", "http://a:1")),
        ({"ALL_PROXY": "socks5://c"}, ("ALL_PROXY", "socks5://c")),
        ({"http_proxy": "http://a:1"}, ("", "")),
        ({"https_proxy": "http://a:1", "no_proxy": "*"}, ("", "")),
        ({"https_proxy": "http://a:1", "no_proxy": "x, example.com"}, ("", "")),
        ({"https_proxy": "http://a:1", "NO_PROXY": ".example.com"}, ("", "")),
        ({"https_proxy": "http://a:1", "no_proxy": "VPN.example.com:443"}, ("", "")),
        ({"https_proxy": "http://a:1", "no_proxy": "ample.com,,"}, ("https_proxy", "http://a:1")),
    ],
)
def test_proxy_of_the_environment(environ: dict[str, str], found: tuple[str, str]) -> None:
    assert environment_proxy("vpn.example.com", environ) == found


def test_no_proxy_for_an_ipv6_address() -> None:
    assert environment_proxy("[fd00::1]", {"https_proxy": "http://a:1", "no_proxy": "fd00::1"}) == ("", "")


def test_which_proxy() -> None:
    environ = {"https_proxy": "http://env:1"}
    assert merged(environ=environ).proxy == "http://env:1"
    assert merged(environ=environ, proxy="http://own:1").proxy == "http://own:1"
    assert merged(environ=environ, no_proxy=True).proxy == ""
    assert merged(environ=environ, no_proxy=True, proxy="http://own:1").proxy == ""


def test_a_proxy_we_cannot_use_names_its_variable() -> None:
    with pytest.raises(UsageError, match="environment variable https_proxy: ") as caught:
        merged(environ={"https_proxy": "socks4://a"})
    assert "--no-proxy" in caught.value.hint


def test_has_password() -> None:
    assert has_password("http://u:p@h") and has_password("u:p@h:80")
    assert not has_password("http://u@h") and not has_password("http://h") and not has_password("http://[")


# --- the script ---


def test_a_script_that_cannot_run_is_found_before_the_sign_in(tmp_path: Path) -> None:
    script = tmp_path / "my script"
    for command in (f"'{script}'", str(tmp_path) + "/", "", "'", "A=1"):
        with pytest.raises(HostError, match="--script") as caught:
            check_script(command)
        assert explain(caught.value).exit_code is Exit.HOST
    script.write_text("#!/bin/sh\n")
    with pytest.raises(HostError, match="not an executable file"):
        check_script(f"'{script}'")
    script.chmod(0o700)
    check_script(f"A=1 '{script}' --flag")
    check_script("vpn-slice 10.0.0.0/8")


def test_no_secret_of_the_environment_is_left_for_the_tools_we_start() -> None:
    """Neither one that an option made needless, nor answers to forms and a proxy's password."""
    environ = {
        "VPNCLIENT_PASSWORD": "pw",
        "VPNCLIENT_KEY_PASSWORD": "kp",
        "VPNCLIENT_COOKIE": "abc",
        "VPNCLIENT_FORM_ENTRY": "main:password=pw",
        "VPNCLIENT_PROXY": "http://ann:pw@proxy:3128",
        "VPNCLIENT_USER": "ann",
    }
    settings = merged(environ=environ, cookie="def", key_password="given")
    assert settings.proxy == "http://ann:pw@proxy:3128" and len(settings.form_entries) == 1
    assert environ == {"VPNCLIENT_USER": "ann"}


def test_a_host_checker_is_a_program_that_can_run(tmp_path: Path) -> None:
    program = tmp_path / "checker"
    program.write_text("#!/bin/sh\n")
    for path in (program, tmp_path / "nothing", tmp_path):
        with pytest.raises(UsageError, match=r"--csd-wrapper: .* is not an executable file"):
            merged(csd_wrapper=str(path))
    program.chmod(0o755)
    settings = merged(csd_wrapper=str(program), csd_user="nobody", csd_interval=60)
    assert (settings.csd_wrapper, settings.csd_user, settings.csd_interval) == (str(program), "nobody", 60)
    assert merged().csd_wrapper == ""
