"""Writes docs/rest.md from the OpenAPI document and docs/configuration.md from the settings model; `make docs` runs it."""

import ast
import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from controller.config import model
from controller.config.endpoint import Endpoint
from controller.northbound import Access, Control, create_app

DOCS = Path(__file__).parent
_MADE = "<!-- Made by `make docs`: do not edit. -->\n"


def rest() -> str:
    """Return the REST reference."""
    document = create_app(cast("Control", None), Access()).openapi()
    lines = [_MADE, "# REST reference", "", document["info"]["description"], ""]
    lines += [
        "Requests carry `Authorization: Bearer TOKEN`; `/health`, `/docs` and `/openapi.json` need none. Lists come in pages:",
        "`next` of one is `cursor` of the next. `ETag` of what is shown goes into `If-Match` of what changes it.",
        "",
    ]
    by_tag: dict[str, list[tuple[str, str, Mapping[str, Any]]]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            by_tag.setdefault(operation["tags"][0], []).append((path, method, operation))
    for tag, operations in by_tag.items():
        lines += [f"## {tag.capitalize()}", ""]
        for path, method, operation in operations:
            lines += _operation(path, method, operation)
    lines += ["## Schemas", ""]
    for name, schema in sorted(document["components"]["schemas"].items()):
        lines += _schema(name, schema)
    return "\n".join(lines).rstrip() + "\n"


def _operation(path: str, method: str, operation: Mapping[str, Any]) -> Iterator[str]:
    yield from (f"### {method.upper()} {path}", "", " ".join(operation.get("description", "").split()), "")
    rows = [
        (f"`{one['name']}`", one["in"], one.get("description") or one["schema"].get("description", ""))
        for one in operation.get("parameters", [])
    ]
    body = operation.get("requestBody", {}).get("content", {})
    rows += [("body", "", _kind(media["schema"])) for media in body.values()]
    if rows:
        yield from ("| parameter | in | |", "|---|---|---|")
        yield from (f"| {' | '.join(row)} |" for row in rows)
        yield ""
    yield from ("| status | answer | |", "|---|---|---|")
    for status, response in sorted(operation["responses"].items()):
        kinds = ", ".join(
            filter(None, (_kind(media.get("schema", {})) for media in response.get("content", {}).values()))
        )
        yield f"| {status} | {response['description']} | {kinds} |"
    yield ""


def _schema(name: str, schema: Mapping[str, Any]) -> Iterator[str]:
    yield from (f"### {name}", "", " ".join(schema.get("description", "").split()), "")
    if "enum" in schema:
        yield from (", ".join(f"`{value}`" for value in schema["enum"]), "")
        return
    required = set(schema.get("required", []))
    yield from ("| field | type | |", "|---|---|---|")
    for field, shown in schema.get("properties", {}).items():
        mark = "" if field in required else "?"
        yield f"| `{field}`{mark} | {_kind(shown)} | {shown.get('description', '')} |"
    yield ""


def _kind(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if choices := schema.get("anyOf") or schema.get("oneOf"):
        return " or ".join(filter(None, map(_kind, choices)))
    if schema.get("type") == "array":
        return f"array of {_kind(schema.get('items', {}))}"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    return str(schema.get("type", ""))


def configuration() -> str:
    """Return the configuration reference."""
    lines = [_MADE, "# Configuration reference", ""]
    lines += ["One TOML file; `mcoa check-config FILE` checks it whole. Paths are relative to the file.", ""]
    for section in _sections(model.ConfigFile):
        texts = _texts(section)
        lines += [f"## {' '.join((section.__doc__ or section.__name__).split())}", ""]
        lines += ["| key | type | default | |", "|---|---|---|---|"]
        for name, field in section.model_fields.items():
            kind = _type(field.annotation)
            default = "required" if field.is_required() else _default(field.default)
            lines.append(f"| `{name}` | {kind} | {default} | {texts.get(name, '')} |")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _sections(root: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for name in sorted(vars(model)):
        found = getattr(model, name)
        is_section = inspect.isclass(found) and issubclass(found, BaseModel) and found.__module__ == model.__name__
        if is_section and found is not root and not name.startswith("_"):
            yield found


def _texts(section: type[BaseModel]) -> dict[str, str]:
    """Return the text below each field."""
    (body,) = ast.parse(inspect.getsource(section)).body
    assert isinstance(body, ast.ClassDef)
    texts: dict[str, str] = {}
    for field, after in zip(body.body, body.body[1:], strict=False):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(after, ast.Expr)
            and isinstance(after.value, ast.Constant)
        ):
            texts[field.target.id] = " ".join(str(after.value.value).replace("``", "`").replace("|", "\\|").split())
    return texts


_WORDS: dict[object, str] = {bool: "true or false", int: "integer", float: "number", str: "text"}


def _type(annotation: Any) -> str:  # noqa: ANN401  whatever a field is annotated with
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type(arguments[0])
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if origin is list:
        return f"list of {_type(arguments[0])}"
    if origin in {Union, UnionType}:
        return " or ".join(dict.fromkeys(_type(one) for one in arguments if one is not NoneType))
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return "section"
    return _WORDS.get(annotation, "text")


def _default(value: object) -> str:
    if value is None or value is PydanticUndefined:
        return ""
    if isinstance(value, Endpoint):
        return f"`{value}`"
    return "" if isinstance(value, BaseModel) or value == [] else f"`{value}`"


if __name__ == "__main__":
    (DOCS / "rest.md").write_text(rest(), encoding="utf-8")
    (DOCS / "configuration.md").write_text(configuration(), encoding="utf-8")
