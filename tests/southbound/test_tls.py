"""Sessions over TLS, with certificates made for the test."""

import datetime as dt
from collections.abc import AsyncIterator
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from controller.southbound.options import TlsFiles
from controller.southbound.states import SessionState
from southbound_world import World, eventually
from testbed.softswitch.switch import SoftSwitch
from testbed.softswitch.switch import TlsFiles as ServerFiles


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """Write a self-signed certificate for the loopback address, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    start = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    signed = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + dt.timedelta(days=3))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = (folder / f"{name}.pem", folder / f"{name}.key")
    paths[0].write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths


@pytest.fixture
def client(tmp_path: Path) -> tuple[Path, Path]:
    return certificate(tmp_path, "client")


@pytest.fixture
def server(tmp_path: Path) -> tuple[Path, Path]:
    return certificate(tmp_path, "server")


@pytest.fixture
async def address(client: tuple[Path, Path], server: tuple[Path, Path]) -> AsyncIterator[str]:
    """A switch that asks for the client's certificate."""
    soft = SoftSwitch()
    yield await soft.start(tls=ServerFiles(certificate=server[0], key=server[1], ca=client[0]))
    await soft.stop()


async def test_both_sides_show_certificates(
    world: World, address: str, client: tuple[Path, Path], server: tuple[Path, Path]
) -> None:
    async with world.running(address, tls=TlsFiles(ca=server[0], certificate=client[0], key=client[1])) as session:
        assert session.state is SessionState.READY


async def test_a_wrong_authority_or_a_missing_file_is_told(
    world: World, address: str, client: tuple[Path, Path], tmp_path: Path
) -> None:
    async with world.running(address, until=None, tls=TlsFiles(ca=client[0])) as session:
        await eventually(lambda: session.last_error is not None)
        assert "UNAVAILABLE" in str(session.last_error)
    async with world.running(address, until=None, tls=TlsFiles(ca=tmp_path / "nowhere.pem")) as session:
        await eventually(lambda: session.last_error is not None)
        assert "nowhere.pem" in str(session.last_error)
