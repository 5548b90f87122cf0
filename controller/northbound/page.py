"""The API reference as one HTML page, made from the OpenAPI document.

It is complete in itself: a controller often stands where no content delivery network can be reached, and an operator's
page should run nobody else's scripts.
"""

import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any, Final

_STYLE: Final = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
section { border-top: 1px solid #8888; padding: .5rem 0 1rem; }
code, pre { font-family: ui-monospace, monospace; font-size: .9em; }
pre { overflow-x: auto; padding: .75rem; background: #8881; border-radius: .25rem; }
table { border-collapse: collapse; } td, th { text-align: left; padding: .15rem 1.5rem .15rem 0; vertical-align: top; }
.method { display: inline-block; min-width: 4.5rem; font-weight: 700; }
"""


def render(document: Mapping[str, Any]) -> str:
    """Return the page of an OpenAPI document."""
    title = escape(document["info"]["title"])
    body = "\n".join([*_operations(document), *_schemas(document)])
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>'
        f"<h1>{title} {escape(document['info']['version'])}</h1><p>{escape(document['info']['description'])}</p>"
        '<p>For programs: <a href="openapi.json">openapi.json</a></p>'
        f"{body}</body></html>"
    )


def _operations(document: Mapping[str, Any]) -> Iterator[str]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f'<section id="{escape(operation["operationId"])}">'
            yield f'<h2><code><span class="method">{method.upper()}</span> {escape(path)}</code></h2>'
            yield f"<p>{escape(operation.get('description', operation['summary']))}</p>"
            yield from _parameters(operation)
            yield from _answers(operation)
            yield "</section>"


def _parameters(operation: Mapping[str, Any]) -> Iterator[str]:
    rows = [(parameter["name"], parameter.get("description", "")) for parameter in operation.get("parameters", [])]
    content = operation.get("requestBody", {}).get("content", {})
    rows += [("body", _reference(media["schema"])) for media in content.values()]
    if rows:
        cells = "".join(f"<tr><td><code>{escape(name)}</code></td><td>{escape(text)}</td></tr>" for name, text in rows)
        yield f"<table>{cells}</table>"


def _answers(operation: Mapping[str, Any]) -> Iterator[str]:
    yield "<table>"
    for status, response in sorted(operation["responses"].items()):
        kinds = ", ".join(_reference(media.get("schema", {})) for media in response.get("content", {}).values())
        yield f"<tr><td>{status}</td><td>{escape(response['description'])}</td><td>{escape(kinds)}</td></tr>"
    yield "</table>"


def _schemas(document: Mapping[str, Any]) -> Iterator[str]:
    for name, schema in sorted(document.get("components", {}).get("schemas", {}).items()):
        text = escape(json.dumps(schema, indent=2, ensure_ascii=False))
        yield f'<section id="schema-{escape(name)}"><h2>{escape(name)}</h2><pre>{text}</pre></section>'


def _reference(schema: Mapping[str, Any]) -> str:
    """Return the name of the schema that a schema refers to, or nothing."""
    return str(schema.get("$ref", "")).rpartition("/")[2] or " or ".join(
        filter(None, (_reference(choice) for choice in schema.get("anyOf", [])))
    )
