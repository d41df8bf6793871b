"""Keys and revocations come over TLS, from whoever the authorities know."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from doorward.errors import InvalidToken
from doorward.verifier import NotFresh
from tests.verifier.conftest import eventually, verifiers_of
from tests.verifier.issuer import Issuer, an_issuer


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a key and its own certificate, for 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "an issuer of tests")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "issuer.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(secret + certificate.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture
def over_tls(certificate: Path) -> Iterator[Issuer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with an_issuer(tls=context) as issuer:
        yield issuer


def test_an_authority_of_ones_own_is_given_by_a_context(over_tls: Issuer, certificate: Path) -> None:
    tls = ssl.create_default_context(cafile=str(certificate))
    with verifiers_of(over_tls) as a_verifier:
        verifier, token = a_verifier(tls=tls, insecure_http=False), over_tls.a_token()
        verifier.verify(token, revocation="immediate")
        over_tls.revoke()

        def refused() -> bool:
            try:
                verifier.verify(token)
            except InvalidToken:
                return True
            return False

        eventually(refused)


def test_an_issuer_whom_no_authority_knows_is_not_believed(over_tls: Issuer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "doorward.verifier")
    with verifiers_of(over_tls) as a_verifier:
        verifier = a_verifier(insecure_http=False, start_within=timedelta(0))
        eventually(lambda: caplog.text.count("TLS with the issuer fails") == 3)
        with pytest.raises(NotFresh):
            verifier.verify(over_tls.a_token())
    assert over_tls.requests == []
