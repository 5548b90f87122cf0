"""The OpenAPI document against the server, by a generator that is not ours: with every role, and without a token."""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from controller.northbound import Access, Role, TokenFile, create_app
from fake_control import FakeControl

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
]
WHO: list[Role | None] = [*Role, None]


class Fresh:
    """An application whose service is a new one for each request: what one did must not be another's excuse."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self._app.state.control = FakeControl()
        await self._app(scope, receive, send)


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> TokenFile:
    return TokenFile(tmp_path_factory.mktemp("tokens") / "tokens.json")


@pytest.fixture(scope="module")
def server(tokens: TokenFile) -> Any:
    app = create_app(FakeControl(), Access(tokens))
    # A stream does not end, and a test client waits for the end.
    return schemathesis.openapi.from_asgi("/openapi.json", Fresh(app)).exclude(path="/v1/events/stream")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("role", WHO)
def test_every_operation_does_what_the_document_says(server: Any, tokens: TokenFile, role: Role | None) -> None:
    headers = {} if role is None else {"Authorization": f"Bearer {tokens.create(role, role)}"}
    seen = set()
    for found in server.get_all_operations():
        operation = found.ok()

        @settings(
            max_examples=12,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def run(case: Any) -> None:
            answer = case.call(headers=headers)
            case.validate_response(answer, checks=CHECKS)
            seen.add(answer.status_code)
            if role is None and case.path != "/health":
                assert answer.status_code == 401

        run()
    assert seen <= {200, 201, 202, 204, 400, 401, 403, 404, 405, 409, 412, 415, 422, 503}
    assert 200 in seen
