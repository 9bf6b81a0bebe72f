"""`vpnclient connect` from the outside, with a session that only remembers.  Bad input: cli-parity section 10."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from protocols.base import Secret, Ticket, User
from protocols.errors import InputRequired, SignInFailed
from transports.errors import Unreachable
from vpnclient import session as sessions
from vpnclient.auth.prompt import ScriptedUser
from vpnclient.cli.main import app
from vpnclient.errors import Exit, UsageError
from vpnclient.events import Failed, Listener, State, StateChanged, Statistics
from vpnclient.settings import Settings

ROOT = Path(__file__).parents[3]
PIN = "pin-sha256:XNJS+wzokyQ2+vjM0QQJgbie5K1rn+niorfnGqyyfNM="
TICKET = Ticket("anyconnect", "https://vpn.test:4433/", Secret("webvpn=abc"), "203.0.113.1", PIN)


class FakeSession:
    """Stands at the seam: what the command line made of its words."""

    made: list[tuple[Settings, User]]
    ticket: Ticket = TICKET
    sign_in_error: Exception | None = None
    init_error: Exception | None = None
    outcome = Exit.OK

    def __init__(
        self, settings: Settings, user: User, emit: Listener, *, judge: object = None, ask_passphrase: object = None
    ) -> None:
        if self.init_error:
            raise self.init_error
        self.made.append((settings, user))
        self._emit = emit

    async def run(self) -> Exit:
        self._emit(StateChanged(State.CONNECTED))
        if self.outcome:
            self._emit(Failed("x", "it failed", "", int(self.outcome)))
        return self.outcome

    async def sign_in(self) -> Ticket:
        if self.sign_in_error:
            raise self.sign_in_error
        return self.ticket

    def stop(self, how: object = None) -> None: ...

    def reconnect(self) -> None: ...

    def report(self) -> None: ...


@pytest.fixture(autouse=True)
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[type[FakeSession]]:
    class Fake(FakeSession):
        made: list[tuple[Settings, User]] = []  # noqa: RUF012

    monkeypatch.setattr(sessions, "Session", Fake)
    monkeypatch.setenv("VPNCLIENT_PROFILE_DIR", str(tmp_path))
    for variable in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    yield Fake


def invoke(*words: str, stdin: str | bytes = b"") -> Result:
    return CliRunner().invoke(app, ["connect", *words], input=stdin)


def settings(fake: type[FakeSession], *words: str, stdin: str | bytes = b"") -> Settings:
    result = invoke(*words, stdin=stdin)
    assert result.exit_code == 0, result.stderr
    return fake.made[-1][0]


def refused(*words: str, stdin: str | bytes = b"", code: Exit = Exit.USAGE) -> str:
    result = invoke(*words, stdin=stdin)
    assert result.exit_code == code, (result.exit_code, result.output)
    assert result.stdout == "" and result.stderr.startswith(("error: ", "warning: "))
    return result.stderr


def test_every_option_arrives(fake: type[FakeSession], tmp_path: Path) -> None:
    found = settings(
        fake, "vpn.test", "-u", "alice", "-g", "staff", "--authgroup", "G", "-F", "main:a=b", "-c", "/c.pem",
        "-k", "/k.pem", "-p", "kp", "--servercert", PIN, "--servercert", PIN.replace("X", "Y"), "--cafile", "/ca.pem",
        "--no-system-trust", "--sni", "other", "-P", "http://p:1", "--resolve", "vpn.test:192.0.2.1",
        "--resolve", "vpn.test:fd00::1", "--reconnect-timeout", "60", "--disable-ipv6", "-m", "1300",
        "--base-mtu", "1400", "--force-dpd", "20", "-i", "tun7", "--dns", "off", "--default-route", "no",
        "--wintun", "session", "--wintun-library", "/w/wintun.dll",
        "--useragent", "ua", "--version-string", "v", "--local-hostname", "me", "--os", "WIN", "--non-inter",
        "--no-xmlpost", "--no-http-keepalive", "--dump-http-traffic", "--no-passwd", "--tcp-keepalive",
    )  # fmt: skip
    assert found == Settings(
        url="https://vpn.test/staff",
        user="alice",
        authgroup="G",
        form_entries=found.form_entries,
        non_inter=True,
        allow_password=False,
        xmlpost=False,
        tls=found.tls,
        proxy="http://p:1",
        resolve={"vpn.test": ("192.0.2.1", "fd00::1")},
        tcp_keepalive=60,
        http_keepalive=False,
        dump_http_traffic=True,
        reconnect_timeout=60.0,
        ipv6=False,
        mtu=1300,
        base_mtu=1400,
        force_dpd=20,
        interface="tun7",
        dns="off",
        default_route="no",
        wintun="session",
        wintun_library="/w/wintun.dll",
        useragent="ua",
        version_string="v",
        local_hostname="me",
        os_name="win",
    )
    assert found.tls.pins == (PIN, PIN.replace("X", "Y")) and not found.tls.system_trust
    assert (found.tls.certificate, found.tls.sslkey, found.tls.cafile) == (
        Path("/c.pem"),
        Path("/k.pem"),
        Path("/ca.pem"),
    )
    assert found.tls.key_password == Secret("kp") and found.tls.sni == "other"
    assert found.form_entries[0].value == Secret("b")


def test_words_in_openconnects_ways(fake: type[FakeSession]) -> None:
    found = settings(fake, "-ualice", "--authgroup=G", "vpn.test", "-m1300", "-vvv", "--no-dtls", "--pfs", "-D")
    assert (found.user, found.authgroup, found.mtu) == ("alice", "G", 1300)
    assert settings(fake, "--server", "vpn.test").url == "https://vpn.test/"
    assert settings(fake, "h", "--tcp-keepalive=30").tcp_keepalive == 30
    assert settings(fake, "h", "--mtu", "1300", "--mtu", "1310").mtu == 1310  # the last one wins
    assert settings(fake, "h", "--reconnect-timeout", "forever").reconnect_timeout == float("inf")


def test_a_profile(fake: type[FakeSession], tmp_path: Path) -> None:
    (tmp_path / "work.yaml").write_text("server: vpn.test\nuser: alice\n")
    found = settings(fake, "work", "-u", "bob")
    assert (found.url, found.user, found.profile) == ("https://vpn.test/", "bob", "work")
    (tmp_path / "bad.yaml").write_text("server: vpn.test\nusr: alice\n")
    assert f"{tmp_path}/bad.yaml:2: usr: unknown key; did you mean user?" in refused("bad")


# --- bad input: nothing is contacted, exit 3 ---


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "no server given"),
        (("h", "i"), "unexpected extra argument"),
        (("h", "--server", "i"), "more than one server"),
        (("h", "--servercrt", "x"), "no such option: --servercrt\nhint: did you mean --servercert"),
        (("h", "-Z"), "no such option: -Z"),
        (("h", "--background"), "no such option: --background\nhint: openconnect's option is not supported here"),
        (("h", "-b"), "not supported here"),
        (("h", "--proxy-auth", "Basic"), "not supported here; give user and password in the URL of --proxy"),
        (("h", "--no-cert-check"), "--servercert pin-sha256"),
        (("h", "--user"), "requires an argument"),
        (("h", "--mtu", "abc"), "--mtu: found 'abc', wanted a whole number, 0 to 65535"),
        (("h", "--mtu", "12x"), "wanted a whole number"),
        (("h", "--mtu", "-1"), "wanted a whole number"),
        (("h", "--mtu", ""), "wanted a whole number"),
        (("h", "--mtu", "70000"), "0 to 65535"),
        (("h", "--reconnect-timeout", "soon"), "--reconnect-timeout: found 'soon', wanted seconds"),
        (("h", "--os", "beos"), "--os: found 'beos', wanted one of linux, linux-64"),
        (("h", "--dns", "magic"), "--dns: found 'magic', wanted one of auto"),
        (("h", "--events", "xml"), "--events: found 'xml', wanted one of json"),
        (("h", "--compression", "all"), "--compression: found 'all', wanted one of none, off, stateless"),
        (("h", "--protocol", "magic"), "--protocol: unknown protocol 'magic'; known: anyconnect"),
        (("h", "--servercert", "sha256:12"), "--servercert: "),
        (("h", "--servercert", "md5:00"), "--servercert: "),
        (("h", "--proxy", "socks4://a"), "--proxy: "),
        (("h", "--resolve", "h"), "--resolve: 'h': wanted HOST:ADDRESS"),
        (("h", "--form-entry", "=x"), "--form-entry: wanted FORM:FIELD=VALUE"),
        (("h", "--form-entry", "main"), "--form-entry: wanted FORM:FIELD=VALUE"),
        (("h", "-i", "x" * 16), "--interface: 'xxxxxxxxxxxxxxxx' is 16 bytes"),
        (("h", "-u", "a\nb"), "--user: contains a control character"),
        (("h", "-u", "x" * 5000), "--user: 5000 characters, at most 4096"),
        (("h", "--cookie", "a\nb"), "--cookie: contains a control character"),
        (("h", "--cookie", "a", "--cookie-on-stdin"), "give one of them"),
        (("h", "--authenticate", "--events", "json"), "both print on standard output"),
        (("h", "--format", "json"), "--format: goes with --authenticate"),
        (("http://h",), "only https is supported"),
        (("h:0",), "bad port '0'"),
        (("h:12x",), "bad port '12x'"),
        (("alice@h",), "--user"),
    ],
)
def test_usage_errors(fake: type[FakeSession], words: tuple[str, ...], said: str) -> None:
    assert said in refused(*words)
    assert not fake.made


def test_secrets_in_usage_errors_are_not_repeated() -> None:
    for words in (("--form-entry", "hunter2"), ("--key-password", "hunter2\n"), ("--cookie", "hunter2\n")):
        assert "hunter2" not in refused("h", *words)


def test_a_secret_line_too_long(fake: type[FakeSession]) -> None:
    assert "secret too long" in refused("h", "--passwd-on-stdin", stdin="x" * 5000, code=Exit.INPUT_NEEDED)
    assert "NUL" in refused("h", "--passwd-on-stdin", stdin=b"a\0b\n", code=Exit.INPUT_NEEDED)
    assert "ended where the password" in refused("h", "--passwd-on-stdin", code=Exit.INPUT_NEEDED)
    assert not fake.made


def test_a_cookie_line(fake: type[FakeSession]) -> None:
    assert settings(fake, "h", "--cookie-on-stdin", stdin="webvpn=abc\r\n").cookie == Secret("webvpn=abc")
    assert "is empty" in refused("h", "--cookie-on-stdin", stdin="\n", code=Exit.INPUT_NEEDED)  # Q8


def test_two_lines_in_the_order_of_the_words(fake: type[FakeSession]) -> None:
    found = settings(fake, "h", "--passwd-on-stdin", "--cookie-on-stdin", stdin="pw\ncookie\n")
    assert (found.password, found.cookie) == (Secret("pw"), Secret("cookie"))
    found = settings(fake, "--cookie-on-stdin", "h", "--passwd-on-stdin", stdin="cookie\npw\n")
    assert (found.password, found.cookie) == (Secret("pw"), Secret("cookie"))


def test_a_script_that_cannot_run(fake: type[FakeSession]) -> None:
    assert "not an executable file" in refused("h", "--script", "/nonexistent/script", code=Exit.HOST)
    assert not fake.made


def test_secrets_on_the_command_line_are_warned_about() -> None:
    result = invoke("h", "--cookie", "abc", "-p", "kp", "-F", "main:a=b", "-P", "http://u:p@h")
    for option in ("--cookie", "--key-password", "--form-entry", "--proxy"):
        assert f"warning: {option}: other users of this computer can read it" in result.stderr
    assert "warning" not in invoke("h", "-F", "main:a", "-P", "http://h").stderr


# --- who is asked ---


def test_without_a_terminal_nobody_is_asked(fake: type[FakeSession]) -> None:
    settings(fake, "h", stdin="a line\n")
    assert isinstance(fake.made[0][1], ScriptedUser)


# --- two phases ---


def test_authenticate_prints_five_lines_for_a_shell() -> None:
    result = invoke("vpn.test:4433", "--authenticate")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "COOKIE='webvpn=abc'",
        "HOST='203.0.113.1'",
        "CONNECT_URL='https://vpn.test:4433/'",
        f"FINGERPRINT='{PIN}'",
        "RESOLVE='vpn.test:203.0.113.1'",
    ]


def test_authenticate_in_json() -> None:  # cli-parity section 13
    result = invoke("vpn.test:4433", "--authenticate", "--format", "json")
    assert json.loads(result.stdout) == {
        "cookie": "webvpn=abc",
        "host": "203.0.113.1",
        "connect_url": "https://vpn.test:4433/",
        "fingerprint": PIN,
        "resolve": "vpn.test:203.0.113.1",
        "protocol": "anyconnect",
    }


def test_cookieonly_and_the_last_printer_wins(fake: type[FakeSession]) -> None:
    assert invoke("h", "--cookieonly").stdout == "webvpn=abc\n"
    assert invoke("h", "--authenticate", "--cookieonly").stdout == "webvpn=abc\n"
    assert invoke("h", "--cookieonly", "--authenticate").stdout.startswith("COOKIE=")


def test_printcookie_asks_nothing_of_who_cannot_connect(
    fake: type[FakeSession], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vpnclient.permissions_posix.has_net_admin", lambda status: False)
    result = invoke("vpn.test:4433", "--printcookie")
    assert (result.exit_code, result.stdout, fake.made) == (Exit.NOT_PERMITTED, "", [])


def test_printcookie_signs_in_once_and_connects(fake: type[FakeSession], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vpnclient.permissions_posix.has_net_admin", lambda status: True)
    result = invoke("vpn.test:4433", "--printcookie")
    assert result.stdout == "webvpn=abc\n" and len(fake.made) == 2
    second = fake.made[1][0]
    assert (second.url, second.cookie) == ("https://vpn.test:4433/", Secret("webvpn=abc"))
    assert second.resolve == {"vpn.test": ("203.0.113.1",)} and second.tls.pins == (PIN,)


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (SignInFailed("Login failed."), Exit.REFUSED, "error: Login failed.\nhint: check user name"),
        (InputRequired("input required: Password"), Exit.INPUT_NEEDED, "error: input required: Password\nhint: "),
        (Unreachable("vpn.test: refused"), Exit.UNREACHABLE, "error: vpn.test: refused\nhint: "),
        (KeyboardInterrupt(), Exit.INTERRUPTED, ""),
    ],
)
def test_a_sign_in_that_fails(fake: type[FakeSession], error: Exception, code: Exit, said: str) -> None:
    fake.sign_in_error = error
    result = invoke("h", "--authenticate")
    assert (result.exit_code, result.stdout) == (code, "") and result.stderr.startswith(said)


@pytest.mark.parametrize("outcome", list(Exit))
def test_the_status_of_the_session_is_ours(fake: type[FakeSession], outcome: Exit) -> None:
    fake.outcome = outcome
    assert invoke("h").exit_code == outcome


def test_files_that_cannot_be_used(fake: type[FakeSession]) -> None:
    fake.init_error = UsageError("/c.pem: No such file or directory")
    assert "error: /c.pem: No such file" in refused("h", "-c", "/c.pem")


# --- signals ---


def test_signals_reach_the_session(fake: type[FakeSession], monkeypatch: pytest.MonkeyPatch) -> None:
    """cli-parity 6.1: stop, stop, detach, statistics, reconnect."""
    asked: list[str] = []

    class Signalled(fake):  # type: ignore[misc, valid-type]
        def stop(self, how: sessions.Stop = sessions.Stop.END) -> None:
            self._asked(how.name)

        def reconnect(self) -> None:
            self._asked("reconnect")

        def report(self) -> None:
            self._asked("report")
            self._emit(Statistics(1.0, 0, 0, 0, 0, 0, 0))

        def _asked(self, what: str) -> None:
            asked.append(what)
            self._heard.set()

        async def run(self) -> Exit:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
                self._heard = asyncio.Event()
                os.kill(os.getpid(), number)
                await asyncio.wait_for(self._heard.wait(), 60)
            return Exit.OK

    monkeypatch.setattr(sessions, "Session", Signalled)
    result = invoke("h", "-q")
    assert result.exit_code == 0
    assert asked == ["END", "END", "DETACH", "report", "reconnect"]
    assert result.stderr == "received 0 B (0 packets), sent 0 B (0 packets) in 0:00:01; 0 dropped, 0 reconnects\n"


def test_a_signal_ends_a_sign_in(fake: type[FakeSession], monkeypatch: pytest.MonkeyPatch) -> None:
    class Waiting(fake):  # type: ignore[misc, valid-type]
        async def sign_in(self) -> Ticket:
            os.kill(os.getpid(), self.number)
            await asyncio.sleep(60)
            raise AssertionError

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        Waiting.number = number
        monkeypatch.setattr(sessions, "Session", Waiting)
        result = invoke("h", "--authenticate")
        assert (result.exit_code, result.stdout) == (Exit.INTERRUPTED, "")


# --- output ---


def test_version_is_an_option_too() -> None:
    assert invoke("-V").stdout.startswith("vpnclient ")


def test_events_json_leaves_standard_output_to_json(fake: type[FakeSession]) -> None:
    fake.outcome = Exit.UNREACHABLE
    result = invoke("h", "--events", "json", "-C", "abc")
    assert [json.loads(line)["event"] for line in result.stdout.splitlines()] == ["warning", "state", "error"]
    assert result.stderr == "error: it failed\n"


@pytest.mark.parametrize("words", [("--authenticate",), ("--cookieonly",), ("--authenticate", "--format", "json")])
def test_a_ticket_that_cannot_be_printed_is_no_bug(words: tuple[str, ...]) -> None:
    code = """
