"""The answer's headers -> TunnelConfig and timers (section 3.3, Q24 to Q28; host-config.md section 11)."""

from __future__ import annotations

from ipaddress import ip_address, ip_interface, ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.anyconnect.options import Asked, Negotiated, negotiate
from protocols.anyconnect.timers import RekeyMethod, Timers
from protocols.base import TunnelConfig
from protocols.errors import ConfigurationRefused

BASE = (("X-CSTP-Address", "10.96.0.190"), ("X-CSTP-MTU", "1372"))
SIX = ("X-CSTP-Address-IP6", "fd96::7/64")

OCSERV = """X-CSTP-Version: 1
X-CSTP-Server-Name: ocserv 1.1.6
X-CSTP-Hostname: h
X-CSTP-DPD: 5
X-CSTP-Default-Domain: lab.example
X-CSTP-Address: 10.96.0.190
X-CSTP-Netmask: 255.255.255.0
X-CSTP-Address-IP6: fd96::1950:2c2b:bd9d:6cef/128
X-CSTP-DNS: 10.96.0.1
X-CSTP-DNS-IP6: fd96::1
X-CSTP-Split-DNS: lab.example
X-CSTP-Split-Include: 10.95.0.0/255.255.0.0
X-CSTP-Split-Include-IP6: fd95::/48
X-CSTP-Tunnel-All-DNS: false
X-CSTP-Client-Bypass-Protocol: false
X-CSTP-Split-Exclude: 10.95.5.0/255.255.255.0
X-CSTP-Keepalive: 20
X-CSTP-Idle-Timeout: 1200
X-CSTP-Smartcard-Removal-Disconnect: true
X-CSTP-Rekey-Time: 172775
X-CSTP-Rekey-Method: ssl
X-CSTP-Session-Timeout: 3600
X-CSTP-Session-Timeout-Remaining: 3500
X-CSTP-Disconnected-Timeout: none
X-CSTP-Keep: true
X-CSTP-Base-MTU: 1400
X-CSTP-MTU: 1372
X-CSTP-Banner: Welcome"""  # measured, ocserv 1.1.6


def read(*headers: tuple[str, str], ipv6: bool = True, mtu: int = 0, force_dpd: int = 0) -> Negotiated:
    return negotiate([*BASE, *headers], Asked(ipv6=ipv6, mtu=mtu, force_dpd=force_dpd))


def config(*headers: tuple[str, str], ipv6: bool = True) -> TunnelConfig:
    return read(*headers, ipv6=ipv6).config


def refused(*headers: tuple[str, str]) -> str:
    with pytest.raises(ConfigurationRefused) as caught:
        negotiate(headers, Asked())
    return caught.value.code


def test_the_whole_answer_of_ocserv() -> None:
    headers = [(name, value) for name, _, value in (line.partition(": ") for line in OCSERV.splitlines())]
    found = negotiate(headers, Asked())
    assert found.timers == Timers(5, 20, 172775, RekeyMethod.SSL, session=3500, idle=1200)
    assert found.config == TunnelConfig(
        addresses=(ip_interface("10.96.0.190/24"), ip_interface("fd96::1950:2c2b:bd9d:6cef/128")),
        mtu=1372,
        dns=(ip_address("10.96.0.1"), ip_address("fd96::1")),
        search_domains=("lab.example",),
        split_dns=("lab.example",),
        split_include=(ip_network("10.95.0.0/16"), ip_network("fd95::/48")),
        split_exclude=(ip_network("10.95.5.0/24"),),
        client_bypass=False,
        banner="Welcome",
        idle_timeout=1200,
        session_timeout=3500,
        raw=tuple(headers),
    )


def test_two_headers_suffice() -> None:  # section 12.5
    found = negotiate(BASE, Asked())
    assert found.config.addresses == (ip_interface("10.96.0.190/32"),)
    assert found.config.split_include == () and found.config.client_bypass
    assert found.timers == Timers()


