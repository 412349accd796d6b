# SPDX-License-Identifier: Apache-2.0
"""The TLS certificate of a run's server: made once per folder, pinned by the members.

A member gets the certificate as a file and trusts it and no other; whoever hands it over sees to it that it
is the server's, for example by a signature with the server's member key. Because exactly this certificate is
trusted, no host name is looked at: a server may be reached under any name or address.
"""

from __future__ import annotations

import os
import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from hitoku.errors import InputError

__all__ = ["CERTIFICATE_FILE", "KEY_FILE", "certificate_files", "trusting"]

CERTIFICATE_FILE: Final = "server.crt"
KEY_FILE: Final = "server.key"
_MOST_BYTES: Final = 16 * 1024
_SINCE: Final = datetime(2000, 1, 1, tzinfo=UTC)
_UNTIL: Final = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


def certificate_files(folder: Path) -> tuple[Path, Path]:
    """The certificate and the key in a folder, both PEM; made if one is missing."""
    certificate, key_file = folder / CERTIFICATE_FILE, folder / KEY_FILE
    if not (certificate.exists() and key_file.exists()):
        key = ec.generate_private_key(ec.SECP256R1())
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        _write(key_file, pem, 0o600)
        _write(certificate, _signed(key).public_bytes(Encoding.PEM), 0o644)
    return certificate, key_file


def trusting(certificate: bytes) -> ssl.SSLContext:
    """A client's TLS settings under which exactly one certificate (PEM) is believed.

    Raises:
        InputError: it is no certificate in PEM.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False  # the one certificate that is trusted is the server's, under any name
    try:
        if len(certificate) > _MOST_BYTES:
            raise ValueError
        context.load_verify_locations(cadata=certificate.decode("ascii"))
    except (ValueError, ssl.SSLError):
        raise InputError("the server's certificate is not one certificate in PEM") from None
    return context


def _signed(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hitoku learning server")])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_SINCE)
        .not_valid_after(_UNTIL)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, SHA256())
    )


def _write(path: Path, content: bytes, mode: int) -> None:
    temporary = path.with_name(path.name + ".new")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
