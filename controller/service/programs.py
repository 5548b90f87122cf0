"""What the programs of the switches allow: how flows are said, how many nodes there may be, and whether the static entries fit."""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final, Self

from controller.config import Settings
from controller.dataplane.entries import Entry
from controller.dataplane.flows import PolicyError, validate_policy
from controller.dataplane.ids import MAX_ID
from controller.mobility.address import format_address
from controller.mobility.expansion import FULL, ExpansionError, KeyShape, expand
from controller.mobility.flows import FlowPolicy, FlowSelector
from controller.mobility.model import NodeRecord
from controller.southbound.artefacts import Artefacts
from controller.southbound.flow_fields import FlowFields
from controller.southbound.requirements import number_bits

LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Programs:
    """The program of each switch, and what all anchors together can do: every one of them has the same entries of nodes."""

    by_switch: dict[str, Artefacts]
    flow_keys: KeyShape = FULL
    highest_number: int = MAX_ID
    """Of nodes and of paths."""

    @classmethod
    def of(cls, settings: Settings, packaged: Artefacts) -> Self:
        """Return those of the switches in a configuration.

        Args:
            settings: the configuration.
            packaged: the program of switches that have none of their own.
        """
        found = {switch.name: settings.programs.get(switch.name, packaged) for switch in settings.switches}
        infos = [program.info for name, program in found.items() if name in settings.topology.anchors]
        shapes = [FlowFields(info).shape for info in infos]
        keys = KeyShape(
            all(shape.port_ranges for shape in shapes),
            all(shape.spi for shape in shapes),
            all(shape.ip_version for shape in shapes),
        )
        return cls(found, keys, min((2 ** number_bits(info) - 1 for info in infos), default=MAX_ID))

    def overflow(self, switch: str, entries: Iterable[Entry]) -> str | None:
        """Return which table is too small for the static entries of a switch; None: all have room."""
        counts = Counter(entry.table for entry in entries)
        for table in self.by_switch[switch].info.tables:
            name, size = table.preamble.alias, int(table.size)
            if counts[name] > size:
                return f"the program of {switch} has room for {size} entries in table {name}, {counts[name]} are needed"
        return None

    # What was stored while there were other switches.

    def carried(self, record: NodeRecord) -> NodeRecord:
        """Return a record without those signalled flows that the switches cannot carry."""
        flows = tuple(flow for flow in record.flows if self._fits(flow.selector))
        if len(flows) == len(record.flows):
            return record
        gone = sorted({flow.fid for flow in record.flows} - {flow.fid for flow in flows})
        LOG.warning("the switches cannot carry flows %s of %s: they go", gone, format_address(record.home_address))
        return replace(record, flows=flows)

    def _fits(self, selector: FlowSelector) -> bool:
        try:
            expand(selector, shape=self.flow_keys)
        except ExpansionError:
            return False
        return True

    def enforceable(self, policies: Iterable[FlowPolicy]) -> Iterator[FlowPolicy]:
        """Yield the policies that the switches can carry out. The others wait to be changed or deleted."""
        for policy in policies:
            try:
                validate_policy(policy, self.flow_keys)
            except PolicyError as error:
                text = "policy %s of %s is not in force: %s"
                LOG.error(text, policy.name, format_address(policy.home_address), error)  # noqa: TRY400 - it says it all
            else:
                yield policy
