"""The Prometheus page: a few numbers of the whole, made from the same views as the resources."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from controller.northbound.control import Control, NodeState
from controller.northbound.switch_views import SwitchState, SwitchView
from controller.northbound.views import Stages

_GAUGES: Final = {
    "commit_queue": "Changes that wait for store and switches.",
    "unsent_packets": "Packets for which no switch was in service.",
}


class _Families(Collector):
    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def render(control: Control, switches: Sequence[SwitchView]) -> bytes:
    """Return the page in the text format of Prometheus.

    Args:
        control: the controller.
        switches: every switch.
    """
    registry = CollectorRegistry()
    families = [*_controller(control), _signalling(control.signalling()), *_switches(switches), *_links(control)]
    registry.register(_Families([*families, _stages(control.stages())]))
    return generate_latest(registry)


def _controller(control: Control) -> Iterable[Metric]:
    health = control.health()
    yield GaugeMetricFamily("mcoa_uptime_seconds", "Seconds since the controller was started.", health.uptime)
    yield GaugeMetricFamily("mcoa_problems", "What /health tells an operator to look at.", len(health.problems))
    census = control.census()
    by_state = GaugeMetricFamily("mcoa_nodes", "Mobile nodes by state.", labels=["state"])
    by_state.add_metric([NodeState.REGISTERED], census.registered)
    by_state.add_metric([NodeState.PROVISIONED], census.provisioned)
    by_state.add_metric([NodeState.DEREGISTERED], census.deregistered)
    yield by_state
    yield GaugeMetricFamily("mcoa_bindings", "Bindings in the binding cache.", census.bindings)
    yield GaugeMetricFamily("mcoa_flow_bindings", "Flow bindings that nodes have signalled.", census.flows)
    yield GaugeMetricFamily("mcoa_policies", "Flow policies of operators.", census.policies)
    yield GaugeMetricFamily("mcoa_draining", "1 while nodes are sent elsewhere.", control.drain() is not None)
    for name, value in sorted(control.gauges().items()):
        yield GaugeMetricFamily(f"mcoa_{name}", _GAUGES.get(name, name.replace("_", " ")), value)


def _stages(stages: Stages) -> Metric:
    family = HistogramMetricFamily(
        "mcoa_stage_seconds",
        "Time of registrations by stage: decode, decide, store, program, acknowledge; total: from arrival to acknowledgement.",
        labels=["stage"],
    )
    for stage, counts in stages.counts.items():
        running = list(accumulate(counts))
        bounds = [*(str(bound) for bound in stages.bounds), "+Inf"]
        family.add_metric([stage], list(zip(bounds, running, strict=True)), stages.sums[stage])
    return family


def _signalling(counted: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(
        "mcoa_signalling",
        "Signalling since the start: received, accepted, committed, refused_<status>, dropped_<reason>, and so on.",
        labels=["event"],
    )
    for name, count in sorted(counted.items()):
        family.add_metric([name], count)
    return family


def _links(control: Control) -> Iterable[Metric]:
    up = GaugeMetricFamily("mcoa_link_up", "1 while both ends are there and it carries frames.", labels=["a", "b"])
    for link in control.topology(()).links:
        up.add_metric([link.a, link.b], link.up)
    refused = CounterMetricFamily(
        "mcoa_refused_hellos", "Frames of link discovery that did not count: nobody may make them.", labels=["reason"]
    )
    for reason, count in sorted(control.refused_hellos().items()):
        refused.add_metric([reason], count)
    yield from (up, refused)


def _switches(switches: Sequence[SwitchView]) -> Iterable[Metric]:
    ready = GaugeMetricFamily("mcoa_switch_ready", "1 while the session with the switch is ready.", labels=["switch"])
    state = GaugeMetricFamily(
        "mcoa_switch_state", "1 for the state of the session with the switch.", labels=["switch", "state"]
    )
    in_sync = GaugeMetricFamily("mcoa_switch_in_sync", "1 while its tables are as wanted.", labels=["switch"])
    drift = GaugeMetricFamily(
        "mcoa_switch_drift", "Entries that differed when last compared with what is desired.", labels=["switch"]
    )
    queue = CounterMetricFamily(
        "mcoa_switch_queue_dropped",
        "Packets to a switch, and digests of it, that found a queue full.",
        labels=["switch"],
    )
    waiting = GaugeMetricFamily(
        "mcoa_switch_queue", "Packets, or writes, that wait for a switch or from it.", labels=["switch", "queue"]
    )
    punts = CounterMetricFamily(
        "mcoa_punted_packets", "Packets that a switch handed to the controller.", labels=["switch", "reason"]
    )
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
        drift.add_metric([switch.name], switch.drift)
        queue.add_metric([switch.name], switch.queue_drops)
        for one in SwitchState:
            state.add_metric([switch.name, one], switch.state is one)
        for name, length in switch.queues._asdict().items():
            waiting.add_metric([switch.name, name], length)
        for reason, count in sorted(switch.punts.items()):
            punts.add_metric([switch.name, reason], count)
        for table in switch.tables:
            entries.add_metric([switch.name, table.name], table.entries)
            sizes.add_metric([switch.name, table.name], table.size)
        for reason, traffic in switch.drops.items():
            packets.add_metric([switch.name, reason], traffic.packets)
            octets.add_metric([switch.name, reason], traffic.bytes)
    yield from (ready, state, in_sync, drift, repaired, queue, waiting, punts)
    yield from (entries, sizes, packets, octets, suspicions)
