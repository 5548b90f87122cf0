"""The Prometheus page: a few numbers of the whole, made from the same views as the resources."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from controller.northbound.control import NodeState, NodeView, SwitchState, SwitchView


class _Families(Collector):
    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def render(
    nodes: Sequence[NodeView], switches: Sequence[SwitchView], signalling: Mapping[str, int], uptime: float
) -> bytes:
    """Return the page in the text format of Prometheus.

    Args:
        nodes: every mobile node.
        switches: every switch.
        signalling: how often each thing happened to signalling, by name.
        uptime: of the controller, in seconds.
    """
    registry = CollectorRegistry()
    registry.register(_Families([*_controller(nodes, uptime), _signalling(signalling), *_switches(switches)]))
    return generate_latest(registry)


def _controller(nodes: Sequence[NodeView], uptime: float) -> Iterable[Metric]:
    yield GaugeMetricFamily("mcoa_uptime_seconds", "Seconds since the controller was started.", uptime)
    states = Counter(node.state for node in nodes)
    by_state = GaugeMetricFamily("mcoa_nodes", "Mobile nodes by state.", labels=["state"])
    for state in NodeState:
        by_state.add_metric([state], states[state])
    yield by_state
    bindings = sum(len(node.bindings) for node in nodes)
    yield GaugeMetricFamily("mcoa_bindings", "Bindings in the binding cache.", bindings)


def _signalling(counted: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(
        "mcoa_signalling",
        "Signalling since the start: received, accepted, committed, refused_<status>, dropped_<reason>, and so on.",
        labels=["event"],
    )
    for name, count in sorted(counted.items()):
        family.add_metric([name], count)
    return family


def _switches(switches: Sequence[SwitchView]) -> Iterable[Metric]:
    ready = GaugeMetricFamily("mcoa_switch_ready", "1 while the session with the switch is ready.", labels=["switch"])
    in_sync = GaugeMetricFamily("mcoa_switch_in_sync", "1 while its tables are as wanted.", labels=["switch"])
    entries = GaugeMetricFamily("mcoa_table_entries", "Entries in a table.", labels=["switch", "table"])
    sizes = GaugeMetricFamily("mcoa_table_size", "Entries a table was made for.", labels=["switch", "table"])
    packets = CounterMetricFamily("mcoa_dropped_packets", "Dropped packets.", labels=["switch", "reason"])
    octets = CounterMetricFamily("mcoa_dropped_bytes", "Bytes of dropped packets.", labels=["switch", "reason"])
    repaired = CounterMetricFamily(
        "mcoa_repaired_entries", "Entries that had drifted and were put right.", labels=["switch"]
    )
    suspicions = GaugeMetricFamily(
        "mcoa_switch_suspicions", "Things it said lately that cannot be true.", labels=["switch"]
    )
    for switch in switches:
        repaired.add_metric([switch.name], switch.repaired)
        suspicions.add_metric([switch.name], len(switch.suspicions))
        ready.add_metric([switch.name], switch.state is SwitchState.READY)
        in_sync.add_metric([switch.name], switch.in_sync)
        for table in switch.tables:
            entries.add_metric([switch.name, table.name], table.entries)
            sizes.add_metric([switch.name, table.name], table.size)
        for reason, traffic in switch.drops.items():
            packets.add_metric([switch.name, reason], traffic.packets)
            octets.add_metric([switch.name, reason], traffic.bytes)
    yield from (ready, in_sync, entries, sizes, packets, octets, repaired, suspicions)
