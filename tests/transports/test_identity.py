"""Client certificates and keys from files of every form (auth-helpers.md section 3.1)."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
    pkcs12,
)

from tests.certificates import Authority, Issued
from transports.errors import IdentityError
from transports.identity import MAX_FILE, Identity, load_identity

ROOT = Authority("Root")
MIDDLE = Authority("Middle", above=ROOT)
ALICE = MIDDLE.issue("alice", client=True)
BOB = MIDDLE.issue("bob", client=True)
RSA = MIDDLE.issue("rsa", client=True, key=rsa.generate_private_key(public_exponent=65537, key_size=2048))

Ask = Callable[[str, str], str | None]


class Answers:
    """Answers in turn; keeps what was asked."""

    def __init__(self, *passwords: str | None) -> None:
        self._passwords = iter(passwords)
        self.asked: list[tuple[str, str]] = []

    def __call__(self, form_id: str, prompt: str) -> str | None:
        self.asked.append((form_id, prompt))
        return next(self._passwords)


NOBODY = Answers()  # asking would raise


def written(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def is_of(identity: Identity, issued: Issued) -> bool:
    key = load_der_private_key(identity.key, None).public_key()
    return identity.certificate == issued.der and key == issued.key.public_key()


@pytest.mark.parametrize("issued", [ALICE, RSA])
@pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER])
@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_plain_files(tmp_path: Path, issued: Issued, encoding: Encoding, form: PrivateFormat) -> None:
    certificate = written(tmp_path, "cert", issued.certificate.public_bytes(encoding))
    key = written(tmp_path, "key", issued.key_bytes(encoding=encoding, form=form))
    assert is_of(load_identity(certificate, key, NOBODY), issued)


def test_one_file_with_everything_in_any_order(tmp_path: Path) -> None:
    text = b"Bag Attributes\n" + ROOT.pem + MIDDLE.pem + ALICE.key_bytes() + BOB.pem + ALICE.pem
    identity = load_identity(written(tmp_path, "all.pem", text), None, NOBODY)
    assert is_of(identity, ALICE)
    assert identity.chain == (MIDDLE.der,)  # neither the root nor what does not belong


@pytest.mark.parametrize(
    ("encoding", "form", "form_id"),
    [
        (Encoding.PEM, PrivateFormat.PKCS8, "openconnect_pkcs8"),
        (Encoding.PEM, PrivateFormat.TraditionalOpenSSL, "openconnect_pem"),
        (Encoding.DER, PrivateFormat.PKCS8, "openconnect_pkcs8"),
    ],
)
def test_a_wrong_password_is_asked_again(tmp_path: Path, encoding: Encoding, form: PrivateFormat, form_id: str) -> None:
    certificate = written(tmp_path, "cert.pem", RSA.pem)
    key = written(tmp_path, "key", RSA.key_bytes(b"sesame", encoding=encoding, form=form))
    answers = Answers("wrong", "sesame")
    assert is_of(load_identity(certificate, key, answers), RSA)
    assert answers.asked == [(form_id, f"Password of {key}")] * 2
    with pytest.raises(IdentityError, match=r"^key-password: .*wrong password 3 times"):
        load_identity(certificate, key, Answers("a", "b", "c"))


@pytest.mark.parametrize("given", ["", None])
def test_giving_up(tmp_path: Path, given: str | None) -> None:
    both = written(tmp_path, "both.pem", ALICE.pem + ALICE.key_bytes(b"sesame"))
    with pytest.raises(IdentityError, match="no password was given") as caught:
        load_identity(both, None, Answers(given))
    assert caught.value.code == "key-password"
    assert "both.pem" in str(caught.value)


def pkcs12_of(issued: Issued, password: bytes | None) -> bytes:
    encryption = NoEncryption() if password is None else BestAvailableEncryption(password)
    return pkcs12.serialize_key_and_certificates(b"x", issued.key, issued.certificate, list(issued.chain), encryption)


def test_pkcs12_without_a_password(tmp_path: Path) -> None:
    identity = load_identity(written(tmp_path, "a.p12", pkcs12_of(ALICE, None)), None, NOBODY)
    assert is_of(identity, ALICE)
    assert identity.chain == (MIDDLE.der,)


def test_pkcs12_with_a_password(tmp_path: Path) -> None:
    path, answers = written(tmp_path, "a.p12", pkcs12_of(ALICE, b"sesame")), Answers("wrong", "sesame")
    assert is_of(load_identity(path, None, answers), ALICE)
    assert [form for form, _prompt in answers.asked] == ["openconnect_pkcs12"] * 2


def test_pkcs12_as_the_key_of_another_certificate_file(tmp_path: Path) -> None:
    certificate, key = written(tmp_path, "a.pem", ALICE.pem), written(tmp_path, "a.p12", pkcs12_of(ALICE, None))
    assert is_of(load_identity(certificate, key, NOBODY), ALICE)


def test_pkcs12_with_an_explicit_key(tmp_path: Path) -> None:
    store = pkcs12.serialize_key_and_certificates(None, None, ALICE.certificate, None, NoEncryption())
    certificate, key = written(tmp_path, "a.p12", store), written(tmp_path, "a.key", ALICE.key_bytes())
    assert is_of(load_identity(certificate, key, NOBODY), ALICE)


def test_a_key_of_another_certificate(tmp_path: Path) -> None:
    certificate, key = written(tmp_path, "a.pem", ALICE.pem), written(tmp_path, "b.key", BOB.key_bytes())
    with pytest.raises(
        IdentityError, match=r"^client-cert-mismatch: the key in .*b\.key .* no certificate in .*a\.pem"
    ):
        load_identity(certificate, key, NOBODY)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "tls-certificate-invalid"),
        (b"nonsense", "tls-certificate-invalid"),
        (ALICE.der[:-20], "tls-certificate-invalid"),
        (ALICE.pem, "client-cert-unreadable"),  # no key
        (ALICE.pem.replace(b"M", b"!", 3), "tls-certificate-invalid"),
        (pkcs12_of(ALICE, None)[:-20], "key-password"),  # damaged: told apart from a wrong password by nobody
        (ALICE.pem + b"-----BEGIN TSS2 KEY BLOB-----\nAA==\n-----END TSS2 KEY BLOB-----\n", "client-cert-unsupported"),
        (
            ALICE.pem + b"-----BEGIN TSS2 PRIVATE KEY-----\nAA==\n-----END TSS2 PRIVATE KEY-----\n",
            "client-cert-unsupported",
        ),
        (ALICE.pem + b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "client-cert-unreadable"),
        (b" " * (MAX_FILE + 1), "client-cert-unreadable"),
    ],
)
def test_files_that_cannot_be_used(tmp_path: Path, data: bytes, code: str) -> None:
    with pytest.raises(IdentityError, match="bad") as caught:
        load_identity(written(tmp_path, "bad", data), None, Answers("x", "x", "x"))
    assert caught.value.code == code


def test_missing_files_and_stores_that_are_no_files(tmp_path: Path) -> None:
    with pytest.raises(IdentityError, match=r"nowhere\.pem: No such file"):
        load_identity(tmp_path / "nowhere.pem", None, NOBODY)
    with pytest.raises(IdentityError, match=r"^client-cert-unsupported"):
        load_identity(Path("pkcs11:token=x"), None, NOBODY)


def test_the_key_never_shows() -> None:
    assert "key" not in repr(ALICE.identity)


def test_expiry_warnings() -> None:
    identity, end = ALICE.identity, ALICE.certificate.not_valid_after_utc
    assert identity.expiry_warning((end - timedelta(days=61)).timestamp()) == ""
    assert "expires on" in identity.expiry_warning((end - timedelta(days=59)).timestamp())
    assert identity.expiry_warning((end - timedelta(days=59)).timestamp(), days=30) == ""
    assert "expired on" in identity.expiry_warning((end + timedelta(seconds=1)).timestamp())
