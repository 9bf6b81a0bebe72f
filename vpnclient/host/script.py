"""Configures the host by a script with the vpnc-script contract: `reason` and many variables in its environment.

Reasons: pre-init, connect, attempt-reconnect, reconnect, disconnect.  All after `connect` see the values of the
first connect.  The script runs in its own process group, so that a Ctrl-C never interrupts it, and its output goes
to our standard error.  A client may ignore a script's failure; we take the one of `connect` seriously unless told
not to.
Source: host-config specification, sections 1.1, 1.2, 11 and quirks Q1 to Q3, Q9; cli-parity Q4.
"""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Mapping
from ipaddress import IPv4Interface, IPv4Network, IPv6Interface, IPv6Network

from protocols.base import Address
from vpnclient.errors import HostError
from vpnclient.host import Applied, HostPlan
from vpnclient.host.routes import MAX_ROUTES
from vpnclient.settings import plain

MAX_TEXTS = 64 << 10  # bytes of texts from the gateway (domains, banner, options) in the environment
MAX_SERVERS = 3  # DNS and NBNS servers each, as the contract says
_STANDARD_ERROR = 2

# What a script may look at; whatever of these is not set by us must not leak in from our own environment.
_OURS = frozenset(("reason", "VPNGATEWAY", "VPNPID", "LOG_LEVEL", "TUNDEV", "TUNIDX", "VPNFD", "IDLE_TIMEOUT"))
_OUR_PREFIXES = ("CISCO_", "INTERNAL_IP")
_SECRET_WORDS = ("PASS", "SECRET", "COOKIE", "TOKEN", "PIN")


class ScriptHost:
    """HostConfig by `/bin/sh -c COMMAND`.  strict: `connect` must succeed.  log_level: 0 error ... 3 trace."""

    def __init__(self, command: str, *, strict: bool = True, log_level: int = 1) -> None:
        self._command, self._strict, self._log_level = command, strict, log_level
        self._lock = threading.RLock()
        self._plan: HostPlan | None = None  # of the first connect
        self._variables: dict[str, str] = {}

    def recover(self) -> tuple[str, ...]:
        """What a script did, nobody else can undo."""
        return ()

    def warm_up(self) -> None:
        """A script loads nothing of ours."""

    def prepare(self, plan: HostPlan | None = None) -> tuple[str, ...]:
        with self._lock:
            variables, warnings = environment(plan) if plan else ({}, ())
            return (*warnings, *self._call("pre-init", variables))

    def apply(self, plan: HostPlan) -> Applied:
        with self._lock:
            variables, warnings = environment(plan)
            failure = self._call("connect", variables)
            self._plan, self._variables = plan, variables
            if failure and self._strict:
                self.undo()
                raise HostError(failure[0], hint="the script must end with status 0 for the connection to go on")
            return _applied(plan, (*warnings, *failure))

    def before_reconnect(self, gateways: tuple[Address, ...] = ()) -> tuple[str, ...]:
        """`gateways` cannot be told to a script: it sees the first one for ever."""
        with self._lock:
            return self._call("attempt-reconnect", self._variables) if self._plan else ()

    def update(self, plan: HostPlan) -> Applied:
        with self._lock:
            if self._plan is None:
                return self.apply(plan)
            warnings = self._call("reconnect", self._variables)
            if environment(plan)[0] != self._variables:
                text = "the gateway changed the configuration; the script cannot be told and keeps the first one"
                warnings = (*warnings, text)
            return _applied(self._plan, warnings)

    def undo(self) -> tuple[str, ...]:
        with self._lock:
            if self._plan is None:
                return ()
            self._plan = None
            return self._call("disconnect", self._variables)

    def _call(self, reason: str, variables: Mapping[str, str]) -> tuple[str, ...]:
        """Run the script to its end.  Returns a warning if it failed."""
        own = {"reason": reason, "VPNPID": str(os.getpid()), "LOG_LEVEL": str(self._log_level)}
        try:
            status = subprocess.run(
                ("/bin/sh", "-c", self._command),
                env={**inherited(os.environ), **variables, **own},
                stdin=subprocess.DEVNULL,  # a background process group would be stopped when it reads the terminal
                stdout=_STANDARD_ERROR,  # standard output may carry our JSON lines
                process_group=0,
            ).returncode
        except OSError as exc:
            return (f"script for {reason} could not be started: {exc.strerror}",)
        if not status:
            return ()
        how = f"with status {status}" if status > 0 else f"by signal {-status}"
        return (f"script for {reason} ended {how}",)


def inherited(variables: Mapping[str, str]) -> dict[str, str]:
    """Our own environment without the contract's variables and without what may be a secret of ours."""
    return {
        name: value
        for name, value in variables.items()
        if name not in _OURS
        and not name.startswith(_OUR_PREFIXES)
        and not (name.startswith("VPNCLIENT_") and any(word in name for word in _SECRET_WORDS))
    }


