"""What Windows' error codes make us do: 1168, 5010, 5, 87; waiting for an interface; the way to a gateway."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from tests.vpnclient.host.windows.fake import GUID, TUNNEL, WIFI, FakeInterface, FakeWindows
from vpnclient.errors import HostError
from vpnclient.host.windows.rows import AddressRow, InterfaceRow, RouteRow
from vpnclient.host.windows.stack import INTERFACE_PATIENCE, LOCAL, IpFailure, IpStack

ADDRESS = ip_address("10.8.0.2")


@pytest.fixture
def fake() -> FakeWindows:
    return FakeWindows()


@pytest.fixture
def stack(fake: FakeWindows) -> IpStack:
    return IpStack(fake.windows)


def test_the_interface_is_waited_for(fake: FakeWindows, stack: IpStack) -> None:
    fake.ip.interfaces[TUNNEL].late = 20
    tunnel = stack.find("Lab")
    assert (tunnel.luid, tunnel.index, tunnel.name) == (TUNNEL, 23, f"{{{str(GUID).upper()}}}")
    assert fake.fake.now == pytest.approx(1.0)


def test_an_interface_that_never_comes(fake: FakeWindows, stack: IpStack) -> None:
    with pytest.raises(HostError, match="there is no interface Other"):
        stack.find("Other")
    fake.ip.interfaces[TUNNEL].versions = ()
    with pytest.raises(HostError, match="the interface Lab has got no IPv4 within 15 s"):
        stack.find("Lab")


def test_ipv6_that_is_switched_off(fake: FakeWindows, stack: IpStack) -> None:
    fake.ip.interfaces[TUNNEL].versions = (4,)
    assert stack.wait(TUNNEL, 6) is None
    assert INTERFACE_PATIENCE <= fake.fake.now < INTERFACE_PATIENCE + 0.1


@pytest.mark.parametrize(("version", "site"), [(4, 0), (6, 64)])
def test_setting_up(fake: FakeWindows, stack: IpStack, version: int, site: int) -> None:
    """IPv4 is refused (87) unless SitePrefixLength is 0."""
    stack.set_up(TUNNEL, version, 1400)
    (data,) = fake.ip.interfaces[TUNNEL].row.values()
    row = InterfaceRow(data)
    assert (row.nl_mtu, row.metric, row.use_automatic_metric) == (1400, 1, 0)
    assert (row.router_discovery, row.dad_transmits, row.managed_address, row.other_stateful) == (0, 0, 0, 0)
    assert row.site_prefix_length == site


def test_an_mtu_that_ipv6_does_not_take(stack: IpStack) -> None:
    with pytest.raises(IpFailure, match=r"cannot set the MTU 1000 .*Windows refused a value of it \(error 87\)"):
        stack.set_up(TUNNEL, 6, 1000)


def test_an_address(fake: FakeWindows, stack: IpStack) -> None:
    assert stack.add_address(TUNNEL, ADDRESS) == ""
    row = AddressRow(fake.ip.address_rows[0])
    assert (row.luid, row.address, row.prefix_length, row.dad_state) == (TUNNEL, ADDRESS, 32, 4)
    assert (row.valid_lifetime, row.preferred_lifetime, row.skip_as_source) == (0xFFFFFFFF, 0xFFFFFFFF, 0)
    assert stack.add_address(TUNNEL, ADDRESS) == ""  # 5010, and as we want it
    assert fake.fake.log == ["+address 10.8.0.2"]


def test_an_address_with_another_prefix_is_made_anew(fake: FakeWindows, stack: IpStack) -> None:
    fake.ip.add_address(TUNNEL, "10.8.0.2", 24)
    assert stack.add_address(TUNNEL, ADDRESS) == ""
    assert fake.fake.log == ["-address 10.8.0.2", "+address 10.8.0.2"]


def test_an_address_in_use_elsewhere(fake: FakeWindows, stack: IpStack) -> None:
    fake.ip.add_address(WIFI, "10.8.0.2", 24)
    with pytest.raises(HostError, match=r"address 10\.8\.0\.2 is in use on another interface"):
        stack.add_address(TUNNEL, ADDRESS)
    assert fake.fake.log == []


def test_an_address_of_an_adapter_that_is_down_is_taken_over(fake: FakeWindows, stack: IpStack) -> None:
    fake.ip.interfaces[99] = FakeInterface("Old", 99, connected=False)
    fake.ip.add_address(99, "10.8.0.2", 24)
    assert "taken from an interface that is not connected" in stack.add_address(TUNNEL, ADDRESS)
    assert [AddressRow(row).luid for row in fake.ip.address_rows] == [TUNNEL]


def test_rights(fake: FakeWindows, stack: IpStack) -> None:
    fake.fake.fail_at, fake.fake.code = 0, 5
    with pytest.raises(IpFailure, match=r"cannot add address 10\.8\.0\.2: administrator rights needed \(error 5\)"):
        stack.add_address(TUNNEL, ADDRESS)


def test_routes(fake: FakeWindows, stack: IpStack) -> None:
    stack.add_route(TUNNEL, ip_network("10.20.0.0/16"), None)
    row = RouteRow(fake.ip.route_rows[-1])
    assert (row.destination, row.prefix_length, row.next_hop) == (ip_address("10.20.0.0"), 16, ip_address("0.0.0.0"))
    assert (row.luid, row.metric, row.protocol, row.valid_lifetime) == (TUNNEL, 0, 3, 0xFFFFFFFF)
    with pytest.raises(IpFailure) as caught:
        stack.add_route(TUNNEL, ip_network("10.20.0.0/16"), None)
    assert caught.value.exists
    stack.remove_route(TUNNEL, ip_network("10.20.0.0/16"), None)
    with pytest.raises(IpFailure) as caught:
        stack.remove_route(TUNNEL, ip_network("10.20.0.0/16"), None)
    assert caught.value.missing


def test_routes_to_ipv6_name_both_families(fake: FakeWindows, stack: IpStack) -> None:
    stack.add_route(TUNNEL, ip_network("8000::/1"), None)
    assert fake.ip.route_rows[-1][12:14] == b"\x17\0" and fake.ip.route_rows[-1][44:46] == b"\x17\0"


def test_the_routes_there_are(fake: FakeWindows, stack: IpStack) -> None:
    fake.ip.interfaces[1] = FakeInterface("Loopback", 1, metric=75)
    fake.ip.interfaces[98] = FakeInterface("Cable", 98, connected=False)
    fake.ip.add(1, "127.0.0.0/8")
    fake.ip.add(98, "0.0.0.0/0", "198.51.100.1", metric=3)
    local = RouteRow(fake.ip.route_rows[1])
    local.destination, local.prefix_length, local.loopback = ip_address("192.0.2.7"), 32, 1
    fake.ip.route_rows.append(bytes(local.data))
    present = stack.routes()
    assert present.luids == {11: WIFI, 1: 1, 98: 98} and present.loopback == {1}
    by_text = {(str(route.dst), route.oif): route for route in present.routes}
    default = by_text["0.0.0.0/0", 11]
    assert (default.gateway, default.metric, default.dead) == (ip_address("192.0.2.1"), 25, False)
    assert by_text["0.0.0.0/0", 98].dead and by_text["0.0.0.0/0", 98].metric == 28
    assert by_text["192.0.2.0/24", 11].gateway is None
    assert by_text["192.0.2.7/32", 11].type == LOCAL


def test_the_way_to_an_address(fake: FakeWindows, stack: IpStack) -> None:
    path = stack.path_to(ip_address("203.0.113.1"))
    assert path is not None and (path.oif, path.gateway) == (11, ip_address("192.0.2.1"))
    fake.ip.route_rows.clear()
    assert stack.path_to(ip_address("203.0.113.1")) is None
