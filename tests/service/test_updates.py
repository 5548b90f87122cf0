"""Dry runs show table updates in names, and addresses as addresses."""

import pytest

from controller.dataplane import pipeline as p
from controller.dataplane.entries import Entry, Op, Update
from controller.mobility.address import parse_address
from controller.northbound.policy_models import Preview
from controller.northbound.views import TableUpdate
from controller.service.updates import described

NODE, CARE_OF = parse_address("2001:db8:0:1::100"), parse_address("2001:db8:a1::100")
MAC = 0x0242AC110002

CASES = [
    (
        Entry(p.TUNNELS, (1, 2), p.ENCAP_IPV6, (1, int.from_bytes(CARE_OF), 1400)),
        {"node_id": "1", "bid": "2"},
        {"home_agent_id": 1, "destination": "2001:db8:a1::100", "mtu": 1400},
    ),
    (
        Entry(p.TUNNELS, (1, 2), p.HOME_LINK, (4, MAC, 0xA)),
        {"node_id": "1", "bid": "2"},
        {"port": 4, "source_mac": "02:42:ac:11:00:02", "destination_mac": "00:00:00:00:00:0a"},
    ),
    (
        Entry(p.HOME_ADDRESSES, (int.from_bytes(NODE),), p.MOBILE_NODE, (7,)),
        {"destination": "2001:db8:0:1::100"},
        {"node_id": 7},
    ),
    (Entry(p.MULTICAST_GROUPS, (9,), "copy", (1, 3)), {"group_id": "9"}, {"bid_1": 1, "bid_2": 3}),
]


@pytest.mark.parametrize(("entry", "match", "params"), CASES)
def test_an_update_in_names(entry: Entry, match: dict[str, str], params: dict[str, int | str]) -> None:
    update = described(Update(Op.MODIFY, entry))
    assert update == TableUpdate("modify", entry.table, match, entry.action, params)
    assert Preview.of([update]).model_dump()["updates"][0]["params"] == params
