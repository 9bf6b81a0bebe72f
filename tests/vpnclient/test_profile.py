"""Profiles: every complaint names file, line and key."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vpnclient import profile as profiles
from vpnclient.auth.secrets import SecretSource, SourceKind
from vpnclient.errors import Exit, explain
from vpnclient.profile import ProfileInvalid, missed
from vpnclient.profile_reader import read, suggestion
from vpnclient.schema import ITEMS

EXAMPLES = Path(__file__).parents[2] / "examples"
WORK = Path("work.yaml")


def problems(text: str | bytes) -> tuple[str, ...]:
    with pytest.raises(ProfileInvalid) as caught:
        read("work", WORK, text if isinstance(text, bytes) else text.encode())
    assert explain(caught.value).exit_code is Exit.USAGE
    return caught.value.problems


def test_everything_a_profile_can_say() -> None:
    profile = read(
        "work",
        WORK,
        rb"""
server: https://vpn.example.com/staff
user: 1234
password: {command: [pass, show, vpn]}
tls:
  pins: ["pin-sha256:XNJS+wzokyQ2+vjM0QQJgbie5K1rn+niorfnGqyyfNM="]
  key-password: {file: /etc/secret}
resolve:
  vpn.example.com: ["192.0.2.1", "fd00::1"]
  other: 192.0.2.2
form:
  main: {colour: blue=green, number: 7}
