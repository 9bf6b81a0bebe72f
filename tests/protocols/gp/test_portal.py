"""Prelogin and portal configuration (sections 3, 6 and 7)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.base import Secret
from protocols.errors import ConfigurationRefused, MalformedAnswer, NotSupported, ProtocolError
from protocols.gp import answers, portal
from protocols.gp.portal import PortalConfig, Prelogin
from tests.protocols.doubles import coded


def prelogin(inside: str) -> Prelogin:
    body = f"<prelogin-response><status>Success</status>{inside}</prelogin-response>".encode()
    return portal.parse_prelogin(answers.document(body, "prelogin-response"))


def entry(name: str, *, label: str = "", rules: str | None = None, priority: str = "") -> str:
    described = f"<description>{label}</description>" if label else ""
    ruled = "" if rules is None else f"<priority-rule>{rules}</priority-rule>"
    own = f"<priority>{priority}</priority>" if priority else ""
    return f'<entry name="{name}">{described}{ruled}{own}</entry>'


def rule(region: str, number: str) -> str:
    return f'<entry name="{region}"><priority>{number}</priority></entry>'


def policy(*entries: str, more: str = "", region: str = "DE") -> PortalConfig:
    listed = f"<gateways><external><list>{''.join(entries)}</list></external></gateways>"
    root = answers.document(f"<policy>{more}{listed}</policy>".encode(), "policy")
    return portal.parse_config(root, region)


def test_prelogin_fields_and_their_defaults() -> None:
    assert prelogin("") == Prelogin()
    found = prelogin(
        "<ccusername>ann</ccusername><authentication-message> Welcome </authentication-message><region>DE</region>"
        "<username-label> Name </username-label><password-label>PIN + Token</password-label>"
        "<autosubmit>false</autosubmit>"
    )
    assert found == Prelogin("Welcome", "ann", "Name", "PIN + Token", "DE")


def test_saml_needs_both_of_its_elements() -> None:
    assert prelogin("<saml-auth-method>redirect</saml-auth-method>").saml_request == ""
    both = prelogin("<saml-auth-method>redirect</saml-auth-method><saml-request>aGk=</saml-request>")
    assert (both.saml_method, both.saml_request) == ("REDIRECT", "aGk=")
    with coded(MalformedAnswer, "saml-request-invalid"):
        prelogin(f"<saml-auth-method>POST</saml-auth-method><saml-request>{'x' * 1_100_000}</saml-request>")


def test_the_portals_fields() -> None:
    more = (
        "<portal-name>P</portal-name><version>5.2.6-87      </version>"
        "<portal-userauthcookie>a%20b+c</portal-userauthcookie>"
        "<portal-prelogonuserauthcookie>empty</portal-prelogonuserauthcookie>"
        "<hip-collection><hip-report-interval>600</hip-report-interval></hip-collection>"
    )
    found = policy(entry("gw.example"), more=more)
    assert (found.name, found.version, found.hip_interval) == ("P", "5.2.6-87", 600)  # Q17
    assert found.cookies == (("portal-userauthcookie", Secret("a%20b+c")),)  # Q29: never decoded
    assert [(one.host, one.label) for one in found.gateways] == [("gw.example", "gw.example")]  # Q39


def test_the_order_of_gateways() -> None:
    a = entry("a", rules=rule("US", "1") + rule("Any", "5"))
    b, c, d = (
        entry("b", rules=rule("DE", "2")),
        entry("c", rules=""),
        entry("d", rules=rule("DE", "3") + rule("Any", "1")),
    )
    assert [one.host for one in policy(a, b, c, d).gateways] == ["d", "b", "a", "c"]  # the vector of section 18


def test_odd_priorities() -> None:
    manual, own, none, bad = entry("m", priority="0"), entry("o", priority="9"), entry("n"), entry("x", priority="high")
    assert [one.host for one in policy(manual, none, own, bad).gateways] == ["o", "n", "x", "m"]
    rules = rule("DE", "soon") + rule("Any", "4")
    assert policy(entry("r", rules=rules), own).gateways[0].host == "r"


def test_hosts_with_ports_and_brackets_and_hosts_that_are_none() -> None:
    found = policy(entry("gw:8443", label="G"), entry("[2001:db8::1]:444"), entry("a/b"), entry(""), entry("gw:8443"))
    assert [str(one.url) for one in found.gateways] == ["https://gw:8443/", "https://[2001:db8::1]:444/"]
    assert len(found.unusable) == 2 and "want a host name" in found.unusable[0]


@pytest.mark.parametrize(
    "entries, more, code",
    [
        ((), "", "portal-no-gateways"),  # Q23
        ((entry("a b"),), "", "portal-no-gateways"),
        ((entry("gw"),), "<has-config>no</has-config>", "portal-no-config"),  # Q18
    ],
)
def test_portals_without_a_gateway(entries: tuple[str, ...], more: str, code: str) -> None:
    with pytest.raises(ConfigurationRefused) as caught:
        policy(*entries, more=more)
    assert caught.value.code == code and "--os" in str(caught.value)


def test_a_portal_that_wants_a_check_first() -> None:
    root = answers.document(b"<config-criteria/>", "config-criteria")
    with coded(NotSupported, "portal-needs-csc"):
        portal.parse_config(root, "")


def test_too_many_gateways() -> None:
    with coded(MalformedAnswer, "portal-config-invalid: 2001 gateways"):
        policy(*(entry(f"g{n}") for n in range(2001)))


@given(st.text(max_size=30), st.text(max_size=12), st.text(max_size=20), st.text(max_size=20))
def test_any_text_in_any_field(host: str, number: str, version: str, interval: str) -> None:
    from xml.sax.saxutils import escape, quoteattr

    fields = f"<version>{escape(version)}</version><hip-collection><hip-report-interval>{escape(interval)}"
    body = (
        f"<policy>{fields}</hip-report-interval></hip-collection><gateways><external><list>"
        f"<entry name={quoteattr(host)}><priority>{escape(number)}</priority></entry>"
        "</list></external></gateways></policy>"
    )
    try:
        found = portal.parse_config(answers.document(body.encode("utf-8", "replace"), "policy"), "DE")
    except ProtocolError as exc:
        assert str(exc)
    else:
        assert found.gateways and 0 <= found.hip_interval <= portal.MAX_INTERVAL
