import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from controller.northbound import (
    Access,
    NorthboundServer,
    RateLimit,
    Role,
    ServerError,
    TokenError,
    TokenFile,
    create_app,
)
from fake_control import FakeControl

NODE = "2001:db8:0:1::100"
POLICY = f"/v1/nodes/{NODE}/policies/video"
VIDEO = {"priority": 10, "bid": 2}


class Wall:
    def __init__(self) -> None:
        self.now = 1e9

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def wall() -> Wall:
    return Wall()


@pytest.fixture
def tokens(tmp_path: Path, wall: Wall) -> TokenFile:
    return TokenFile(tmp_path / "tokens.json", wall)


def asking(control: FakeControl, access: Access) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(create_app(control, access)), base_url="http://northbound")


@pytest.fixture
async def client(control: FakeControl, tokens: TokenFile, wall: Wall) -> AsyncIterator[httpx.AsyncClient]:
    async with asking(control, Access(tokens, clock=wall)) as client:
        yield client


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def test_without_a_token_there_is_health_and_the_reference(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    for path, methods in document["paths"].items():
        for method in methods:
            answer = await client.request(method, path.replace("{", "").replace("}", ""))
            assert answer.status_code == (200 if path == "/health" else 401), (method, path)
    assert (await client.get("/docs")).status_code == 200
    for path in ("/", "/v1", "/nothing", "/health/", "/docs/x"):
        answer = await client.get(path)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Bearer realm="mcoa"')
        assert answer.json()["type"] == "urn:mcoa:problem:unauthenticated"


async def test_a_stranger_s_body_is_not_read(client: httpx.AsyncClient) -> None:
    assert (await client.put(POLICY, content=b"x" * 100_000)).status_code == 401


async def test_a_token_is_good_until_it_is_revoked(
    client: httpx.AsyncClient, tokens: TokenFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("controller.northbound.tokens._RECHECK", 0.0)
    token = tokens.create("alice", Role.OPERATOR)
    assert (await client.get("/v1/nodes", headers=bearer(token))).status_code == 200
    assert (await client.get("/v1/nodes", headers={"Authorization": f"bearer   {token}"})).status_code == 200
    # Another process writes the file, as `mcoa token` does.
    TokenFile(tokens.path).revoke("alice")
    answer = await client.get("/v1/nodes", headers=bearer(token))
    assert (answer.status_code, "revoked" in answer.json()["detail"]) == (401, True)


@pytest.mark.parametrize(
    "change", [lambda text: text[:-1], lambda text: text + "x", lambda _: "", lambda _: "mcoa_1_é"]
)
async def test_a_token_is_good_as_a_whole(client: httpx.AsyncClient, tokens: TokenFile, change: object) -> None:
    assert callable(change)
    text = change(tokens.create("alice", Role.ADMIN))
    header = [(b"Authorization", f"Bearer {text}".encode())]
    assert (await client.get("/v1/nodes", headers=header)).status_code == 401
    assert (await client.get("/v1/nodes", headers={"Authorization": "Basic YTpi"})).status_code == 401


async def test_a_token_expires(client: httpx.AsyncClient, tokens: TokenFile, wall: Wall) -> None:
    token = tokens.create("alice", Role.VIEWER, 60)
    wall.now += 59
    assert (await client.get("/v1/nodes", headers=bearer(token))).status_code == 200
    wall.now += 1
    answer = await client.get("/v1/nodes", headers=bearer(token))
    assert (answer.status_code, answer.json()["detail"].startswith("the token 'alice' has expired")) == (401, True)
    # Its name is free again.
    tokens.create("alice", Role.VIEWER)


async def test_roles(client: httpx.AsyncClient, tokens: TokenFile) -> None:
    viewer, operator = (bearer(tokens.create(role, role)) for role in (Role.VIEWER, Role.OPERATOR))
    answer = await client.put(POLICY, json=VIDEO, headers=viewer)
    assert (answer.status_code, answer.json()["detail"]) == (
        403,
        "'viewer' is a viewer: this needs the role operator",
    )
    assert (await client.put(POLICY, json=VIDEO, headers=operator)).status_code == 201
    assert (await client.get(POLICY, headers=viewer)).status_code == 200
    assert (await client.delete(POLICY, headers=viewer)).status_code == 403
    assert (await client.delete(f"/v1/nodes/{NODE}/bindings", headers=viewer)).status_code == 403
    assert (await client.delete(f"/v1/nodes/{NODE}/bindings", headers=operator)).status_code == 204


async def test_anonymous_requests_where_configured(control: FakeControl) -> None:
    async with asking(control, Access(anonymous=Role.VIEWER)) as client:
        assert (await client.get("/v1/nodes")).status_code == 200
        assert (await client.put(POLICY, json=VIDEO)).status_code == 403
        # A wrong token is not as good as none.
        assert (await client.get("/v1/nodes", headers=bearer("mcoa_1_2"))).status_code == 401


async def test_each_token_has_its_rate(control: FakeControl, tokens: TokenFile) -> None:
    wall = Wall()
    one, other = (bearer(tokens.create(name, Role.VIEWER)) for name in ("one", "other"))
    async with asking(control, Access(tokens, limit=RateLimit(2, 3, wall))) as client:
        statuses = [(await client.get("/v1/nodes", headers=one)).status_code for _ in range(4)]
        assert statuses == [200, 200, 200, 429]
        answer = await client.get("/v1/nodes", headers=one)
        assert answer.headers["retry-after"] == "1"
        assert (await client.get("/v1/nodes", headers=other)).status_code == 200
        wall.now += 0.5
        assert (await client.get("/v1/nodes", headers=one)).status_code == 200


def test_the_file_holds_no_token_and_is_private(tokens: TokenFile) -> None:
    secret = tokens.create("alice", Role.ADMIN)
    text = tokens.path.read_text()
    assert secret not in text
    assert secret.split("_", 2)[2] not in text
    assert tokens.path.stat().st_mode & 0o077 == 0
    assert [(one.name, one.role) for one in tokens.all()] == [("alice", Role.ADMIN)]
    with pytest.raises(TokenError, match="there is a token 'alice'"):
        tokens.create("alice", Role.VIEWER)
    with pytest.raises(TokenError, match="no token is named 'bob'"):
        tokens.revoke("bob")


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"version": 2, "tokens": []}', '{"version": 1, "tokens": [{"id": 1}]}']
)
async def test_a_damaged_file_lets_nobody_in_and_costs_nobody_a_token(
    client: httpx.AsyncClient, tokens: TokenFile, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("controller.northbound.tokens._RECHECK", 0.0)
    token = tokens.create("alice", Role.VIEWER)
    assert (await client.get("/v1/nodes", headers=bearer(token))).status_code == 200
    tokens.path.write_text(text)
    with pytest.raises(TokenError, match=r"tokens.json: "):
        tokens.all()
    # What was good before stays good: an operator who damages the file is not locked out of the running controller.
    assert (await client.get("/v1/nodes", headers=bearer(token))).status_code == 200
    assert tokens.error is not None
    with pytest.raises(TokenError):
        tokens.create("bob", Role.VIEWER)


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(TokenError, match="cannot be opened"):
        TokenFile(tmp_path / "none" / "tokens.json").create("alice", Role.VIEWER)


def certificate(folder: Path) -> tuple[Path, Path]:
    """Make a certificate for localhost with the `cryptography` package."""
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    chain, private = folder / "server.pem", folder / "server.key"
    chain.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return chain, private


async def test_tls(control: FakeControl, tmp_path: Path) -> None:
    chain, private = certificate(tmp_path)
    server = NorthboundServer(create_app(control, Access()), "localhost", 0, (chain, private))
    await server.start()
    try:
        assert server.url.startswith("https://localhost:")
        trust = ssl.create_default_context(cafile=str(chain))
        async with httpx.AsyncClient(verify=trust, trust_env=False) as client:
            assert (await client.get(f"{server.url}/health")).status_code == 200
    finally:
        await server.stop()
    private.write_text("nothing")
    with pytest.raises(ServerError, match="cannot be used for TLS"):
        NorthboundServer(create_app(control, Access()), "localhost", 0, (chain, private))
