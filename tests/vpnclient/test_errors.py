"""Every error of the floors below has a code, an exit status and, where something can be done, a hint."""

from __future__ import annotations

import inspect

import pytest

import protocols.errors
import transports.errors
from vpnclient.errors import ClientError, Exit, explain

CAUSES = [
    kind
    for module in (protocols.errors, transports.errors)
    for _, kind in inspect.getmembers(module, inspect.isclass)
    if issubclass(kind, Exception)
]


@pytest.mark.parametrize("kind", CAUSES)
def test_no_error_of_the_floors_below_is_a_surprise(kind: type[Exception]) -> None:
    failure = explain(kind.__new__(kind))
    assert failure.code != "internal" or kind in (transports.errors.TransportError,)


def test_the_nearest_class_decides() -> None:
    unknown = protocols.errors.UnknownGroup("x", ("a", "b"))
    assert (explain(unknown).code, explain(unknown).exit_code) == ("unknown-group", Exit.REFUSED)
    assert explain(protocols.errors.SignInFailed("no")).code == "sign-in-refused"


def test_the_nearest_code_is_told_beside_the_text() -> None:
    failure = explain(protocols.errors.NotSupported("sso-required", "a browser"))
    assert (failure.code, failure.text, failure.exit_code) == ("sso-required", "a browser", Exit.PROTOCOL)
    assert explain(protocols.errors.NotSupported("", "a browser")).code == "not-supported"
    refused = explain(protocols.errors.ConnectRefused("got HTTP status 404"))
    assert (refused.code, refused.text) == ("connect-refused", "got HTTP status 404")


def test_what_the_system_refuses_is_no_bug() -> None:
    failure = explain(OSError(28, "No space left on device", "/run/x"))
    assert (failure.code, failure.text, failure.exit_code) == ("system", "/run/x: no space left on device", Exit.SYSTEM)
    assert explain(OSError("odd")).text == "odd"


def test_a_pin_that_does_not_match_is_not_to_be_replaced_at_once() -> None:
    summary = transports.errors.CertificateSummary("CN=a", "CN=a", "", "", (), "pin-sha256:x=", "")
    unknown = transports.errors.NotTrusted("vpn.test", "signer unknown", summary)
    pinned = transports.errors.NotTrusted("vpn.test", "no pin matches", summary, pinned=True)
    assert "add --servercert" in explain(unknown).hint and "add --servercert" not in explain(pinned).hint
    assert explain(pinned).exit_code == Exit.NOT_TRUSTED and "has changed" in explain(pinned).hint


def test_an_own_error_brings_its_hint() -> None:
    failure = explain(ClientError("text", hint="hint"))
    assert (failure.code, failure.text, failure.hint) == ("internal", "text", "hint")


def test_anything_else_is_our_bug() -> None:
    failure = explain(KeyError("x"))
    assert failure.exit_code == Exit.INTERNAL and "report" in failure.hint
