from collections.abc import Iterable

import httpx
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from controller.northbound import metrics
from controller.northbound.exposition import to_text
from fake_control import FakeControl


async def test_the_page_says_what_the_library_says(client: httpx.AsyncClient, control: FakeControl) -> None:
    registry = CollectorRegistry()

    class Known(Collector):
        def collect(self) -> Iterable[Metric]:
            return list(metrics.families(control, control.known_switches))

    registry.register(Known())
    page = (await client.get("/metrics")).text
    expected = generate_latest(registry).decode()
    assert len(page.splitlines()) > 50
    assert list(text_string_to_metric_families(page)) == list(text_string_to_metric_families(expected))


def test_any_label_and_any_number_can_be_told() -> None:
    odd = 'a "quoted" back\\slash\nand ümlaut'
    gauge = GaugeMetricFamily("odd", "Help with a \\ and\na second line.", labels=["a", "b"])
    gauge.add_metric([odd, ""], float("inf"))
    gauge.add_metric(["large", "x"], 12345678901)
    counter = CounterMetricFamily("things", "Things.", value=1e300)
    shown = list(text_string_to_metric_families(to_text([gauge, counter]).decode()))
    assert [family.type for family in shown] == ["gauge", "counter"]
    assert shown[0].documentation == gauge.documentation
    assert [(one.labels, one.value) for one in shown[0].samples] == [
        ({"a": odd, "b": ""}, float("inf")),
        ({"a": "large", "b": "x"}, 12345678901.0),
    ]
    assert [(one.name, one.value) for one in shown[1].samples] == [("things_total", 1e300)]
