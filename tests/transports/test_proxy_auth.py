"""Challenges and answers; vectors: auth-helpers.md section 11, RFC 7616 section 3.9."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transports.proxy_auth import MAX_CHALLENGES, Challenge, basic, best_digest, digest, parse_challenges


def answered(line: str, user: str = "alice", password: str = "s3cr3t") -> str:
    chosen = best_digest(parse_challenges([line]))
    assert chosen is not None
    return digest(chosen, user, password, method="CONNECT", uri="vpn.example.com:443", cnonce="Zm9vYmFy")


def test_basic() -> None:
    assert basic("alice", "s3cr3t") == "Basic YWxpY2U6czNjcjN0"
    assert basic("ü", "ß") == "Basic w7w6w58="


@pytest.mark.parametrize(
    ("line", "response"),
    [
        ('Digest realm="proxy", nonce="abc123", qop="auth"', "5dd955aa7f76276d6cac36f5914b3915"),
        ('Digest realm="proxy", nonce="abc123", qop="auth,auth-int"', "5dd955aa7f76276d6cac36f5914b3915"),
        ('Digest realm="proxy", nonce="abc123", qop=auth, algorithm="MD5"', "5dd955aa7f76276d6cac36f5914b3915"),
        ('digest realm="proxy", nonce="abc123"', "fdc993a9b75b5fe476a28e3b6d8960b1"),
        (
            'Digest realm="proxy", nonce="abc123", qop="auth", algorithm=SHA-256',
            "8637ab240a9baab7c43ab1bac76777703975b38b013e3738e7958a72f6010090",
        ),
    ],
)
def test_digest_vectors(line: str, response: str) -> None:
    assert f'response="{response}"' in answered(line)


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_digest_example_of_the_rfc(algorithm: str, response: str) -> None:
    nonce = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"
    opaque = "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"
    line = f'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={algorithm}, nonce="{nonce}"'
    line += f', opaque="{opaque}"'
    (challenge,) = parse_challenges([line])
    value = digest(
        challenge,
        "Mufasa",
        "Circle of Life",
        method="GET",
        uri="/dir/index.html",
        cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
    )
    assert f'response="{response}"' in value and f'opaque="{opaque}"' in value
    assert f"algorithm={algorithm}" in value and "qop=auth, nc=00000001" in value


def test_digest_userhash_example_of_the_rfc() -> None:
    line = (
        'Digest realm="api@example.org", qop="auth", algorithm=SHA-512-256, userhash=true, charset=UTF-8, '
        'nonce="5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK", opaque="HRPCssKJSGjCrkzDg8OhwpzCiGPChXYjwrI2QmXDnsOS"'
    )
    (challenge,) = parse_challenges([line])
    value = digest(
        challenge,
        "J\u00e4s\u00f8n Doe",
        "Secret, or not?",
        method="GET",
        uri="/doe.json",
        cnonce="NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v",
    )
    # as erratum 4897 corrects the example of RFC 7616, 3.9.2
    assert 'username="793263caabb707a56211940d90411ea4a575adeccb7e360aeb624ed06ece9b0b"' in value
    assert 'response="3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5"' in value
    assert "userhash=true" in value


def test_session_variant_differs_and_echoes_its_name() -> None:
    plain = answered('Digest realm="proxy", nonce="abc123", qop="auth"')
    session = answered('Digest realm="proxy", nonce="abc123", qop="auth", algorithm=MD5-sess')
    assert "algorithm=MD5-sess" in session and plain.split("response=")[1][:34] not in session


def test_the_strongest_algorithm_wins_in_any_order() -> None:
    lines = ['Digest realm="a", nonce="1", algorithm=MD5', 'Digest realm="b", nonce="2", algorithm=SHA-256']
    for order in (lines, lines[::-1], [", ".join(lines)]):
        chosen = best_digest(parse_challenges(order))
        assert chosen is not None and chosen.parameters["realm"] == "b"


@pytest.mark.parametrize(
    "line",
    [
        'Digest realm="a"',
        'Digest realm="a", nonce="1", qop="auth-int"',
        'Digest realm="a", nonce="1", algorithm=FOO',
        "Basic",
    ],
)
def test_what_cannot_be_answered_is_not_chosen(line: str) -> None:
    assert best_digest(parse_challenges([line])) is None


def test_quotes_are_escaped_both_ways() -> None:
    value = answered('Digest realm="a\\"b\\\\c", nonce="1"', user='x"y')
    assert 'username="x\\"y"' in value and 'realm="a\\"b\\\\c"' in value


def test_several_challenges_in_one_line() -> None:
    line = 'Negotiate, NTLM TlRMTVNTUAACAAA==, Basic realm="a, Basic b" ,, digest nonce=x , stale=TRUE'
    assert parse_challenges([line, "Bearer"]) == [
        Challenge("negotiate"),
        Challenge("ntlm", {}, "TlRMTVNTUAACAAA=="),
        Challenge("basic", {"realm": "a, Basic b"}),
        Challenge("digest", {"nonce": "x", "stale": "TRUE"}),
        Challenge("bearer"),
    ]
    assert parse_challenges([line])[-1].stale


@pytest.mark.parametrize("line", ["", ", ,", '"', "=x", 'Basic realm="unclosed', "Basic realm=", "\x00", "a" * 70000])
def test_nonsense_is_survived(line: str) -> None:
    parse_challenges([line])


def test_endless_challenges_are_cut() -> None:
    assert len(parse_challenges(["a, " * 10000] * 3)) == MAX_CHALLENGES


@given(st.text(alphabet='Basic=", \\\x00ü~/', max_size=60))
def test_any_text_parses(line: str) -> None:
    parse_challenges([line])