def environment(plan: HostPlan) -> tuple[dict[str, str], tuple[str, ...]]:
    """The variables of a plan, and warnings.  Pure.  Raises HostError: too many routes."""
    config = plan.config
    if len(config.split_include) + len(config.split_exclude) > MAX_ROUTES:
        raise HostError(f"configuration too large: more than {MAX_ROUTES} routes")
    found: dict[str, str] = {"TUNDEV": plan.interface} if plan.interface else {}
    if plan.gateways:
        found["VPNGATEWAY"] = str(plan.gateways[0])
    if config.idle_timeout:
        found["IDLE_TIMEOUT"] = str(config.idle_timeout)
    if config.mtu:
        found["INTERNAL_IP4_MTU"] = str(config.mtu)
    found |= _addresses(plan)
    dns = [str(server) for server in config.dns if not server.is_unspecified]  # Q2: IPv6 ones among them
    nbns = [str(server) for server in config.nbns if not server.is_unspecified]
    if dns:
        found["INTERNAL_IP4_DNS"] = " ".join(dns[:MAX_SERVERS])
    if nbns:
        found["INTERNAL_IP4_NBNS"] = " ".join(nbns[:MAX_SERVERS])
    found |= _routes(plan)
    texts, warnings = _texts(plan)
    if plan.default_route == "no":
        warnings = (*warnings, "a script cannot be told to set no default route")
    return found | texts, warnings


def _addresses(plan: HostPlan) -> dict[str, str]:
    found: dict[str, str] = {}
    for address in plan.config.addresses:
        if isinstance(address, IPv4Interface) and "INTERNAL_IP4_ADDRESS" not in found:
            found["INTERNAL_IP4_ADDRESS"] = str(address.ip)
            if 0 < address.network.prefixlen < 32:  # Q9: no mask, no network
                found["INTERNAL_IP4_NETMASK"] = str(address.netmask)
                found["INTERNAL_IP4_NETMASKLEN"] = str(address.network.prefixlen)
                found["INTERNAL_IP4_NETADDR"] = str(address.network.network_address)
        elif isinstance(address, IPv6Interface) and plan.ipv6 and "INTERNAL_IP6_ADDRESS" not in found:
            found["INTERNAL_IP6_ADDRESS"] = str(address.ip)
            if 0 < address.network.prefixlen < 128:
                found["INTERNAL_IP6_NETMASK"] = f"{address.ip}/{address.network.prefixlen}"
    return found


def _routes(plan: HostPlan) -> dict[str, str]:
    """Counted lists, last route first (Q1: scripts have always got them so)."""
    found: dict[str, str] = {}
    for word, networks in (("INC", plan.config.split_include), ("EXC", plan.config.split_exclude)):
        four = [network for network in reversed(networks) if isinstance(network, IPv4Network)]
        six = [network for network in reversed(networks) if isinstance(network, IPv6Network) and plan.ipv6]
        if four:
            found[f"CISCO_SPLIT_{word}"] = str(len(four))
        for number, network in enumerate(four):
            found[f"CISCO_SPLIT_{word}_{number}_ADDR"] = str(network.network_address)
            found[f"CISCO_SPLIT_{word}_{number}_MASK"] = str(network.netmask)
            found[f"CISCO_SPLIT_{word}_{number}_MASKLEN"] = str(network.prefixlen)
        if six:
            found[f"CISCO_IPV6_SPLIT_{word}"] = str(len(six))
        for number, network6 in enumerate(six):
            found[f"CISCO_IPV6_SPLIT_{word}_{number}_ADDR"] = str(network6.network_address)
            found[f"CISCO_IPV6_SPLIT_{word}_{number}_MASKLEN"] = str(network6.prefixlen)
    return found


def _texts(plan: HostPlan) -> tuple[dict[str, str], tuple[str, ...]]:
    """Free texts of the gateway, without control characters; the important ones first while there is room."""
    config = plan.config
    options = [f"{plain(name, '')}={plain(value, '')}" for name, value in config.raw]
    wanted = (
        ("CISCO_DEF_DOMAIN", " ".join(plain(name, "") for name in config.search_domains)),
        ("CISCO_SPLIT_DNS", ",".join(plain(name, "") for name in reversed(config.split_dns))),
        ("CISCO_PROXY_PAC", plain(config.proxy_pac, "")),
        ("CISCO_BANNER", plain(config.banner, "\n")),
        ("CISCO_CSTP_OPTIONS", "\n".join(options)),
    )
    found: dict[str, str] = {}
    cut: list[str] = []
    room = MAX_TEXTS
    for name, text in wanted:
        data = text.encode(errors="replace")
        if len(data) > room:
            cut.append(f"{name} cut: the gateway's texts are longer than {MAX_TEXTS} bytes")
            text = data[:room].decode(errors="ignore")
        if text:
            found[name] = text
        room -= min(len(data), room)
    return found, tuple(cut)


def _applied(plan: HostPlan, warnings: tuple[str, ...]) -> Applied:
    config = plan.config
    versions = {address.version for address in config.addresses if plan.ipv6 or address.version == 4}
    defaults = versions - {network.version for network in config.split_include}
    return Applied(
        routes=(
            *("0.0.0.0/0" if version == 4 else "::/0" for version in sorted(defaults)),
            *(str(network) for network in config.split_include if network.version in versions),
        ),
        excluded=tuple(str(network) for network in config.split_exclude if network.version in versions),
        dns=tuple(str(server) for server in config.dns),
        search_domains=config.search_domains,
        dns_backend="script",
        warnings=warnings,
    )