import sys
from tests.vpnclient.cli.test_connect import FakeSession
from vpnclient import session
from vpnclient.cli.main import app
FakeSession.made = []
session.Session = FakeSession
app(["connect", "h", *sys.argv[1:]])
"""
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-c", code, *words], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, cwd=ROOT
        )
    said = "error: cannot write standard output: no space left on device\n"
    assert (done.stderr, done.returncode) == (said, Exit.SYSTEM)


def test_a_bug_is_an_event_too(fake: type[FakeSession], monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(self: FakeSession) -> Exit:
        raise RuntimeError("nobody thought of this")

    monkeypatch.setattr(fake, "run", broken)
    result = invoke("h", "--events", "json")
    (event,) = (json.loads(line) for line in result.stdout.splitlines())
    assert (event["event"], event["code"], event["exit_code"]) == ("error", "internal", Exit.INTERNAL)
    assert event["text"] == "RuntimeError: nobody thought of this" and result.exit_code == Exit.INTERNAL
    assert "Traceback" in result.stderr and "in broken" in result.stderr


def test_what_is_found_wrong_before_the_session_is_an_event_too() -> None:
    result = invoke("h", "--events", "json", "--cookie-on-stdin", stdin="\n")
    (event,) = (json.loads(line) for line in result.stdout.splitlines())
    assert event["event"] == "error" and event["exit_code"] == result.exit_code != 0
    assert result.stderr.startswith(f"error: {event['text']}") and "Traceback" not in result.stderr


def test_lines_go_to_standard_error() -> None:
    result = invoke("h", "--timestamp")
    assert result.stdout == "" and result.stderr.endswith("] connected\n") and result.stderr.startswith("[")
    assert invoke("h", "-q").stderr == ""


def test_the_environment_is_an_option_too(fake: type[FakeSession], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VPNCLIENT_USER", "alice")
    monkeypatch.setenv("VPNCLIENT_PASSWORD", "pw")
    found = settings(fake, "h")
    assert (found.user, found.password) == ("alice", Secret("pw"))


# --- the program itself ---


def test_it_starts_without_what_it_does_not_need(tmp_path: Path) -> None:
    code = """
