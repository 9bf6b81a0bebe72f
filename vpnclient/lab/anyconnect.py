"""The AnyConnect side of the lab gateway: requests in, pages out.

    init ----> form "main" ----> [form "challenge"] ----> success with a cookie ----> CONNECT -> tunnel
      |            ^  | wrong                 | wrong
      |            +--+--- at most MAX_FAILURES, then 401
      +-- client certificate: success at once; asked for and not there: client-cert-request, then the form or an error

XML posts and the older form-encoded dialect walk the same states.  Source: anyconnect.md sections 2, 3, 10, 12.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from cryptography import x509
from cryptography.x509.oid import NameOID

from vpnclient.lab import anyconnect_xml as xml
from vpnclient.lab.anyconnect_dtls import DtlsSide
from vpnclient.lab.anyconnect_tunnel import FRAMING, AnyConnectServer, tunnel_headers
from vpnclient.lab.settings import LabSettings
from vpnclient.lab.site import Headers, OpenDatagrams, OpenTunnel, Page, Request
from vpnclient.lab.store import Exhausted, LabSession, Store, matches

MAX_FAILURES = 3  # wrong answers in one sign-in
MAX_ATTEMPTS = 1000  # sign-ins under way; the oldest is forgotten
ATTEMPT_LIFE = 300.0  # seconds for one sign-in
CONTEXT_COOKIE = "webvpncontext"  # carries the sign-in in the older dialect
COOKIE = "webvpn"
TUNNEL_PATH = "/CSCOSSLC/tunnel"
FORM_PATHS = ("/", "/auth", "/+webvpn+/index.html", "/+CSCOE+/logon.html")
XML_TYPE = ("Content-Type", "text/xml; charset=utf-8")
FORM_MARK = "lab_form"  # a hidden field: a client that drops those cannot sign in


@dataclass(slots=True)
class Attempt:
    """A sign-in under way.  user is set once the password was right."""

    token: str
    expires_at: float
    group: str = ""
    user: str = ""
    failures: int = 0


class AnyConnectSite:
    """token: makes unguessable texts, for cookies and sign-ins."""

    name = "anyconnect"

    def __init__(self, settings: LabSettings, store: Store, token: Callable[[], str]) -> None:
        self._settings, self._store, self._token = settings, store, token
        self._attempts: dict[str, Attempt] = {}
        self._dtls = DtlsSide(settings)

    def listens(self, port: int) -> None:
        """The UDP port of the gateway."""
        self._dtls.listens(port)

    def on_datagram(self, first: bytes, now: float) -> OpenDatagrams | None:
        """A new UDP peer: its ClientHello names the tunnel."""
        return self._dtls.on_datagram(first)

    def respond(self, request: Request, now: float) -> Page | OpenTunnel:
        try:
            match request.method:
                case "CONNECT":
                    return self._connect(request, now)
                case "POST":
                    return self._post(request, now)
                case "GET":
                    return self._get(request, now)
        except Exhausted as exc:
            return Page(503, "Service Unavailable", (("X-Reason", str(exc)),))
        except xml.BadReply as exc:
            return Page(400, "Bad Request", (("X-Reason", str(exc)),), close=True)
        return Page(405, "Method Not Allowed", (("Allow", "GET, POST, CONNECT"),), close=True)

    # --- sign-in ---------------------------------------------------------------------------------------------

    def _get(self, request: Request, now: float) -> Page:
        path = request.target.partition("?")[0]
        group = self._group_of(path)
        if path not in FORM_PATHS and not group:
            return Page(404, "Not Found")
        return self._step(xml.Reply("init", group=group, certificate_failed=True), request, now, is_xml=False)

    def _post(self, request: Request, now: float) -> Page:
        is_xml = bool(request.header("x-aggregate-auth"))
        if is_xml and self._settings.legacy_only:
            return Page(404, "Not Found", close=True)
        if not is_xml:
            reply = xml.parse_form(request.body, request.cookies().get(CONTEXT_COOKIE, ""))
        else:
            reply = xml.parse_xml(request.body)
        return self._step(reply, request, now, is_xml=is_xml)

    def _step(self, reply: xml.Reply, request: Request, now: float, *, is_xml: bool) -> Page:
        answer = _Answer(is_xml)
        if reply.kind == "init":
            return self._on_init(reply, request, now, answer)
        attempt = self._attempts.get(reply.attempt)
        if attempt is None or now >= attempt.expires_at:
            return self._ask_main(self._new_attempt(reply.group, now), answer, "The sign-in has expired.")
        if attempt.user:
            return self._on_challenge(attempt, reply, now, answer)
        return self._on_main(attempt, reply, now, answer)

    def _on_init(self, reply: xml.Reply, request: Request, now: float, answer: _Answer) -> Page:
        group = reply.group or self._group_of(request.target.partition("?")[0])
        if self._settings.client_ca is not None:
            if request.certificate:
                user, mark = _name_of(request.certificate), _fingerprint(request.certificate)
                return answer.success(self._store.add(user, group, now, certificate=mark))
            if not reply.certificate_failed:
                return answer.page(xml.ask_certificate())
            if not self._settings.users:
                return answer.refusal("Certificate Validation Failure")
        error = f"There is no group {group!r}." if group and group not in self._settings.groups else ""
        return self._ask_main(self._new_attempt(group, now), answer, error)

    def _on_main(self, attempt: Attempt, reply: xml.Reply, now: float, answer: _Answer) -> Page:
        group = reply.group or attempt.group
        if self._settings.groups and group not in self._settings.groups:
            return self._ask_main(attempt, answer, "Choose one of the groups.")
        user, password = reply.fields.get("username", ""), reply.fields.get("password", "")
        right = matches(self._settings.users.get(user), password)
        if not right or reply.fields.get(FORM_MARK) != "main":
            return self._failed(attempt, answer) or self._ask_main(attempt, answer, "Login failed.")
        attempt.user, attempt.group = user, group
        if self._settings.challenge is not None:
            return self._ask_challenge(attempt, answer)
        return self._finish(attempt, now, answer)

    def _on_challenge(self, attempt: Attempt, reply: xml.Reply, now: float, answer: _Answer) -> Page:
        given = reply.fields.get(xml.RENAMED if answer.is_xml else "answer", "")
        if matches(self._settings.challenge, given):
            return self._finish(attempt, now, answer)
        return self._failed(attempt, answer) or self._ask_challenge(attempt, answer, "Wrong code.")

    def _finish(self, attempt: Attempt, now: float, answer: _Answer) -> Page:
        del self._attempts[attempt.token]
        return answer.success(self._store.add(attempt.user, attempt.group, now))

    def _failed(self, attempt: Attempt, answer: _Answer) -> Page | None:
        """Count a wrong answer; the page that ends the sign-in, or None: ask again."""
        attempt.failures += 1
        if attempt.failures < MAX_FAILURES:
            return None
        del self._attempts[attempt.token]
        return Page(401, "Authentication failed", close=True)

    def _new_attempt(self, group: str, now: float) -> Attempt:
        for token in [t for t, known in self._attempts.items() if now >= known.expires_at]:
            del self._attempts[token]
        if len(self._attempts) >= MAX_ATTEMPTS:
            del self._attempts[next(iter(self._attempts))]
        attempt = Attempt(self._token(), now + ATTEMPT_LIFE, group if group in self._settings.groups else "")
        self._attempts[attempt.token] = attempt
        return attempt

    def _ask_main(self, attempt: Attempt, answer: _Answer, error: str = "") -> Page:
        form = xml.LabForm(
            "main",
            (
                xml.Input("hidden", FORM_MARK, value="main"),
                xml.Input("text", "username", "Username:"),
                xml.Input("password", "password", "Password:"),
            ),
            message="Please enter your user name and password.",
            groups=self._settings.groups,
            group=attempt.group,
        )
        return answer.form(form, attempt.token, error)

    def _ask_challenge(self, attempt: Attempt, answer: _Answer, error: str = "") -> Page:
        form = xml.LabForm("challenge", (xml.Input("password", "answer", "Code:"),), message="Enter the code.")
        return answer.form(form, attempt.token, error)

    def _group_of(self, path: str) -> str:
        """A group can be named by the path of the URL, as in https://gateway/sales."""
        name = path.strip("/")
        return name if name in self._settings.groups else ""

    # --- tunnel ----------------------------------------------------------------------------------------------

    def _connect(self, request: Request, now: float) -> Page | OpenTunnel:
        if request.target != TUNNEL_PATH:
            return Page(404, "Not Found", close=True)
        session = self._store.find(request.cookies().get(COOKIE, ""), now)
        if session is None or not _belongs(session, request.certificate):
            return Page(401, "Cookie is not acceptable", close=True)
        settings = self._settings
        controller = AnyConnectServer(
            dpd=settings.dpd, keepalive=settings.keepalive, expires_at=session.expires_at, now=now
        )
        headers = tunnel_headers(settings, session, request, session.expires_at - now)
        headers += self._dtls.headers(session, request)
        return OpenTunnel(session, "CONNECTED", headers, FRAMING, settings.mtu, controller)


