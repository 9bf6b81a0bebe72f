"""What a lab gateway serves, as one value.  Addresses are parsed, so a wrong one is refused before anything starts."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

from protocols.base import Address, Network, Secret

DEFAULT_NETWORK = IPv4Network("10.77.0.0/24")
DEFAULT_NETWORK6 = IPv6Network("fd77::/64")
MIN_MTU = 576  # bytes; the client refuses less (anyconnect.md 3.3)
MIN_MTU6 = 1280  # bytes; RFC 8200, section 5
MAX_MTU = 16376  # bytes; a packet and its CSTP header fit one TLS record


@dataclass(frozen=True, slots=True)
class LabSettings:
    """Times are seconds, 0 = off; mtu: bytes of inner IP packet; port 0: any free one."""

    listen_host: str = "127.0.0.1"
    listen_port: int = 0
    udp: bool = True  # False: no datagram channel
    udp_port: int = 0  # 0: the number of the TCP port
    dtls: str = "psk"  # "psk": a key from the TLS connection; "resume": the session of a master secret
    users: dict[str, Secret] = field(default_factory=dict)
    groups: tuple[str, ...] = ()
    challenge: Secret | None = None  # the code that a second form asks for
    legacy_only: bool = False  # answer XML posts with 404, as a gateway from before they existed
    certificate: Path | None = None  # PEM; None: self-signed, made at the start
    key: Path | None = None
    client_ca: Path | None = None  # PEM; a client certificate it signed signs in by itself
    tls_max: str = ""  # "1.2", "1.3"; empty: what the library has
    network: IPv4Network = DEFAULT_NETWORK
    network6: IPv6Network | None = DEFAULT_NETWORK6
    routes: tuple[Network, ...] = ()
    no_routes: tuple[Network, ...] = ()
    dns: tuple[Address, ...] = ()
    default_domain: str = ""
    split_dns: tuple[str, ...] = ()
    mtu: int = 1400
    dpd: int = 30
    keepalive: int = 20
    rekey_time: int = 0
    rekey_method: str = "none"  # "ssl" or "new-tunnel"
    banner: str = ""
    session_timeout: int = 0

    def problems(self) -> list[str]:
        """What is wrong with these values together, one text each."""
        least = MIN_MTU if self.network6 is None else MIN_MTU6
        wrong = []
        if not least <= self.mtu <= MAX_MTU:
            wrong.append(f"--mtu: got {self.mtu}, want {least} to {MAX_MTU}")
        if self.network.num_addresses < 4:
            wrong.append(f"--network: got {self.network}, want at least a /30")
        if not self.users and self.client_ca is None:
            wrong.append("nobody could sign in: give --user with --password-stdin (anyconnect: or --client-ca)")
        if self.rekey_method not in ("ssl", "new-tunnel", *(() if self.rekey_time else ("none",))):
            wrong.append(f"--rekey-method: got {self.rekey_method!r}, want ssl or new-tunnel")
        if self.tls_max not in ("", "1.2", "1.3"):
            wrong.append(f"--tls-max: got {self.tls_max!r}, want 1.2 or 1.3")
        if self.dtls not in ("psk", "resume"):
            wrong.append(f"--dtls: got {self.dtls!r}, want psk or resume")
        if (self.key is not None) and self.certificate is None:
            wrong.append("--key: given without --certificate")
        wrong += [f"{name}: must not be negative" for name in ("dpd", "keepalive") if getattr(self, name) < 0]
        return wrong
