"""The OpenAPI document against the server, by a generator that is not ours: with every role, and without a token."""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.stateful import run_state_machine_as_test
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    ensure_resource_availability,
    ignored_auth,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    use_after_free,
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


STATEFUL = [*CHECKS, use_after_free, ensure_resource_availability, ignored_auth]


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


@pytest.mark.timeout(300)
@pytest.mark.parametrize("role", WHO)
def test_operations_go_on_from_one_another_as_the_links_say(tokens: TokenFile, role: Role | None) -> None:
    headers = {} if role is None else {"Authorization": f"Bearer {tokens.create(f'linked {role}', role)}"}
    app = create_app(FakeControl(), Access(tokens))
    schema = schemathesis.openapi.from_asgi("/openapi.json", app).exclude(path="/v1/events/stream")
    seen = set()
    controls: list[FakeControl] = []

    class Machine(schema.as_state_machine()):  # type: ignore[misc]  # made at run time
        def setup(self) -> None:
            controls.append(FakeControl())
            app.state.control = controls[-1]

        def get_call_kwargs(self, _case: Any) -> dict[str, Any]:
            return {"headers": headers}

        def validate_response(self, response: Any, case: Any, **_more: Any) -> None:
            seen.add((case.operation.path, case.method, response.status_code))
            case.validate_response(response, checks=STATEFUL, headers=headers)

    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=50 if role is Role.ADMIN else 12,
            stateful_step_count=8,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
    statuses = {status for _, _, status in seen}
    assert all(status < 500 or status == 503 for status in statuses)
    if role is None:
        assert {status for path, _, status in seen if path != "/health"} == {401}
    elif role is Role.ADMIN:
        assert any(method == "DELETE" and status == 204 for _, method, status in seen), (
            "something that was made is removed"
        )
    elif role is Role.VIEWER:
        # What is no JSON (400) or has a query that nobody knows (422) is told so before the role is looked at.
        refused = {status for _, method, status in seen if method != "GET"}
        assert 403 in refused
        assert refused <= {400, 401, 403, 422}
    if role in {Role.VIEWER, None}:
        assert not any(control.log for control in controls), "nothing was changed"