def test_names_are_read_in_any_case() -> None:
    found = negotiate([("x-cstp-address", "10.0.0.1"), ("X-Cstp-Mtu", "1400")], Asked())
    assert found.config.mtu == 1400


# --- addresses and masks ---


@pytest.mark.parametrize(
    ("mask", "address"),
    [
        ("255.255.255.0", "10.96.0.190/24"),
        ("255.255.255.255", "10.96.0.190/32"),  # Q26
        ("0.0.0.0", "10.96.0.190/32"),
        ("255.0.255.0", "10.96.0.190/32"),
        ("fd00::/64", "10.96.0.190/32"),  # the mask of the other family
    ],
)
def test_ipv4_masks(mask: str, address: str) -> None:
    assert config(("X-CSTP-Netmask", mask)).addresses == (ip_interface(address),)


@pytest.mark.parametrize("mask", ["fd96::/64", "fd96::7/64", "ffff:ffff:ffff:ffff::"])
def test_ipv6_by_address_and_netmask(mask: str) -> None:
    found = config(("X-CSTP-Address", "fd96::7"), ("X-CSTP-Netmask", "255.255.255.0"), ("X-CSTP-Netmask", mask))
    assert found.addresses == (ip_interface("10.96.0.190/24"), ip_interface("fd96::7/64"))


def test_ipv6_without_a_prefix_is_a_host() -> None:
    assert config(("X-CSTP-Address", "fd96::7")).addresses[1] == ip_interface("fd96::7/128")


def test_the_address_with_its_prefix_wins() -> None:
    found = config(("X-CSTP-Address", "fd96::7"), SIX)
    assert found.addresses[1] == ip_interface("fd96::7/64") and not found.warnings


def test_a_second_address_is_told() -> None:
    found = config(("X-CSTP-Address", "10.96.0.191"))
    assert len(found.addresses) == 1 and "10.96.0.191" in found.warnings[0]


def test_ipv6_is_ignored_when_it_is_switched_off() -> None:
    found = config(SIX, ("X-CSTP-DNS-IP6", "fd96::1"), ("X-CSTP-Split-Include-IP6", "fd95::/48"), ipv6=False)
    assert found.addresses == (ip_interface("10.96.0.190/32"),)
    assert found.dns == found.split_include == found.warnings == ()


@pytest.mark.parametrize(
    "value", ["10.0.0", "x", "0.0.0.0", "127.0.0.1", "224.0.0.1", "::1", "fd00::1%eth0", "10.0.0.1/33"]
)
def test_an_address_that_does_not_parse_ends_it(value: str) -> None:
    assert refused(("X-CSTP-Address", value), ("X-CSTP-MTU", "1400")) == "bad-address"


def test_no_address() -> None:
    assert refused(("X-CSTP-MTU", "1400")) == "no-address"
    assert refused(("X-CSTP-MTU", "1400"), ("X-CSTP-Address", "")) == "no-address"


# --- MTU ---


def test_no_mtu() -> None:
    assert refused(("X-CSTP-Address", "10.0.0.1")) == "no-mtu"
    assert refused(("X-CSTP-Address", "10.0.0.1"), ("X-CSTP-MTU", "big")) == "no-mtu"


def test_an_mtu_too_small() -> None:
    assert refused(("X-CSTP-Address", "10.0.0.1"), ("X-CSTP-MTU", "34")) == "mtu-too-small"  # ocserv 1.1.6 can say 34


@pytest.mark.parametrize(
    ("headers", "asked", "mtu"),
    [
        ([("X-CSTP-MTU", "1300"), ("X-DTLS-MTU", "1400")], 0, 1400),
        ([("X-DTLS-MTU", "1400")], 0, 1400),
        ([("X-CSTP-MTU", "65400")], 0, 16376),
        ([("X-CSTP-MTU", "1400")], 1200, 1200),
        ([("X-CSTP-MTU", "1400")], 9000, 1400),
    ],
)
def test_the_tunnel_mtu(headers: list[tuple[str, str]], asked: int, mtu: int) -> None:
    assert negotiate([("X-CSTP-Address", "10.0.0.1"), *headers], Asked(mtu=asked)).config.mtu == mtu