import sys
from vpnclient.cli.main import app
try:
    app(["connect", "h", "--mtu", "x"])
except SystemExit as exc:
    assert exc.code == 3, exc.code
heavy = {"rich", "yaml", "cryptography", "lxml", "pyroute2", "pydantic", "h2", "python_socks", "vpnclient.session"}
print(sorted(heavy & set(sys.modules)))
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert found.stdout == "[]\n"


def test_the_sign_in_starts_without_what_it_does_not_need(tmp_path: Path) -> None:
    """Each import is time that every start waits for.  The host's parts are there: they are needed soon after."""
    code = """
import sys
from vpnclient.cli.main import app
try:
    app(["connect", "127.0.0.1:1", "--authenticate", "--protocol", "anyconnect", "--user", "x", "--non-inter"])
except SystemExit as exc:
    assert exc.code == 4, exc.code
assert "vpnclient.host.linux" in sys.modules
print([name for name in sys.argv[1:] if name in sys.modules])
"""
    for_others = (  # proxies, certificates, profiles, plug-ins, framings without a native twin, Windows, terminals
        *("transports.proxy", "python_socks", "cryptography", "yaml"),
        *("importlib.metadata", "transports.pump_python", "transports.framing"),
        *("vpnclient.host.windows", "rich", "pydantic", "h2", "email"),
    )
    for_later = ("pyroute2", "pyroute2.iproute", "multiprocessing", "protocols.anyconnect.tunnel")
    found = subprocess.run(
        [sys.executable, "-c", code, *for_others, *for_later], capture_output=True, text=True, timeout=60
    )
    assert (found.stdout, found.returncode) == ("[]\n", 0), found.stderr
