"""A lab gateway's TUN device: its addresses and the routes to its client, in the namespace it runs in.

The gateway's own address sits on every device as /32 (/128), and the client's address is a route of its own: sessions
do not disturb one another.  All of it goes away with the device.
"""

from __future__ import annotations

import errno
from ipaddress import IPv4Address, IPv6Address

from pyroute2 import IPRoute, NetlinkError

from vpnclient.lab.netns import LabError

IFA_F_NODAD = 0x02
ADDR_GEN_MODE_NONE = 1  # no link-local address of its own


def configure(name: str, mtu: int, own: tuple[IPv4Address | IPv6Address, ...], peer: tuple[str, ...]) -> None:
    """Bring a TUN device up.  own: the gateway's addresses; peer: the client's, numeric.  Raises LabError.

    Blocks for a few milliseconds; run it in a thread.
    """
    with IPRoute() as netlink:
        index = netlink.link_lookup(ifname=name)[0]
        try:
            _no_link_local(netlink, index)
            netlink.link("set", index=index, mtu=mtu, state="up")
            for address in own:
                bits = 32 if address.version == 4 else 128
                flags = {} if address.version == 4 else {"flags": IFA_F_NODAD}
                netlink.addr("add", index=index, address=str(address), prefixlen=bits, **flags)
            for client in peer:
                bits = 128 if ":" in client else 32
                netlink.route("add", dst=f"{client}/{bits}", oif=index)
        except NetlinkError as exc:
            raise LabError(f"device {name}: {errno.errorcode.get(exc.code, exc.code)}: {exc}") from exc


def _no_link_local(netlink: IPRoute, index: int) -> None:
    """Old kernels do not know this; then the device has one address more than it needs."""
    try:
        spec = {"attrs": [["AF_INET6", {"attrs": [["IFLA_INET6_ADDR_GEN_MODE", ADDR_GEN_MODE_NONE]]}]]}
        netlink.link("set", index=index, IFLA_AF_SPEC=spec)
    except NetlinkError:
        return