def test_ipv6_needs_1280() -> None:
    headers = [("X-CSTP-Address", "10.0.0.1"), ("X-CSTP-MTU", "1200"), SIX]
    found = negotiate(headers, Asked()).config
    assert [address.version for address in found.addresses] == [4]
    assert "IPv6 is not configured" in found.warnings[0]
    assert refused(("X-CSTP-MTU", "1200"), SIX) == "no-address"


# --- encodings ---


def test_an_encoding_that_was_not_offered() -> None:
    assert refused(*BASE, ("X-CSTP-Content-Encoding", "lzs")) == "encoding-not-offered"
    assert config(("X-CSTP-Content-Encoding", "")).mtu == 1372


def test_an_encoding_that_was_offered() -> None:
    found = negotiate((*BASE, ("X-CSTP-Content-Encoding", "oc-lz4")), Asked(encodings=("oc-lz4", "lzs")))
    assert found.encoding == "oc-lz4"
    assert negotiate(BASE, Asked(encodings=("lzs",))).encoding == ""


def test_dtls_that_was_not_offered_changes_nothing() -> None:
    found = negotiate((*BASE, ("X-DTLS-Port", "443"), ("X-DTLS-CipherSuite", "PSK-NEGOTIATE")), Asked())
    assert found.config.mtu == 1372 and found.dtls is None and not found.config.warnings


# --- routes ---


def includes(*values: str) -> tuple[str, ...]:
    return tuple(str(net) for net in config(*[("X-CSTP-Split-Include", value) for value in values]).split_include)


def test_host_bits_are_masked_with_a_warning() -> None:
    found = config(("X-CSTP-Split-Include", "10.1.2.3/255.255.0.0"))
    assert found.split_include == (ip_network("10.1.0.0/16"),) and "host bits" in found.warnings[0]


def test_bad_routes_are_dropped_with_a_warning_each() -> None:
    bad = ["10.0.0.0/255.0.255.0", "x", "10.2", "224.0.0.0/4", "127.0.0.0/8", "0.0.0.0"]
    found = config(*[("X-CSTP-Split-Include", value) for value in ["10.3.0.0/16", *bad]])
    assert found.split_include == (ip_network("10.3.0.0/16"),)
    assert len(found.warnings) == len(bad)


def test_a_default_route_stays_one() -> None:
    assert includes("0.0.0.0/0.0.0.0") == ("0.0.0.0/0",)


def test_bad_includes_alone_never_become_a_default_route() -> None:
    assert includes("10.0.0.0/255.0.255.0") == ("10.96.0.190/32",)
    found = config(SIX, ("X-CSTP-Split-Include", "10.0.0.0/8"), ("X-CSTP-Split-Include-IP6", "fe80::/10"))
    assert found.split_include == (ip_network("10.0.0.0/8"), ip_network("fd96::/64"))


def test_a_family_without_includes_is_a_default_route() -> None:
    found = config(SIX, ("X-CSTP-Split-Include", "10.0.0.0/8"))
    assert not [net for net in found.split_include if net.version == 6]


def test_the_same_route_in_both_lists_is_excluded() -> None:  # Q25
    found = config(
        ("X-CSTP-Split-Include", "10.1.0.0/16"), ("X-CSTP-Split-Include", "10.2.0.0/16"),
        ("X-CSTP-Split-Exclude", "10.2.0.0/255.255.0.0"),
    )  # fmt: skip
    assert found.split_include == (ip_network("10.1.0.0/16"),)
    assert found.split_exclude == (ip_network("10.2.0.0/16"),)


@pytest.mark.parametrize("value", ["0.0.0.0/255.255.255.255", "0.0.0.0", "0.0.0.0/32"])
def test_excluding_the_local_networks(value: str) -> None:  # Q24
    found = config(("X-CSTP-Split-Exclude", value))
    assert found.exclude_local_lan and found.split_exclude == ()


