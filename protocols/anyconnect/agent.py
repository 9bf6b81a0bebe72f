"""Who the client says it is, to sign-in and tunnel alike (anyconnect.md section 2.2)."""

from __future__ import annotations

import re

# Two wishes meet in this name.  Newer ASAs refuse agents that do not start with "AnyConnect" (Q1).  ocserv gives IPv6
# routes and DNS only to agents it knows: 1.1.6 takes every "AnyConnect..." for a full client (measured: X-CSTP-Address-
# IP6, X-CSTP-DNS-IP6 and X-CSTP-Split-Include-IP6 arrive, with none of them for an unknown agent), and from 1.2.4 on
# it knows "AnyConnect-compatible OpenConnect" by name.  What stands in the brackets is ours to choose.
_DEFAULT = "AnyConnect-compatible OpenConnect VPN Agent (vpnclient {version})"

MAX_HOSTNAME = 63  # characters


def user_agent(wished: str, version: str) -> str:
    """The user's own, or the default."""
    return wished or _DEFAULT.format(version=version)


def host_name(local: str) -> str:
    """The local name without domain, of letters, digits, - and _ only (Q31)."""
    name = re.sub(r"[^A-Za-z0-9_-]", "", local.partition(".")[0])[:MAX_HOSTNAME]
    return name or "localhost"
