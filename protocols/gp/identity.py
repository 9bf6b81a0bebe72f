"""Who the client says it is (sections 2.1, 3, 4 and 14)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from protocols.base import SignInOptions, TunnelOptions

PROTOCOL_VERSION = "4100"  # clientVer; no other has ever been seen
USER_AGENT = "PAN GlobalProtect"  # old servers accept only this (Q30)
APP_VERSION = "6.3.3-619"  # for gateways whose portal named no version to parrot (Q19)
MAX_VERSION = 64  # characters
FORM_TYPE = ("Content-Type", "application/x-www-form-urlencoded")

_CLIENT_OS = {
    "linux": "Linux",
    "linux-64": "Linux",
    "win": "Windows",
    "mac-intel": "Mac",
    "android": "Android",
    "apple-ios": "iOS",
}
_CALLBACK_BROWSERS = {"Linux": "4", "Mac": "3"}


@dataclass(frozen=True, slots=True)
class Identity:
    """computer: the same in every request of a session, or the gateway objects (Q14)."""

    client_os: str
    os_version: str
    computer: str
    user_agent: str
    ipv6: bool

    @classmethod
    def of(cls, options: SignInOptions | TunnelOptions) -> Identity:
        return cls(
            client_os=_CLIENT_OS.get(options.os_name, "Windows"),
            os_version=options.os_name,
            computer=options.local_hostname,
            user_agent=options.user_agent or USER_AGENT,
            ipv6=options.ipv6,
        )

    @property
    def callback_browser(self) -> str:
        """`default-browser`: the final page of a browser sign-in fires a globalprotectcallback: link (Q26)."""
        return _CALLBACK_BROWSERS.get(self.client_os, "2")

    @property
    def ipv6_support(self) -> str:
        return "yes" if self.ipv6 else "no"

    def headers(self) -> list[tuple[str, str]]:
        return [("User-Agent", self.user_agent), FORM_TYPE]