@dataclass(frozen=True, slots=True)
class _Answer:
    """Pages in the dialect that the client speaks."""

    is_xml: bool

    def page(self, body: bytes, *headers: tuple[str, str]) -> Page:
        fixed: Headers = (XML_TYPE, ("Cache-Control", "no-store"))
        extra: Headers = (("X-Aggregate-Auth", "1"),) if self.is_xml else ()
        return Page(200, "OK", (*fixed, *extra, *headers), body)

    def form(self, form: xml.LabForm, token: str, error: str) -> Page:
        body = xml.show(form, xml=self.is_xml, attempt=token, error=error)
        if self.is_xml:
            return self.page(body)
        return self.page(body, ("Set-Cookie", f"{CONTEXT_COOKIE}={token}; Secure; HttpOnly"))

    def success(self, session: LabSession) -> Page:
        body = xml.success(xml=self.is_xml, token=session.cookie)
        if self.is_xml:
            return self.page(body)
        return self.page(
            body,
            ("Set-Cookie", f"{CONTEXT_COOKIE}=; Secure"),
            ("Set-Cookie", f"{COOKIE}={session.cookie}; Secure; HttpOnly"),
        )

    def refusal(self, text: str) -> Page:
        if not self.is_xml:
            return Page(401, text, close=True)
        return self.page(xml.refusal(text))


def _belongs(session: LabSession, certificate: bytes) -> bool:
    """A session made with a client certificate wants the same one on the CONNECT (section 2.8)."""
    return not session.certificate or _fingerprint(certificate) == session.certificate


def _fingerprint(certificate: bytes) -> str:
    return hashlib.sha256(certificate).hexdigest() if certificate else ""


def _name_of(certificate: bytes) -> str:
    """The user named in a certificate: UID, else CN."""
    subject = x509.load_der_x509_certificate(certificate).subject
    for oid in (NameOID.USER_ID, NameOID.COMMON_NAME):
        for attribute in subject.get_attributes_for_oid(oid):
            return str(attribute.value)
    return "certificate"
