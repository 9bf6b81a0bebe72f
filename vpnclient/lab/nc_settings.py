"""What a Network Connect lab gateway serves: the common settings and its own variants."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Network

from protocols.base import Secret
from vpnclient.lab.settings import LabSettings

MAX_MTU = 16362  # bytes; a packet and its oNCP headers fit one TLS record
CODE_FORMS = ("frmDefender", "frmTotpToken", "frmNextToken")


@dataclass(frozen=True, slots=True)
class NcSettings(LabSettings):
    """groups: the realms.  challenge: the code that one more form asks for."""

    network6: IPv6Network | None = None  # the protocol has none
    second_password: Secret | None = None  # a second password field of the first form
    code_form: str = CODE_FORMS[0]  # how the challenge is asked for
    roles: tuple[str, ...] = ()
    notice: str = ""  # a text to be accepted behind the sign-in
    one_session: bool = False  # who has one is asked which of them to end
    host_check: Secret | None = None  # the cookie that a host checker brings
    idle_timeout: int = 0  # seconds without traffic
    esp_cipher: str = "aes-128"  # or aes-256
    esp_mac: str = "sha1"  # or md5, sha256
    esp_rekey: int = 1080  # seconds between two ESP keys; 0: none
    status: int = 0  # of the opening; 8: Network Connect is turned off

    def problems(self) -> list[str]:
        wrong = LabSettings.problems(self)
        if self.network6 is not None:
            wrong.append("--network6: Network Connect carries IPv4 only")
        if self.mtu > MAX_MTU:
            wrong.append(f"--mtu: got {self.mtu}, want at most {MAX_MTU}")
        if self.esp_cipher not in ("aes-128", "aes-256") or self.esp_mac not in ("md5", "sha1", "sha256"):
            wrong.append("--esp-cipher, --esp-mac: want aes-128 or aes-256, and md5, sha1 or sha256")
        if self.code_form not in CODE_FORMS:
            wrong.append(f"--code-form: got {self.code_form!r}, want one of {', '.join(CODE_FORMS)}")
        if not 0 <= self.status <= 255 or self.idle_timeout < 0 or self.esp_rekey < 0:
            wrong.append("--status, --idle-timeout and --esp-rekey: want 0 to 255, and no negative numbers")
        return wrong
