"""What a body is and what its error means (sections 2.2 and 2.3)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols import markup
from protocols.errors import (
    ClientCertificateRequired,
    ConfigurationRefused,
    CookieRejected,
    MalformedAnswer,
    NotSupported,
    ProtocolError,
    SignInFailed,
)
from protocols.gp import answers
from protocols.gp.answers import InterfaceAbsent
from tests.protocols.doubles import coded


def error(text: str) -> bytes:
    return f'<response status="error"><error>{text}</error></response>'.encode()


@pytest.mark.parametrize(
    "text, kind, says",
    [
        ("GlobalProtect portal does not exist", InterfaceAbsent, "portal does not exist"),
        ("GlobalProtect gateway does not exist", InterfaceAbsent, "gateway does not exist"),
        ("Invalid authentication cookie", CookieRejected, "Invalid authentication"),
        ("Portal name not found", CookieRejected, "Portal name"),
        ("Valid client certificate is required", ClientCertificateRequired, "certificate is required"),
        ("Allow Automatic Restoration of SSL VPN is disabled", CookieRejected, "full sign-in"),
        ("Assign private IP address failed", ConfigurationRefused, "config-refused: .*--os"),
        ("Matching client config not found", ConfigurationRefused, "config-refused: .*--os"),
        ("Invalid computer", ConfigurationRefused, "config-refused: .*--local-hostname"),
        ("CAS is not supported by the client. Minimum client version is 6", NotSupported, "cas-required"),
        ("Please ensure the compatible GlobalProtect version is: 6.1 or above", NotSupported, "--version-string"),
        ("Something else", SignInFailed, "^: Something else$"),
        ("", SignInFailed, "no reason given"),
    ],
)
def test_error_texts(text: str, kind: type[ProtocolError], says: str) -> None:
    with coded(kind, says):
        answers.read(error(text))


def test_the_other_carriers_of_an_error() -> None:
    with coded(CookieRejected, "sign in again"):
        answers.read(b"errors getting SSL/VPN config\n")
    prelogin = "<prelogin-response><status>{}</status><msg>No</msg></prelogin-response>"
    with coded(SignInFailed, r"^: No$"):
        answers.read(prelogin.format("Error").encode())
    assert markup.local_name(answers.document(prelogin.format("SUCCESS").encode(), "prelogin-response"))


def test_cookies_are_blanked_out_of_the_gateways_words() -> None:
    with pytest.raises(SignInFailed) as caught:
        answers.read(error("no session deadbeef here"), secrets=("deadbeef", ""))
    assert str(caught.value) == "no session ... here"


@pytest.mark.parametrize(
    "body",
    [
        b"\n\n  <?xml version='1.0' encoding='UTF-8' ?><response status='success'><a>x & y</a></response>",
        b'<response status="success"><a>x &amp; y</a></response>',
        b"<response><b>1</c><a>x & y</a>",
    ],
)
def test_sloppy_xml_is_read(body: bytes) -> None:  # Q9
    assert answers.value(answers.document(body, "response"), "a") == "x & y"


@pytest.mark.parametrize(
    "body, code",
    [
        (b"", "empty-response"),
        (b" \n", "empty-response"),
        (b"<html><head><title>Global Protect</title></head><body>Download</body></html>", "unexpected-page"),
        (b"<!DOCTYPE html><html><body></body></html>", "unexpected-page"),
        (b"<policy/>", "answer-malformed"),
        (b"<", "answer-malformed"),
        (b"<!DOCTYPE a [<!ENTITY x 'y'>]><response>&x;</response>", "answer-malformed"),
        (b"<challenge><respmsg>x</respmsg></challenge>", "challenge-invalid"),
        (b"<challenge><inputstr>x</inputstr></challenge>", "answer-malformed"),
    ],
)
def test_what_cannot_be_used_is_named(body: bytes, code: str) -> None:
    with pytest.raises(MalformedAnswer) as caught:
        answers.document(body, "response")
    assert caught.value.code == code


def test_repeated_elements_count_once_and_long_ones_are_refused() -> None:
    root = answers.document(b"<response><a>1</a><a>2</a></response>", "response")
    assert answers.value(root, "a") == "1" and answers.value(root, "b", "c") == ""
    long = answers.document(b"<response><a>" + b"x" * 70_000 + b"</a></response>", "response")
    with coded(MalformedAnswer, "a of 70000 characters"):
        answers.value(long, "a")


@given(st.one_of(st.binary(max_size=300), st.text("<>/?! respontuml&;='\"-[]", max_size=200).map(str.encode)))
def test_anything_gives_a_document_a_challenge_or_a_named_error(body: bytes) -> None:
    try:
        answers.read(body)
    except ProtocolError as exc:
        assert str(exc)