reconnect-timeout: forever
ipv6: no
dns: off
default-route: no
wintun: session
wintun-library: C:\Tools\wintun.dll
mtu: 1300
""",
    )
    assert profile.values == {
        "server": "https://vpn.example.com/staff",
        "user": "1234",
        "servercert": ("pin-sha256:XNJS+wzokyQ2+vjM0QQJgbie5K1rn+niorfnGqyyfNM=",),
        "resolve": ("vpn.example.com:192.0.2.1", "vpn.example.com:fd00::1", "other:192.0.2.2"),
        "form_entry": ("main:colour=blue=green", "main:number=7"),
        "reconnect_timeout": float("inf"),
        "ipv6": False,
        "dns": "off",
        "default_route": "no",
        "wintun": "session",
        "wintun_library": "C:\\Tools\\wintun.dll",
        "mtu": 1300,
    }
    assert profile.secrets == {
        "password": SecretSource(SourceKind.COMMAND, ("pass", "show", "vpn")),
        "key_password": SecretSource(SourceKind.FILE, ("/etc/secret",)),
    }
    assert profile.lines["mtu"] == 19


def test_an_unknown_key_names_line_and_the_nearest_key() -> None:
    assert problems("server: h\nusr: alice\n") == ("work.yaml:2: usr: unknown key; did you mean user?",)
    assert problems("server: h\ntls:\n  pinz: [x]\n") == ("work.yaml:3: tls.pinz: unknown key; did you mean tls.pins?",)
    assert problems("server: h\nzzzzzz: 1\n") == ("work.yaml:2: zzzzzz: unknown key",)


def test_an_option_of_that_name_leads_to_its_key() -> None:
    assert suggestion("servercert") == "; did you mean tls.pins?"
    assert suggestion("usergroup") == "; did you mean path?"
    assert suggestion("cafile") == "; did you mean tls.cafile?"
    assert suggestion("dtls") == suggestion("no-dtls") == "; did you mean udp?"
    assert suggestion("dtls-local-port") == "; did you mean local-port?"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("mtu: many", "found 'many' (a text), wanted a whole number, 0 to 65535"),
        ("mtu: 1.5", "found '1.5' (a fraction), wanted a whole number, 0 to 65535"),
        ("mtu: 70000", "found '70000', wanted a whole number, 0 to 65535"),
        ("mtu: -1", "found '-1', wanted a whole number, 0 to 65535"),
        ("mtu: [1]", "found a list, wanted a whole number, 0 to 65535"),
        ("ipv6: 3", "found '3' (a number), wanted true or false"),
        ("user: true", "found 'true' (a truth value), wanted a text; put it in quotes if it is meant as a text"),
        ("user:", "found nothing, wanted a text; put it in quotes if it is meant as a text"),
        ("user: {a: b}", "found a mapping, wanted a text"),
        ('user: "a\\nb"', "contains a control character"),
        ("dns: magic", "found 'magic', wanted one of auto, off, resolved, resolvconf, file"),
        ("reconnect-timeout: never", "found 'never' (a text), wanted seconds, 0 to 2592000, or forever"),
        ("tls: 3", "found '3' (a number), wanted a mapping"),
        ("resolve: [a]", "found a list, wanted a mapping from host names to IP addresses"),
        ("resolve: {a: b}", "'a:b': 'b' is not an IP address"),
        ("form: {main: x}", "found a text, wanted a mapping from form names to mappings from field names to answers"),
        ("interface: abcdefghijklmnop", "'abcdefghijklmnop' is 16 bytes, an interface name has at most 15"),
        ("interface: a/b", "'a/b' is not an interface name"),
        ("protocol: magic", "unknown protocol 'magic'; known: "),
        ("user: a\nuser: b", "given twice, first in line 2"),
        ("? [a]\n: 1", "unknown key"),
    ],
)
def test_a_wrong_value_says_what_was_found_and_wanted(line: str, said: str) -> None:
    (problem,) = problems(f"server: h\n{line}\n")
    assert problem.startswith("work.yaml:") and said in problem


@pytest.mark.parametrize("where", ["h:0", "http://h", "h 1"])
def test_a_bad_server(where: str) -> None:
    (problem,) = problems(f"server: '{where}'\n")
    assert problem.startswith("work.yaml:1: server: server ")


def test_a_bad_pin_is_found_before_it_is_used() -> None:
    (problem,) = problems("server: h\ntls:\n  pins:\n    - sha256:12\n")
    assert problem.startswith("work.yaml:4: tls.pins: ") or problem.startswith("work.yaml:3: tls.pins: ")


@pytest.mark.parametrize(
    "secret",
    ["hunter2", "20262026", "{plain: hunter2}", "[hunter2]", "{env: A, file: hunter2}", "{env: [hunter2]}",
     "{command: hunter2}", "{stdin: 20262026}", "{command: []}", "{}", "null"],
)  # fmt: skip
def test_a_secret_in_a_profile_is_refused_and_not_repeated(secret: str) -> None:
    (problem,) = problems(f"server: h\npassword: {secret}\n")
    assert problem.startswith("work.yaml:2: password: ") and "wanted" in problem
    assert "hunter2" not in problem and "20262026" not in problem


def test_all_problems_at_once_in_the_order_of_lines() -> None:
    found = problems("usr: a\nmtu: x\nipv6: y\n")
    assert [text.split(": ")[1] for text in found] == ["server", "usr", "mtu", "ipv6"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "is empty"),
        (b"# nothing\n", "is empty"),
        (b"- a\n", "found a list, wanted a mapping"),
        (b"server: h\n  x: [\n", "work.yaml:2: not valid YAML"),
        (b'server: h\nuser: "abc\n', "not valid YAML"),
        (b"server: h\n---\nserver: i\n", "not valid YAML"),
        (b"server: h\nuser: \xff\n", "work.yaml:2: not UTF-8: byte 0xff"),
        (b"server: h\nuser: \x01\n", "control character"),
        (b"server: h\nuser: a\0b\n", ""),
        (b"a: &x 1\nb: *x\n", "work.yaml:2: *x: aliases are not supported"),
        (b"server: " + b"[" * 1000 + b"]" * 1000, "nested more than 8 levels deep"),
        (b"[" * 100_000, "nested more than 8 levels deep"),
        (b"server: h\nx: [" + b"1," * 30_000 + b"]", "too many values"),
    ],
)
def test_what_is_no_profile(text: bytes, said: str) -> None:
    assert any(said in problem for problem in problems(text))


def test_tags_cannot_make_objects() -> None:
    (problem,) = problems("server: h\nuser: !!python/object/apply:os.system [id]\n")
    assert problem.startswith("work.yaml:2: user: found a list, wanted a text")


@given(st.binary(max_size=200) | st.text("abus:{}[],&*!|>-\n \"'%#", max_size=60).map(str.encode))
def test_any_bytes_are_a_profile_or_named_problems(raw: bytes) -> None:
    try:
        read("x", WORK, raw)
    except ProfileInvalid as exc:
        assert all(text.startswith("work.yaml:") for text in exc.problems)


def test_a_file_too_large(tmp_path: Path) -> None:
    path = tmp_path / "big.yaml"
    path.write_bytes(b"#" * ((1 << 20) + 1))
    with pytest.raises(ProfileInvalid, match="more than 1048576 bytes"):
        profiles.load(path)


def test_a_profile_that_anybody_may_change_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "open.yaml"
    path.write_text("server: h\n")
    path.chmod(0o666)
    with pytest.raises(ProfileInvalid, match="anybody may write"):
        profiles.load(path)


def test_where_profiles_are(tmp_path: Path) -> None:
    environ = {"XDG_CONFIG_HOME": str(tmp_path), "HOME": "/home/a"}
    assert profiles.directories(environ) == (tmp_path / "vpnclient", Path("/etc/vpnclient"))
    assert profiles.directories({"HOME": "/home/a"})[0] == Path("/home/a/.config/vpnclient")
    assert profiles.directories({"XDG_CONFIG_HOME": "relative", "HOME": "/h"})[0] == Path("/h/.config/vpnclient")


def test_names_and_find(tmp_path: Path) -> None:
    environ = {"VPNCLIENT_PROFILE_DIR": str(tmp_path)}
    for name in ("b.yaml", "a.yaml", "c.txt", ".hidden.yaml"):
        (tmp_path / name).write_text("server: h\n")
    assert list(profiles.names(environ)) == ["a", "b"]
    assert profiles.find("a", environ) == tmp_path / "a.yaml"
    for other in ("c", "z", "../a", "https://a", "a/b", ""):
        assert profiles.find(other, environ) is None


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.name)
def test_the_examples_are_valid(path: Path) -> None:
    profiles.load(path)


def test_there_are_examples() -> None:
    assert list(EXAMPLES.glob("*.yaml"))


def test_no_two_items_share_a_name_a_key_or_an_option() -> None:
    from vpnclient.cli.options import CONNECT

    everything = {*ITEMS, *CONNECT}
    keys = [item.key for item in everything if item.key]
    flags = [flag for item in everything for text in item.flags for flag in text.split("/")]
    assert len(set(keys)) == len(keys) and len(set(flags)) == len(flags)
    assert len({item.name for item in everything}) == len(everything)


def test_a_profile_that_was_probably_meant(tmp_path: Path) -> None:
    environ = {"VPNCLIENT_PROFILE_DIR": str(tmp_path)}
    (tmp_path / "work.yaml").write_text("server: vpn.test\n")
    assert missed("wrok", environ) == "no profile 'wrok', so it is taken for a host; did you mean work?"
    assert missed("elsewhere", environ) == missed("work.test", environ) == missed("[::1]", environ) == ""


def test_a_profile_of_the_user_who_said_sudo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / ".config" / "vpnclient" / "work.yaml"
    own.parent.mkdir(parents=True)
    own.write_text("server: vpn.test\n")
    monkeypatch.setattr("os.path.expanduser", lambda path: str(tmp_path) if path == "~ann" else path)
    environ = {"VPNCLIENT_PROFILE_DIR": str(tmp_path), "SUDO_USER": "ann"}
    assert missed("work", environ) == f"{own} is not looked at under sudo: move it to /etc/vpnclient to use it as root"
    assert missed("work", {**environ, "SUDO_USER": "bob"}) == ""
