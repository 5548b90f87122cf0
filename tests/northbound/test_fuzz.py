"""Whatever is sent, the answer is a documented one, and nothing is changed by what was refused."""

import asyncio
import json
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.northbound import create_app
from fake_control import OPEN, FakeControl

POLICY = "/v1/nodes/2001:db8:0:1::100/policies/video"

texts = st.text(st.characters(codec=None, exclude_categories=()), max_size=20) | st.sampled_from(["tcp", "1-2", "::/0"])
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
FIELDS = ["source", "destination", "protocol", "source_ports", "destination_ports", "dscp", "flow_label", "spi"]
selectors = st.dictionaries(st.sampled_from(FIELDS) | texts, st.integers(-1, 70_000) | values, max_size=4)
bodies = st.fixed_dictionaries(
    {},
    optional={
        "priority": st.integers(-1, 70_000) | values,
        "bid": st.integers(-1, 70_000) | values,
        "selector": selectors | values,
        "extra": values,
    },
)


APP = create_app(FakeControl(), OPEN)
"""One for all examples: to make one takes longer than to ask it a hundred things."""


def put(control: FakeControl, content: bytes) -> httpx.Response:
    async def send() -> httpx.Response:
        APP.state.control = control
        transport = httpx.ASGITransport(APP)
        async with httpx.AsyncClient(transport=transport, base_url="http://northbound") as client:
            return await client.put(POLICY, content=content, headers={"content-type": "application/json"})

    return asyncio.run(send())


@settings(max_examples=150, deadline=None)
@given(body=bodies)
def test_any_json(body: Any) -> None:
    control = FakeControl()
    answer = put(control, json.dumps(body).encode())
    assert answer.status_code in {201, 422}
    assert bool(control.kept) == (answer.status_code == 201)
    if answer.status_code == 422:
        assert answer.json()["errors"]


@settings(max_examples=50, deadline=None)
@given(content=st.binary(max_size=40))
def test_any_bytes(content: bytes) -> None:
    assert put(FakeControl(), content).status_code in {400, 422}


@pytest.mark.parametrize("depth", [10, 500, 900, 950, 980, 30_000])
@pytest.mark.parametrize("field", ["protocol", "source_ports", "source", "dscp", "colour"])
def test_deep_values(field: str, depth: int) -> None:
    value = "[" * depth + "]" * depth
    content = f'{{"priority": 1, "bid": 1, "selector": {{"{field}": {value}}}}}'.encode()
    assert put(FakeControl(), content).status_code in {400, 422}


@pytest.mark.parametrize(
    "content",
    [
        r'{"priority": 1, "bid": 1, "\ud800": 1}',
        r'{"priority": 1, "bid": 1, "selector": {"\udfff": 1}}',
        r'{"priority": 1, "bid": 1, "selector": {"protocol": "\ud800"}}',
        r'{"priority": 1, "bid": 1, "selector": {"source": "\ud800/64"}}',
    ],
)
def test_half_characters(content: str) -> None:
    assert put(FakeControl(), content.encode()).status_code == 422


def test_a_long_list_of_faults_is_cut() -> None:
    many = {f"field{number}": 1 for number in range(4000)}
    answer = put(FakeControl(), json.dumps({"priority": 1, "bid": 1, **many}).encode())
    assert answer.status_code == 422
    assert len(answer.json()["errors"]) == 20
    assert "and 3995 more" in answer.json()["detail"]


def test_a_long_value_is_not_sent_back() -> None:
    body = {"priority": 1, "bid": 1, "selector": {"protocol": "x" * 50_000, "y" * 10_000: 1}}
    answer = put(FakeControl(), json.dumps(body).encode())
    assert answer.status_code == 422
    assert len(answer.content) < 5000
