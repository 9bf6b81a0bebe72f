"""What the session wants of the host, and what it got.

    recover()           first of all: leftovers of crashed runs undone, so that names can be resolved for the sign-in
    warm_up()           early, in a thread: load what the rest will need
    prepare()           before the tunnel device is opened: leftovers of crashed runs undone, profile locked
    apply(plan)         addresses, routes, DNS; all or nothing where it matters, warnings where it does not
    before_reconnect()  the way to the gateway is made sure of again, outside the tunnel
    update(plan)        after a reconnect: only what differs, new things first
    undo()              everything that was changed and is still ours; never raises

Two implementations: `linux.NativeHost` and `script.ScriptHost` (the vpnc-script contract).  Everything here is
synchronous and may take seconds: the session calls it in a worker thread.  Calls may come from different threads,
one waits for the other: a change of the host is never interrupted.
Imports stay light: netlink is loaded when it is first used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from protocols.base import Address, TunnelConfig


@dataclass(frozen=True, slots=True)
class HostPlan:
    """What the host should look like.

    gateways: numeric addresses of our TCP and UDP peers (the proxy's, if there is one): they must stay reachable
    outside the tunnel.  dns: auto, off, resolved, resolvconf or file.  default_route: "half" (two half routes
    where the gateway wants everything) or "no" (never).
    """

    interface: str
    config: TunnelConfig
    gateways: tuple[Address, ...]
    profile: str = "default"
    ipv6: bool = True
    dns: str = "auto"
    default_route: str = "half"


@dataclass(frozen=True, slots=True)
class Applied:
    """What was set, as texts for people.  dns_backend: resolved, resolvconf, file, script or off."""

    routes: tuple[str, ...]
    excluded: tuple[str, ...]
    dns: tuple[str, ...]
    search_domains: tuple[str, ...]
    dns_backend: str
    warnings: tuple[str, ...]


class HostConfig(Protocol):
    def recover(self) -> tuple[str, ...]:
        """Before anything asks the network or the user.  Returns warnings.

        A crash may have left name servers that only the tunnel reached: with them no gateway would ever be found.
        Raises HostError as `prepare` does, so that nobody signs in for nothing.
        """

    def warm_up(self) -> None:
        """Load what `apply` needs; changes nothing and never raises."""

    def prepare(self, plan: HostPlan | None = None) -> tuple[str, ...]:
        """Before the device is opened (`plan.interface` may still be empty).  Returns warnings.

        Raises HostError: another client runs this profile, or the run directory cannot be used.
        """

    def apply(self, plan: HostPlan) -> Applied:
        """Configure the host.  Raises HostError; what was done has then been undone."""

    def before_reconnect(self, gateways: tuple[Address, ...] = ()) -> tuple[str, ...]:
        """Before each attempt to reconnect; `gateways`: addresses that will be tried and are not in the plan.

        Returns warnings; never raises.
        """

    def update(self, plan: HostPlan) -> Applied:
        """After a successful reconnect.  Raises HostError: the tunnel cannot be kept, call `undo`."""

    def undo(self) -> tuple[str, ...]:
        """Undo every change that is still ours.  Returns warnings; never raises; may be called again."""
