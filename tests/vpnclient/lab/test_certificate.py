from __future__ import annotations

from pathlib import Path

from cryptography import x509

from vpnclient.lab import certificate


def test_the_server_certificate_names_its_address() -> None:
    issued = certificate.self_signed("192.0.2.1")
    names = issued.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(name) for name in names.get_values_for_type(x509.IPAddress)] == ["192.0.2.1"]
    named = certificate.self_signed("lab.example").certificate
    names = named.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["lab.example"]


def test_a_client_certificate_is_issued_by_its_authority() -> None:
    ca = certificate.authority()
    client = certificate.issue_client(ca, "alice").certificate
    client.verify_directly_issued_by(ca.certificate)
    assert client.subject.rfc4514_string() == "CN=alice"


def test_keys_stay_private(tmp_path: Path) -> None:
    issued = certificate.self_signed("lab")
    assert repr(issued) == "Issued(CN=vpnclient lab)"
    public, key = issued.write(tmp_path, "server")
    assert key.stat().st_mode & 0o777 == 0o600
    assert b"PRIVATE" in key.read_bytes() and b"PRIVATE" not in public.read_bytes()


def test_pin_format() -> None:
    pin = certificate.pin_of(certificate.self_signed("lab").der)
    assert pin.startswith("pin-sha256:") and len(pin) == len("pin-sha256:") + 44
