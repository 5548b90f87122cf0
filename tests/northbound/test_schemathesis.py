"""The OpenAPI document against the server, by a generator that is not ours: every check that it has, with every role, and
without a token."""

import ipaddress
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import run_state_machine_as_test
from schemathesis.engine import events, from_schema

from controller.northbound import Access, Role, TokenFile, create_app
from fake_control import FakeControl

WHO: list[Role | None] = [*Role, None]

NOT_SAID = (
    "is not an IPv6 prefix",  # the formats of JSON Schema do not have it; programs that know ours make good ones
    "prefixes overlap",  # JSON Schema compares the items of an array for equality only
    "a BID is named twice",  # in `shares`: it compares whole items
    "begins above its end",  # it does not compare the two numbers in a text
    "not_after is not after not_before",  # nor two fields
    "both directions have the same key",  # nor those
    "years are 1 to 9999",  # nor knows that an offset leads out of them
    "the node identifier has",  # it counts characters, not octets
    "is required: the node has none yet",  # it knows nothing of what there is
)
"""Why a body may be refused that fits its schema."""

# A valid body may be turned down for what the resource is: 412 besides the statuses that the tool thinks of.
ACCEPTED = ["2xx", "401", "403", "404", "409", "412", "503"]


def _prefix(number: int, length: int) -> str:
    return str(ipaddress.IPv6Network((number >> (128 - length) << (128 - length), length)))


schemathesis.openapi.format(
    "ipv6-prefix", st.builds(_prefix, st.integers(0, 2**128 - 1), st.integers(min_value=0, max_value=128))
)


class Fresh:
    """An application whose service is a new one for each request: what one did must not be another's excuse."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self.controls: list[FakeControl] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.controls.append(FakeControl())
        self._app.state.control = self.controls[-1]
        await self._app(scope, receive, send)


def described(app: Any, headers: dict[str, str], **more: Any) -> Any:
    """The document of an application."""
    config = schemathesis.Config.from_dict(
        {"headers": headers, "checks": {"positive_data_acceptance": {"expected-statuses": ACCEPTED}}, **more}
    )
    # A stream does not end, and a test client waits for the end.
    schema = schemathesis.openapi.from_asgi("/openapi.json", app, config=config).exclude(path="/v1/events/stream")

    @schema.hook
    def filter_failure(_context: Any, failure: Any, _case: Any, response: Any) -> bool:
        unsaid = response.status_code == 422 and any(reason in response.text for reason in NOT_SAID)
        return not (unsaid and type(failure).__name__ == "RejectedPositiveData")

    return schema


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> TokenFile:
    return TokenFile(tmp_path_factory.mktemp("tokens") / "tokens.json")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("role", WHO)
def test_every_operation_does_what_the_document_says(tokens: TokenFile, role: Role | None) -> None:
    headers = {} if role is None else {"Authorization": f"Bearer {tokens.create(role, role)}"}
    fresh = Fresh(create_app(FakeControl(), Access(tokens)))
    generation = {"max-examples": 12, "deterministic": True, "database": "none"}
    schema = described(fresh, headers, seed=1, generation=generation)
    # What may be done is the same question for all; random bodies are for whoever they get to.
    schema.config.phases.update(phases=["examples", "coverage", *(["fuzzing"] if role is Role.ADMIN else [])])
    seen = set()
    checked = set()
    wrong = []
    for event in from_schema(schema).execute():
        assert not isinstance(event, events.NonFatalError | events.FatalError), event
        if isinstance(event, events.ScenarioFinished):
            for number, interaction in event.recorder.interactions.items():
                if interaction.response is not None:
                    seen.add((event.recorder.cases[number].value.operation.path, interaction.response.status_code))
            for checks in event.recorder.checks.values():
                checked |= {check.name for check in checks}
                wrong += [
                    f"{check.failure_info.failure}\n{check.failure_info.code_sample}"
                    for check in checks
                    if check.failure_info is not None
                ]
    assert not wrong, "\n\n".join(wrong)
    assert checked >= {
        "negative_data_rejection",
        "positive_data_acceptance",
        "missing_required_header",
        "unsupported_method",
        "allow_header_conformance",
        "object_level_authorization",
    }
    statuses = {status for _, status in seen}
    assert 200 in statuses
    assert statuses <= {200, 201, 202, 204, 400, 401, 403, 404, 405, 409, 412, 415, 422, 503}
    if role is None:
        assert {status for path, status in seen if path != "/health"} == {401}
    if role in {Role.VIEWER, None}:
        assert not any(control.log for control in fresh.controls), "nothing was changed"


@pytest.mark.timeout(300)
@pytest.mark.parametrize("role", WHO)
def test_operations_go_on_from_one_another_as_the_links_say(tokens: TokenFile, role: Role | None) -> None:
    headers = {} if role is None else {"Authorization": f"Bearer {tokens.create(f'linked {role}', role)}"}
    app = create_app(FakeControl(), Access(tokens))
    schema = described(app, headers)
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
            case.validate_response(response, headers=headers)

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
