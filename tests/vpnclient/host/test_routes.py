"""The plan of routes: vectors of the host-config specification, sections 1.4, 11, 13 and quirks Q6 to Q9, Q13."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address, ip_interface, ip_network

import pytest

from protocols.base import Network, TunnelConfig
from vpnclient.errors import HostError
from vpnclient.host import HostPlan
from vpnclient.host.routes import (
    MAX_ROUTES,
    Kind,
    Layout,
    PresentRoute,
    Route,
    Snapshot,
    changes,
    plan_host,
)
from vpnclient.host.warn import MAX_WARNINGS

LO, UP, DOCKER, TUN = 1, 2, 3, 9

PRESENT = (
    PresentRoute(ip_network("0.0.0.0/0"), UP, ip_address("203.0.113.254")),
    PresentRoute(ip_network("203.0.113.0/24"), UP, prefsrc=ip_address("203.0.113.2"), proto=2),
    PresentRoute(ip_network("::/0"), UP, ip_address("fe80::1"), metric=1024),
    PresentRoute(ip_network("fe80::/64"), UP, metric=256, proto=2),
    PresentRoute(ip_network("2001:db8::/64"), UP, metric=256, proto=2),
)


def layout(
    addresses: Sequence[str] = ("192.168.77.190/24",),
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    *,
    gateways: Sequence[str] = ("203.0.113.1",),
    present: Sequence[PresentRoute] = PRESENT,
    mtu: int = 1400,
    ipv6: bool = True,
    host_ipv6: bool = True,
    default_route: str = "half",
    local_lan: bool = False,
    paths: dict[str, PresentRoute] | None = None,
) -> Layout:
    config = TunnelConfig(
        addresses=tuple(ip_interface(text) for text in addresses),
        mtu=mtu,
        split_include=tuple(ip_network(text) for text in include),
        split_exclude=tuple(ip_network(text) for text in exclude),
        exclude_local_lan=local_lan,
    )
    plan = HostPlan(
        "tun0",
        config,
        tuple(ip_address(text) for text in gateways),
        ipv6=ipv6,
        default_route=default_route,
    )
    known = {ip_address(text): path for text, path in (paths or {}).items()}
    return plan_host(plan, Snapshot(TUN, tuple(present), paths=known, loopback=frozenset((LO,)), ipv6=host_ipv6))


def shown(plan: Layout) -> list[str]:
    texts = []
    for route in plan.routes:
        via = f" via {route.gateway}" if route.gateway else ""
        source = f" src {route.prefsrc}" if route.prefsrc else ""
        texts.append(f"{route.dst}{via} dev {'tun' if route.oif == TUN else route.oif}{source}")
    return texts


def test_the_verified_example() -> None:  # section 1.4; order: gateway, excludes, includes
    plan = layout(
        ("192.168.77.190/24", "fd77:77:0:caf0::2/64"),
        ("10.1.0.0/16", "10.2.0.0/16", "fd99::/64", "203.0.112.0/22"),
        ("10.1.5.0/24",),
    )
    assert shown(plan) == [
        "203.0.113.1/32 dev 2 src 203.0.113.2",
        "10.1.5.0/24 via 203.0.113.254 dev 2",
        "10.1.0.0/16 dev tun",
        "10.2.0.0/16 dev tun",
        "192.168.77.0/24 dev tun",
        "203.0.112.0/22 dev tun",
        "fd77:77:0:caf0::/64 dev tun",
        "fd99::/64 dev tun",
    ]
    assert [route.kind for route in plan.routes][:3] == [Kind.GATEWAY, Kind.EXCLUDE, Kind.INCLUDE]
    assert plan.everything == frozenset()


def test_no_includes_mean_the_default_route_by_halves() -> None:
    plan = layout(("192.168.77.190/32",))
    assert shown(plan) == [
        "203.0.113.1/32 dev 2 src 203.0.113.2",
        "0.0.0.0/1 dev tun",
        "128.0.0.0/1 dev tun",
    ]
    assert plan.includes == (ip_network("0.0.0.0/0"),) and plan.everything == {4}


def test_default_among_the_includes_is_the_default_route() -> None:  # section 13
    plan = layout(("192.168.77.190/32", "fd00::2/128"), ("0.0.0.0/0", "::/0", "10.0.0.0/8"))
    assert "0.0.0.0/1 dev tun" in shown(plan) and "8000::/1 dev tun" in shown(plan)
    assert "10.0.0.0/8 dev tun" in shown(plan)
    assert plan.everything == {4, 6}


def test_each_family_for_itself() -> None:
    plan = layout(("192.168.77.190/32", "fd00::2/128"), ("10.0.0.0/8",))
    assert shown(plan)[-3:] == ["10.0.0.0/8 dev tun", "::/1 dev tun", "8000::/1 dev tun"]
    assert plan.everything == {6}


def test_default_route_no_means_never() -> None:
    assert shown(layout(default_route="no")) == ["192.168.77.0/24 dev tun"]
    assert shown(layout(include=("0.0.0.0/0",), default_route="no")) == ["192.168.77.0/24 dev tun"]


def test_ipv6_is_left_alone_without_an_address() -> None:
    plan = layout(include=("10.0.0.0/8", "2001:db8:1::/48"))
    assert not [text for text in shown(plan) if ":" in text.split(" ")[0]]
    assert any("no address of their IP version" in text for text in plan.warnings)


def test_ipv6_is_left_alone_when_told() -> None:
    plan = layout(("192.168.77.190/32", "fd00::2/64"), ("10.0.0.0/8", "fd99::/64"), ipv6=False)
    assert plan.addresses == (ip_interface("192.168.77.190/32"),)
    assert shown(plan) == ["10.0.0.0/8 dev tun"]


def test_ipv6_needs_1280() -> None:  # section 2.6
    plan = layout(("192.168.77.190/32", "fd00::2/64"), mtu=1279)
    assert plan.mtu == 1279 and len(plan.addresses) == 1
    assert plan.warnings == ("no IPv6 in the tunnel: its MTU is 1279, IPv6 needs 1280",)
    assert len(layout(("192.168.77.190/32", "fd00::2/64"), mtu=1280).addresses) == 2


@pytest.mark.parametrize(("given", "used"), [(0, 1412), (1, 576), (70000, 65535), (1400, 1400)])
def test_mtu_is_clamped(given: int, used: int) -> None:
    assert layout(mtu=given).mtu == used


def test_host_without_ipv6() -> None:
    plan = layout(("192.168.77.190/32", "fd00::2/64"), host_ipv6=False)
    assert len(plan.addresses) == 1 and "switched off" in plan.warnings[0]


@pytest.mark.parametrize("addresses", [(), ("fd00::2/64",), ("127.0.0.1/8",), ("224.0.0.5/32",)])
def test_no_usable_address_is_an_error(addresses: Sequence[str]) -> None:
    with pytest.raises(HostError, match="no usable address"):
        layout(addresses, ipv6=False)


# the gateway


def test_split_tunnel_needs_no_gateway_route_unless_covered() -> None:  # Q7
    assert shown(layout(("10.9.9.9/32",), ("10.0.0.0/8",))) == ["10.0.0.0/8 dev tun"]
    covered = layout(("10.9.9.9/32",), ("203.0.113.0/28",))
    assert shown(covered)[0] == "203.0.113.1/32 dev 2 src 203.0.113.2"


def test_gateway_behind_a_router() -> None:
    assert shown(layout(gateways=("198.51.100.7",)))[0] == "198.51.100.7/32 via 203.0.113.254 dev 2"


def test_ipv6_gateway_goes_along_its_link_local_router() -> None:
    plan = layout(("fd00::2/64",), gateways=("2001:db8:9::1",))
    assert plan.routes[0] == Route(ip_network("2001:db8:9::1/128"), UP, Kind.GATEWAY, gateway=ip_address("fe80::1"))


def test_gateway_inside_the_tunnel_network() -> None:
    plan = layout(("203.0.113.130/25",), ("10.0.0.0/8",), gateways=("203.0.113.200",))
    assert shown(plan)[0] == "203.0.113.200/32 dev 2 src 203.0.113.2"


def test_each_gateway_once_loopback_never() -> None:  # stunnel-like proxies on this host
    plan = layout(gateways=("203.0.113.1", "::ffff:203.0.113.1", "127.0.0.1", "::1", "203.0.113.9"))
    assert [str(route.dst) for route in plan.routes if route.kind is Kind.GATEWAY] == [
        "203.0.113.1/32",
        "203.0.113.9/32",
    ]


def test_gateway_that_has_a_host_route_already_needs_none() -> None:
    present = (*PRESENT, PresentRoute(ip_network("203.0.113.1/32"), UP, proto=3))
    assert shown(layout(present=present)) == [
        "192.168.77.0/24 dev tun",
        "0.0.0.0/1 dev tun",
        "128.0.0.0/1 dev tun",
    ]


def test_gateway_out_of_reach_is_an_error() -> None:
    with pytest.raises(HostError, match=r"no route to the gateway 203\.0\.113\.1 outside"):
        layout(present=())


def test_gateway_reached_by_policy_routing_only() -> None:
    path = PresentRoute(ip_network("0.0.0.0/0"), 5, ip_address("198.18.0.1"))
    plan = layout(present=(), paths={"203.0.113.1": path})
    assert shown(plan)[0] == "203.0.113.1/32 via 198.18.0.1 dev 5"
    with pytest.raises(HostError):  # Q6: the tunnel itself as the best way does not count
        layout(present=(), paths={"203.0.113.1": PresentRoute(ip_network("0.0.0.0/0"), TUN)})


def test_best_metric_of_several_default_routes() -> None:
    wifi = PresentRoute(ip_network("0.0.0.0/0"), 4, ip_address("192.0.2.1"), metric=600)
    wire = PresentRoute(ip_network("0.0.0.0/0"), 5, ip_address("198.51.100.1"), metric=100)
    for present in ((wifi, wire), (wire, wifi)):
        assert shown(layout(present=present))[0] == "203.0.113.1/32 via 198.51.100.1 dev 5"


def test_dead_and_unreachable_routes_do_not_count() -> None:
    good = PresentRoute(ip_network("0.0.0.0/0"), UP, ip_address("192.0.2.1"), metric=600)
    dead = PresentRoute(ip_network("203.0.113.0/24"), 4, dead=True)
    stop = PresentRoute(ip_network("203.0.113.0/24"), LO, type=7)
    assert shown(layout(present=(good, dead, stop)))[0] == "203.0.113.1/32 via 192.0.2.1 dev 2"


def test_route_mtu_and_onlink_are_kept() -> None:
    default = PresentRoute(ip_network("0.0.0.0/0"), UP, ip_address("192.0.2.1"), mtu=1300, onlink=True)
    route = layout(present=(default,)).routes[0]
    assert route.mtu == 1300 and route.onlink


# what must not become a route: section 11


@pytest.mark.parametrize(
    ("network", "why"),
    [
        ("fe80::/10", "link-local"),  # section 13
        ("169.254.0.0/16", "link-local"),
        ("224.0.0.0/4", "multicast"),
        ("ff00::/8", "multicast"),
        ("127.0.0.0/8", "loopback"),
        ("::1/128", "loopback"),
        ("0.0.0.0/8", "no real address"),
        ("::/128", "no real address"),
        ("255.255.255.255/32", "broadcast"),
        ("203.0.113.1/32", "the gateway itself"),
    ],
)
def test_bad_include_is_dropped_with_a_warning(network: str, why: str) -> None:
    plan = layout(("192.168.77.190/32", "fd00::2/128"), ("10.0.0.0/8", "fd99::/64", network))
    assert shown(plan) == ["10.0.0.0/8 dev tun", "fd99::/64 dev tun"]
    assert len(plan.warnings) == 1 and network in plan.warnings[0] and why in plan.warnings[0]


def test_dropped_includes_never_turn_into_the_default_route() -> None:
    plan = layout(("192.168.77.190/32",), ("127.0.0.0/8",))
    assert plan.routes == () and plan.everything == frozenset()


def test_warnings_are_capped() -> None:
    plan = layout(include=[f"224.0.{i}.0/24" for i in range(50)])
    assert len(plan.warnings) == MAX_WARNINGS + 1
    assert plan.warnings[-1] == f"and {50 - MAX_WARNINGS} more warnings of this kind"


def test_too_many_routes_are_an_error() -> None:
    many = [f"10.{i // 256}.{i % 256}.0/24" for i in range(MAX_ROUTES)]
    assert len(layout(("10.255.0.1/32",), many).routes) == MAX_ROUTES
    with pytest.raises(HostError, match="configuration too large: 10001 routes"):
        layout(include=[*many, "172.16.0.0/12"])


def test_empty_mask_is_a_single_host() -> None:  # Q9
    plan = layout(("192.168.77.190/0",), ("10.0.0.0/8",))
    assert shown(plan) == ["10.0.0.0/8 dev tun"]
    assert "empty mask" in plan.warnings[0]


# excludes


def test_exclude_equal_to_an_include_wins() -> None:
    plan = layout(("192.168.77.190/32",), ("10.1.0.0/16",), ("10.1.0.0/16",))
    assert shown(plan) == [] and plan.excludes == (ip_network("10.1.0.0/16"),)


def test_exclude_outside_every_tunnel_route_needs_no_route() -> None:
    plan = layout(("192.168.77.190/32",), ("10.1.0.0/16",), ("172.16.0.0/12",))
    assert shown(plan) == ["10.1.0.0/16 dev tun"]


def test_exclude_inside_an_attached_network_is_on_link() -> None:
    plan = layout(exclude=("203.0.113.64/26",))
    assert shown(plan)[1] == "203.0.113.64/26 dev 2 src 203.0.113.2"


def test_exclude_without_another_way_is_dropped() -> None:
    present = PRESENT[1:2]
    plan = layout(exclude=("10.1.0.0/16",), present=present)
    assert plan.excludes == () and "no other route" in plan.warnings[0]


@pytest.mark.parametrize("network", ["0.0.0.0/0", "127.0.0.0/8", "169.254.0.0/16", "0.1.0.0/16"])
def test_bad_exclude_is_dropped_with_a_warning(network: str) -> None:
    plan = layout(exclude=(network,))
    assert plan.excludes == () and network in plan.warnings[0]


@pytest.mark.parametrize("how", ["option", "exclude"])
def test_local_lan_keeps_attached_networks_outside(how: str) -> None:  # Q8
    present = (*PRESENT, PresentRoute(ip_network("192.168.1.0/24"), 4, proto=2))
    plan = layout(
        include=("0.0.0.0/0", "192.168.1.128/25"),
        exclude=("0.0.0.0/32",) if how == "exclude" else (),
        local_lan=how == "option",
        present=present,
    )
    assert ip_network("192.168.1.0/24") in plan.excludes and ip_network("203.0.113.0/24") in plan.excludes
    assert ip_network("0.0.0.0/32") not in plan.excludes
    assert not [text for text in shown(plan) if text.startswith("192.168.1")]


def test_overlaps_with_attached_networks_are_told() -> None:  # Q13
    present = (*PRESENT, PresentRoute(ip_network("172.17.0.0/16"), DOCKER, proto=2))
    around = layout(include=("172.16.0.0/12",), present=present)
    assert "172.17.0.0/16 is attached" in around.warnings[0]
    inside = layout(include=("172.17.3.0/24",), present=present)
    assert "takes part of the attached network 172.17.0.0/16" in inside.warnings[0]


# differences


def test_first_time_everything_is_new() -> None:
    plan = layout()
    assert changes(plan.routes, {}, ()).add == plan.routes


def test_nothing_differs() -> None:
    plan = layout()
    step = changes(plan.routes, owned(plan), present_of(plan))
    assert (step.add, step.replace, step.remove) == ((), (), ())


def test_another_router_replaces_routes_past_the_tunnel() -> None:
    old = layout(gateways=("198.51.100.7",))
    moved = (PresentRoute(ip_network("0.0.0.0/0"), 4, ip_address("192.0.2.1")),)
    new = layout(gateways=("198.51.100.7",), present=moved)
    step = changes(new.routes, owned(old), present_of(old))
    assert step.add == () and step.remove == ()
    assert [(str(a.gateway), str(b.gateway)) for a, b in step.replace] == [("203.0.113.254", "192.0.2.1")]


def test_a_route_that_vanished_is_added_again() -> None:
    plan = layout()
    step = changes(plan.routes, owned(plan), present_of(plan)[1:])
    assert step.add == plan.routes[:1]


def test_old_includes_go_before_excludes_and_the_gateway_route() -> None:
    old = layout(exclude=("10.0.0.0/8",))
    new = layout(("10.9.9.9/32",), ("172.16.0.0/12",))
    step = changes(new.routes, owned(old), present_of(old))
    assert [str(route.dst) for route in step.add] == ["172.16.0.0/12"]
    assert [route.kind for route in step.remove] == [Kind.INCLUDE] * 3 + [Kind.EXCLUDE, Kind.GATEWAY]


def owned(plan: Layout) -> dict[Network, Route]:
    return {route.dst: route for route in plan.routes}


def present_of(plan: Layout) -> list[PresentRoute]:
    return [PresentRoute(route.dst, route.oif, route.gateway, proto=142) for route in plan.routes]