def test_excluding_everything_is_dropped() -> None:
    found = config(("X-CSTP-Split-Exclude", "0.0.0.0/0"))
    assert found.split_exclude == () and not found.exclude_local_lan and found.warnings


def test_routes_of_a_family_without_address_are_left_out() -> None:
    found = config(("X-CSTP-Split-Include-IP6", "fd00::/8"), ("X-CSTP-Split-Exclude-IP6", "fd01::/16"))
    assert found.split_include == found.split_exclude == ()


def test_the_caps_on_routes_and_domains() -> None:
    routes = [("X-CSTP-Split-Include", f"10.{n // 256}.{n % 256}.0/24") for n in range(10_001)]
    assert refused(*BASE, *routes) == "too-large"
    assert len(config(*routes[:10_000]).split_include) == 10_000
    assert refused(*BASE, ("X-CSTP-Default-Domain", " ".join(f"d{n}.x" for n in range(1001)))) == "too-large"


def test_warnings_are_capped() -> None:
    found = config(*[("X-CSTP-Split-Include", f"bad{n}") for n in range(50)])
    assert len(found.warnings) == 21 and found.warnings[-1] == "and 31 more like these"


# --- names ---


def test_name_servers() -> None:
    found = config(
        ("X-CSTP-DNS", "10.0.0.1"), ("X-CSTP-DNS", "10.0.0.1"), ("X-CSTP-DNS", "fd00::1"), ("X-CSTP-DNS", "0.0.0.0"),
        ("X-CSTP-DNS", "nope"), ("X-CSTP-DNS-IP6", "fd00::2"), ("X-CSTP-DNS-IP6", "fd00::3"),
        ("X-CSTP-NBNS", "0.0.0.0"), ("X-CSTP-NBNS", "10.0.0.9"),
    )  # fmt: skip
    assert found.dns == (ip_address("10.0.0.1"), ip_address("fd00::1"), ip_address("fd00::2"))
    assert found.nbns == (ip_address("10.0.0.9"),)
    assert len(found.warnings) == 3  # 0.0.0.0, nope, a fourth server


def test_domains_are_split_and_checked() -> None:
    found = config(
        ("X-CSTP-Default-Domain", "corp.example, lab.example;x.example  corp.example"),
        ("X-CSTP-Split-DNS", "a.example"), ("X-CSTP-Split-DNS", "10.0.0.1"), ("X-CSTP-Split-DNS", "$(reboot)"),
        ("X-CSTP-Tunnel-All-DNS", "true"),
    )  # fmt: skip
    assert found.search_domains == ("corp.example", "lab.example", "x.example")
    assert found.split_dns == ("a.example",) and found.tunnel_all_dns
    assert len(found.warnings) == 1


# --- texts, times, flags ---


@pytest.mark.parametrize(
    ("value", "banner"),
    [
        ("Line%0D%0Atwo%1B[31m!", "Line\ntwo!"),  # Q27
        ("", ""),
        ("100%", "100%"),
        ("Gr%C3%BC%C3%9Fe", "Grüße"),
        ("Gr\u00fc\u00dfe", "Grüße"),
        ("\udcff", "\ufffd"),  # a byte that was no UTF-8
        ("\ud800x", "?x"),
    ],
)
def test_banners(value: str, banner: str) -> None:
    assert config(("X-CSTP-Banner", value)).banner == banner


def test_the_smallest_limit_that_is_not_zero() -> None:  # Q28
    found = read(
        ("X-CSTP-Lease-Duration", "1209600"), ("X-CSTP-Session-Timeout", "none"),
        ("X-CSTP-Session-Timeout-Remaining", "0"), ("X-CSTP-Session-Timeout-Alert-Interval", "60"),
    )  # fmt: skip
    assert (found.timers.session, found.timers.alert) == (1209600, 60)
    assert found.config.session_timeout == 1209600


@pytest.mark.parametrize("value", ["-5", "soon", "1e3", "99999999999", "2147483649", "5 s", "0x10"])
def test_numbers_that_are_none_are_ignored_with_a_warning(value: str) -> None:
    found = read(("X-CSTP-DPD", value))
    assert found.timers.dpd == 0 and "X-CSTP-DPD" in found.config.warnings[0]


