"""Certificates of our own: an authority, and a server it vouches for. Nothing here touches a disk but `served`.

Keys stay when certificates are renewed: who trusts the authority's old certificate trusts what its new one signs, so
that nothing has to change everywhere at once.
"""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_LASTS: Final = timedelta(days=3650)
SERVER_LASTS: Final = timedelta(days=397)
"""What the browsers' forum allowed longest (CA/B Baseline Requirements 6.3.2, until 2026)."""
_CLOCKS_DIFFER: Final = timedelta(hours=1)

Key = ec.EllipticCurvePrivateKey
Certificate = x509.Certificate


class BadNameError(ValueError):
    """Neither an IP address nor a host name."""


def new_key() -> Key:
    return ec.generate_private_key(ec.SECP256R1())


def authority(key: Key, name: str, now: datetime) -> Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = _begun(subject, subject, key, now, AUTHORITY_LASTS)
    usage = _usage(sign_certificates=True)
    return (
        builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def server(key: Key, names: Iterable[str], by: Certificate, by_key: Key, now: datetime) -> Certificate:
    """For whoever comes by one of `names`. Raises BadNameError."""
    wanted = sorted({_plain(name) for name in names})
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, wanted[0][:64])])
    return (
        _begun(subject, by.subject, key, now, SERVER_LASTS)
        .add_extension(x509.SubjectAlternativeName([_general(name) for name in wanted]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(sign_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(by_key.public_key()), critical=False)
        .sign(by_key, hashes.SHA256())
    )


def _begun(subject: x509.Name, issuer: x509.Name, key: Key, now: datetime, lasts: timedelta) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCKS_DIFFER)
        .not_valid_after(now + lasts)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign_certificates,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


# ------------------------------------------------------------------------------------------------ names


def names_in(certificate: Certificate) -> set[str]:
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {str(each.value) for each in found}


def plain_names(names: Iterable[str]) -> set[str]:
    """As certificates hold them. Raises BadNameError."""
    return {_plain(name) for name in names}


def _plain(name: str) -> str:
    bare = name.strip().removeprefix("[").removesuffix("]").rstrip(".").lower()
    try:
        return str(ipaddress.ip_address(bare))
    except ValueError:
        return _host(bare)


def _host(name: str) -> str:
    try:
        host = name.encode("idna").decode()
    except UnicodeError:
        host = ""
    if not host or not all(part.replace("-", "").isalnum() for part in host.split(".")):
        raise BadNameError(f"«{name[:80]}» is neither an IP address nor a host name")
    return host


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


# ------------------------------------------------------------------------------------------------ as text


def key_pem(key: Key) -> bytes:
    kind = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, kind, serialization.NoEncryption())


def certificate_pem(certificate: Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def read_key(pem: bytes) -> Key:
    """Raises ValueError for what is no key of ours."""
    key = serialization.load_pem_private_key(pem, None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("not a key of ours")
    return key


def read_certificate(pem: bytes) -> Certificate:
    return x509.load_pem_x509_certificate(pem)


# ------------------------------------------------------------------------------------------------ looking


def is_of(certificate: Certificate, key: Key) -> bool:
    return certificate.public_key() == key.public_key()


def is_vouched_for(certificate: Certificate, by: Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(by)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def lasts(certificate: Certificate, now: datetime) -> timedelta:
    """For how much longer; negative when it is over."""
    return certificate.not_valid_after_utc - now


def served(host: str, port: int, limit_s: float) -> Certificate:
    """What a server shows, whoever signed it. Raises OSError (ssl.SSLError among them)."""
    pem = ssl.get_server_certificate((host, port), timeout=limit_s)
    return read_certificate(pem.encode())
