"""`mcoa switch` as a process: what it prints, how it ends."""

import signal
import subprocess
import sys
from pathlib import Path

import grpc
import pytest
import typer
from cryptography import x509
from finsy.proto import p4r, p4r_grpc
from typer.testing import CliRunner

from softswitch_kit import PROGRAMS
from testbed.cli import switch

MAIN = "import typer; from testbed.cli import switch; app = typer.Typer(); app.command('switch')(switch); app()"
P4INFO, JSON = str(PROGRAMS / "tables.p4info.txtpb"), str(PROGRAMS / "tables.json")


@pytest.fixture
def runner() -> typer.Typer:
    app = typer.Typer()
    app.command("switch")(switch)
    return app


def complains(app: typer.Typer, *arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 2
    assert result.stderr.startswith("mcoa switch: ")
    assert result.stderr.count("\n") == 1
    return result.stderr


BAD: list[tuple[list[str], str]] = [
    (["-i", "nonsense"], "'nonsense' is not a port"),
    (["-i", "1@no-such-if", "--grpc", "127.0.0.1:0"], "no-such-if"),
    (["-i", "1@lo", "-i", "1@lo"], "there is a port 1 already"),
    (["-i", "510@lo"], "CPU port"),
    (["--grpc", "nonsense"], "is not HOST:PORT"),
    (["--grpc", "203.0.113.1:9559"], "203.0.113.1:9559"),
    (["--p4info", P4INFO], "belong together"),
    (["--p4info", P4INFO, "--json", "missing.json"], "cannot read missing.json"),
    (["--p4info", P4INFO, "--json", P4INFO], "not a BMv2 JSON"),
    (["--p4info", JSON, "--json", JSON], "the P4Info cannot be read"),
    (["--tls-key", JSON], "TLS needs"),
    (["--tls-key", "missing.pem", "--tls-certificate", JSON, "--grpc", "127.0.0.1:0"], "cannot read missing.pem"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD, ids=[item[1] for item in BAD])
def test_mistakes_are_one_line_and_exit_2(runner: typer.Typer, arguments: list[str], message: str) -> None:
    assert message in complains(runner, *arguments)


class Process:
    """The command in a process, after its ready line."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", MAIN, "--grpc", "127.0.0.1:0", *arguments], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.ready = self.process.stdout.readline()

    @property
    def address(self) -> str:
        return self.ready.partition("P4Runtime at ")[2].partition(",")[0]

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        code = self.process.wait(10)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_ready_line_service_and_clean_end(number: signal.Signals) -> None:
    process = Process("--p4info", P4INFO, "--json", JSON, "--device-id", "3", "-i", "1@udp:127.0.0.1:0/127.0.0.1:9")
    try:
        assert process.ready.startswith("ready: device 3, 1 ports, P4Runtime at 127.0.0.1:")
        with grpc.insecure_channel(process.address) as channel:
            stub = p4r_grpc.P4RuntimeStub(channel)
            answer = stub.GetForwardingPipelineConfig(p4r.GetForwardingPipelineConfigRequest(device_id=3), timeout=3)
        assert answer.config.p4_device_config == Path(JSON).read_bytes()
    finally:
        code = process.end(number)
    assert code == 0


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    make_certificate(tmp_path)
    return tmp_path


def make_certificate(folder: Path) -> None:
    """A key and a certificate for localhost that signs itself."""
    from datetime import UTC, datetime, timedelta

    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + timedelta(days=1))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    certificate = builder.sign(key, hashes.SHA256())
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


def test_tls_with_client_certificates(certificates: Path) -> None:
    certificate, key = certificates / "cert.pem", certificates / "key.pem"
    files = ["--tls-certificate", str(certificate), "--tls-key", str(key), "--tls-ca", str(certificate)]
    process = Process(*files)
    try:
        target = process.address.replace("127.0.0.1", "localhost")
        mutual = grpc.ssl_channel_credentials(certificate.read_bytes(), key.read_bytes(), certificate.read_bytes())
        with grpc.secure_channel(target, mutual) as channel:
            stub = p4r_grpc.P4RuntimeStub(channel)
            assert stub.Capabilities(p4r.CapabilitiesRequest(), timeout=3).p4runtime_api_version
        one_sided = grpc.ssl_channel_credentials(certificate.read_bytes())
        with grpc.secure_channel(target, one_sided) as channel, pytest.raises(grpc.RpcError):
            p4r_grpc.P4RuntimeStub(channel).Capabilities(p4r.CapabilitiesRequest(), timeout=3)
    finally:
        assert process.end() == 0