@pytest.mark.parametrize(("forced", "dpd"), [(0, 30), (7, 7), (1, 2)])
def test_the_users_dpd_wins(forced: int, dpd: int) -> None:  # Q23
    assert read(("X-CSTP-DPD", "30"), force_dpd=forced).timers.dpd == dpd


@pytest.mark.parametrize(
    ("time", "method", "wanted"),
    [("60", "new-tunnel", RekeyMethod.NEW_TUNNEL), ("60", "ssl", RekeyMethod.SSL), ("60", "magic", RekeyMethod.NONE),
     ("60", "", RekeyMethod.NONE), ("0", "ssl", RekeyMethod.NONE), ("-1", "ssl", RekeyMethod.NONE)],
)  # fmt: skip
def test_rekey_methods(time: str, method: str, wanted: RekeyMethod) -> None:
    found = read(("X-CSTP-Rekey-Time", time), ("X-CSTP-Rekey-Method", method))
    assert found.timers.rekey_method is wanted and not found.config.warnings


def test_flags_and_the_proxy() -> None:
    found = config(("X-CSTP-DynDNS", "true"), ("X-CSTP-MSIE-Proxy-Pac-URL", "http://p.example/proxy.pac"),
                   ("X-CSTP-Disconnected-Timeout", "1800"))  # fmt: skip
    assert found.dynamic_dns and found.disconnected_timeout == 1800
    assert found.proxy_pac == "http://p.example/proxy.pac"
    assert config(("X-CSTP-MSIE-Proxy-Pac-URL", "javascript:alert(1)")).proxy_pac == ""


def test_options_are_kept_for_scripts_without_secrets() -> None:
    found = config(
        ("X-CSTP-Post-Auth-XML", "<session-token>hunter2"), ("X-DTLS-Session-ID", "hunter2"),
        ("X-DTLS-App-ID", "hunter2"),
        ("X-DTLS-Master-Secret", "hunter2"), ("X-New-Session-Token", "hunter2"), ("Set-Cookie", "webvpn=hunter2"),
        ("<session-token>a", "hunter2"), ("X-CSTP-License", "accept"), ("X-Future", "a\x1b[2Jb"),
    )  # fmt: skip
    assert found.raw == (*BASE, ("X-CSTP-License", "accept"), ("X-Future", "ab"))
    assert "hunter2" not in repr(found)


_NAMES = st.sampled_from(
    [f"X-CSTP-{name}" for name in (
        "Address", "Address-IP6", "Netmask", "DNS", "DNS-IP6", "NBNS", "Default-Domain", "Split-DNS", "Split-Include",
        "Split-Include-IP6", "Split-Exclude", "Banner", "MTU", "DPD", "Keepalive", "Rekey-Time", "Rekey-Method",
        "Session-Timeout", "Idle-Timeout", "Content-Encoding", "MSIE-Proxy-PAC-URL", "Post-Auth-XML")]
)  # fmt: skip
_VALUES = (
    st.sampled_from(
        ["10.0.0.1", "10.0.0.0/8", "fd00::1/64", "::/0", "none", "0", "1400", "-1", "true", "ssl", "%00%ff"]
    )
    | st.text(max_size=20)
    | st.integers(-10, 2**40).map(str)
)


@settings(max_examples=300)
@given(st.lists(st.tuples(_NAMES | st.text(max_size=8), _VALUES), max_size=20), st.booleans(), st.booleans())
def test_any_headers_are_a_configuration_or_a_named_error(
    headers: list[tuple[str, str]], complete: bool, ipv6: bool
) -> None:
    try:
        found = negotiate([*headers, *(BASE if complete else ())], Asked(ipv6=ipv6)).config
    except ConfigurationRefused:
        return
    assert found.addresses and 576 <= found.mtu <= 16376
    assert ipv6 or not [net for net in (*found.addresses, *found.split_include, *found.dns) if net.version == 6]
