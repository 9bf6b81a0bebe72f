"""Debian's ocserv as a real gateway, in a network namespace of the test's.

The configuration is that of the AnyConnect notes, section 13; a test changes single lines of it.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from vpnclient.lab.netns import Namespace

PORT = 4443
GATEWAY_V4, GATEWAY_V6 = "10.96.0.1", "fd96::1"
USER, PASSWORD = "test", "secret-7"
START_TIMEOUT = 60.0  # seconds

BASE: dict[str, str] = {
    "auth": '"plain[passwd={dir}/passwd]"',
    "listen-host": "0.0.0.0",
    "tcp-port": str(PORT),
    "run-as-user": "nobody",
    "run-as-group": "nogroup",
    "socket-file": "{dir}/run/sock",
    "pid-file": "{dir}/run/pid",
    "use-occtl": "false",
    "sec-mod-scale": "1",  # with two, 1.1.6 may tell the wrong one of a goodbye, and the cookie lives on
    "isolate-workers": "false",
    "server-cert": "{dir}/server.pem",
    "server-key": "{dir}/server.key",
    "max-ban-score": "0",
    "max-same-clients": "0",
    "max-clients": "0",
    "dpd": "5",
    "keepalive": "20",
    "cookie-timeout": "60",
    "rekey-time": "172800",
    "rekey-method": "ssl",
    "cisco-client-compat": "true",
    "tls-priorities": '"NORMAL:%SERVER_PRECEDENCE:-VERS-TLS1.0:-VERS-TLS1.1"',
    "device": "ocs",
    "mtu": "1400",
    "ipv4-network": "10.96.0.0",
    "ipv4-netmask": "255.255.255.0",
    "ipv6-network": "fd96::/64",
    "dns": "10.96.0.1",
    "default-domain": "lab.example",
    "route": "10.96.0.0/255.255.255.0",
}


@dataclass
class Ocserv:
    """One ocserv.  `options` replace those of BASE ("" removes one); `lines` are added: repeatable options."""

    space: Namespace
    folder: Path
    options: Mapping[str, str] = field(default_factory=dict)
    lines: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def pin(self) -> str:
        """pin-sha256:... of the server's key."""
        public = subprocess.run(
            ["openssl", "pkey", "-in", str(self.folder / "server.key"), "-pubout", "-outform", "DER"],
            capture_output=True,
            check=True,
        ).stdout
        return "pin-sha256:" + base64.b64encode(hashlib.sha256(public).digest()).decode()

    def configure(self) -> None:
        merged = {**BASE, **self.options}
        text = "".join(f"{key} = {value}\n" for key, value in merged.items() if value)
        text += "".join(f"{line}\n" for line in self.lines)
        (self.folder / "conf").write_text(text.replace("{dir}", str(self.folder)))

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.space.command("ocserv", "-f", "-d", "2", "-c", str(self.folder / "conf")),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        until = time.monotonic() + START_TIMEOUT
        while str(PORT) not in self.space.run("ss", "-Hltn").stdout:
            if self.process.poll() is not None or time.monotonic() > until:
                raise AssertionError(f"ocserv did not start:\n{self.log}")
            time.sleep(0.05)

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self.process is None:
            return
        self.process.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(20)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process = None

    def restart(self) -> None:
        """A gateway that comes back without any memory of its sessions."""
        self.stop()
        (self.folder / "run" / "sock").unlink(missing_ok=True)
        self.start()


def add_user(folder: Path, name: str = USER, password: str = PASSWORD, groups: str = "") -> None:
    argv = ["ocpasswd", "-c", str(folder / "passwd"), *(["-g", groups] if groups else []), name]
    subprocess.run(argv, input=f"{password}\n{password}\n".encode(), capture_output=True, check=True)


def openssl(*argv: str, folder: Path) -> None:
    subprocess.run(["openssl", *argv], cwd=folder, capture_output=True, check=True)


def make_certificates(folder: Path, address: str) -> None:
    """A CA, a server certificate for `address` and a client certificate for user `test` (UID), all in PEM."""
    p256 = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl(
        "req",
        "-x509",
        *p256,
        "-keyout",
        "ca.key",
        "-out",
        "ca.pem",
        "-days",
        "30",
        "-subj",
        "/CN=Lab CA",
        folder=folder,
    )
    for name, subject, extension in (
        ("server", "/CN=lab gateway", f"subjectAltName=IP:{address},DNS:gw.lab.example"),
        ("client", f"/CN={USER}/UID={USER}", "extendedKeyUsage=clientAuth"),
    ):
        (folder / f"{name}.ext").write_text(extension + "\n")
        openssl("req", *p256, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", subject, folder=folder)
        openssl(
            *("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"),
            *("-days", "30", "-extfile", f"{name}.ext", "-out", f"{name}.pem"),
            folder=folder,
        )


@contextlib.contextmanager
def ocserv(
    space: Namespace,
    address: str,
    *,
    options: Mapping[str, str] | None = None,
    lines: tuple[str, ...] = (),
    groups: str = "",
    files: Mapping[str, str] | None = None,
) -> Iterator[Ocserv]:
    """A running ocserv that listens on `address` (of `space`); gone with its files afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="vpn-ocserv-"))
    try:
        folder.chmod(0o755)
        (folder / "run").mkdir(mode=0o777)
        shutil.chown(folder / "run", "nobody", "nogroup")
        make_certificates(folder, address)
        add_user(folder, groups=groups)
        for name, text in (files or {}).items():  # of which the configuration speaks, below {dir}
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(text)
        server = Ocserv(space, folder, options or {}, lines)
        server.configure()
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
