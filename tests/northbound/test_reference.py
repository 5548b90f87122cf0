"""The generated pages are those of this version, and what the other pages name exists."""

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from controller.cli import app
from controller.northbound import metrics
from fake_control import FakeControl

DOCS = Path(__file__).parent.parent.parent / "docs"
PAGES = ("quickstart.md", "operations.md", "troubleshooting.md")


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference", DOCS / "reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_rest_reference_is_up_to_date(reference: Any) -> None:
    assert (DOCS / "rest.md").read_text() == reference.rest(), "run `make docs`"


def test_the_configuration_reference_is_up_to_date(reference: Any) -> None:
    text = (DOCS / "configuration.md").read_text()
    assert text == reference.configuration(), "run `make docs`"
    assert "| `tokens` |" in text


@pytest.mark.parametrize("page", PAGES)
def test_commands_in_the_pages_exist(page: str) -> None:
    runner = CliRunner()
    text = (DOCS / page).read_text()
    commands = set(re.findall(r"\bmcoa ((?:[a-z][a-z-]+ ?)+)", text))
    assert commands
    for command in commands:
        words = command.split()
        assert any(runner.invoke(app, [*words[:n], "--help"]).exit_code == 0 for n in (2, 1)), command


@pytest.mark.parametrize("page", PAGES)
def test_links_in_the_pages_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", (DOCS / page).read_text()):
        assert (DOCS / target).exists(), target


async def test_dashboard_and_alerts_use_metrics_that_exist() -> None:
    control = FakeControl()
    page = metrics.render(control, await control.switches()).decode()
    known = set(re.findall(r"^# TYPE (mcoa_\w+) ", page, re.MULTILINE))
    known |= (
        {f"{name}_bucket" for name in known} | {f"{name}_count" for name in known} | {f"{name}_sum" for name in known}
    )
    known |= {f"{name}_total" for name in known}
    grafana = json.loads((DOCS / "grafana-dashboard.json").read_text())
    alerts = yaml.safe_load((DOCS / "alerts.yaml").read_text())
    expressions = [target["expr"] for panel in grafana["panels"] for target in panel["targets"]]
    expressions += [rule["expr"] for group in alerts["groups"] for rule in group["rules"]]
    used = {name for text in expressions for name in re.findall(r"mcoa_\w+", text)}
    assert used
    assert used <= known, used - known
