import json
from typing import Any

import httpx
import pytest

from controller.northbound import create_app
from fake_control import OPEN, FakeControl

METHODS = {"get", "put", "post", "delete"}


@pytest.fixture
def document(control: FakeControl) -> dict[str, Any]:
    found: dict[str, Any] = create_app(control, OPEN).openapi()
    return found


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(path, method, entry) for path, methods in document["paths"].items() for method, entry in methods.items()]


def resolve(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    name = schema.get("$ref", "").rpartition("/")[2]
    found: dict[str, Any] = document["components"]["schemas"][name] if name else schema
    return found


async def test_examples_of_the_document_work_in_every_operation(
    client: httpx.AsyncClient, document: dict[str, Any]
) -> None:
    order = {"put": 0, "post": 1, "get": 2, "delete": 3}
    # A node that is gone has nothing more to show; a stream does not end.
    found = [one for one in operations(document) if not one[0].endswith("/stream")]
    for path, method, entry in sorted(
        found, key=lambda one: (order[one[1]], one[0].endswith("/provision"), -len(one[0]))
    ):
        assert method in METHODS
        url = path
        for parameter in entry.get("parameters", []):
            if parameter["in"] != "path":
                assert not parameter["required"]
                continue
            example = next(iter(parameter.get("examples") or parameter["schema"]["examples"]))
            url = url.replace(f"{{{parameter['name']}}}", str(example))
        body = None
        if "requestBody" in entry:
            schema = resolve(document, entry["requestBody"]["content"]["application/json"]["schema"])
            body = schema.get("examples", [{}])[0]
        answer = await client.request(method, url, json=body)
        assert answer.is_success, f"{method} {url}: {answer.text}"
        assert str(answer.status_code) in entry["responses"]
        if answer.status_code != 204 and path != "/metrics":
            shown = entry["responses"][str(answer.status_code)]["content"]["application/json"]["schema"]
            schema = resolve(document, shown.get("anyOf", [shown])[0])
            assert set(answer.json()) == set(schema["properties"]), f"{method} {url}"


def test_failures_are_documented_as_problems(document: dict[str, Any]) -> None:
    for path, method, entry in operations(document):
        failures = {status: response for status, response in entry["responses"].items() if int(status) >= 400}
        assert "422" in failures, f"{method} {path}"
        assert "404" in failures or "{" not in path or method == "put"
        assert ("401" in failures) == (path != "/health"), path
        for response in failures.values():
            assert list(response["content"]) == ["application/problem+json"]
            assert resolve(document, response["content"]["application/problem+json"]["schema"])["title"] == "Problem"
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_every_field_that_is_shown_has_a_type(document: dict[str, Any]) -> None:
    for name, schema in document["components"]["schemas"].items():
        for field, shown in schema.get("properties", {}).items():
            assert {"type", "anyOf", "$ref", "allOf"} & set(shown), f"{name}.{field}"


async def test_the_document_and_its_page_are_served(client: httpx.AsyncClient, document: dict[str, Any]) -> None:
    assert json.loads((await client.get("/openapi.json")).text) == document
    page = await client.get("/docs")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    for path, _, _ in operations(document):
        assert path in page.text
    assert "<script" not in page.text
    assert "http://" not in page.text
    assert "https://" not in page.text
