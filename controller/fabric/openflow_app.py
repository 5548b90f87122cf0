"""An os-ken application that makes IPv6 routers of OpenFlow 1.3 switches (see `controller.fabric.openflow` for its lines).

| table | priority | match | what happens |
|---|---|---|---|
| 0 | 300 | Neighbor Solicitation | to the application, which answers for link-local addresses of the ports |
| 0 | 200 | destination is a port's Ethernet address | table 1 |
| 0 | 0 | - | dropped |
| 1 | 100 + length | destination prefix | hop limit less by one, Ethernet addresses of the next hop, out; or a group |
| 1 | 0 | - | dropped |

A group (type select) has next hops of equal cost, of which a flow's hash takes one. When one of them fails, the group is modified, and
no flow entry.

Run it as ``python -m controller.fabric.openflow_app --listen 127.0.0.1:6653``; it needs the extra ``openflow``.
"""

import argparse
import json
import logging
import os
import sys
import threading
from typing import Any, ClassVar, Final, NoReturn

from os_ken import cfg
from os_ken.base.app_manager import AppManager, OSKenApp
from os_ken.controller import ofp_event
from os_ken.controller.handler import CONFIG_DISPATCHER, DEAD_DISPATCHER, MAIN_DISPATCHER, set_ev_cls
from os_ken.ofproto import ofproto_v1_3

from controller.fabric.fields import parse_mac
from controller.fabric.neighbours import answer_solicitation, link_local

_COOKIE: Final = 0x6D636F61
"""Marks flows that are ours."""
_ROUTES: Final = 1
_IPV6: Final = 0x86DD
_IPV4: Final = 0x0800
_NAMED: Final = frozenset({"route", "group"})
"""What is replaced by another of the same prefix or number."""
_LOCK: Final = threading.Lock()


def _tell(**event: object) -> None:
    with _LOCK:
        sys.stdout.write(json.dumps(event) + "\n")
        sys.stdout.flush()


def _towards(parser: Any, port: int, source: str, destination: str) -> list[Any]:  # noqa: ANN401  os-ken has no types
    """Return the actions that send a packet to a next hop."""
    return [
        parser.OFPActionSetField(eth_src=source),
        parser.OFPActionSetField(eth_dst=destination),
        parser.OFPActionOutput(port),
    ]


class TransitApp(OSKenApp):  # type: ignore[misc]  # os-ken has no types
    """Keeps every datapath at what it should hold."""

    OFP_VERSIONS: ClassVar = [ofproto_v1_3.OFP_VERSION]

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  os-ken hands in its own
        super().__init__(*args, **kwargs)
        self._wanted: dict[int, dict[str, Any]] = {}
        self._held: dict[int, set[tuple[Any, ...]]] = {}
        self._datapaths: dict[int, Any] = {}
        self._up: dict[tuple[int, int], bool] = {}
        self._guard = threading.RLock()
        threading.Thread(target=self._read, daemon=True).start()

    # From the parent

    def _read(self) -> NoReturn:
        for line in sys.stdin:
            document = json.loads(line)
            with self._guard:
                self._wanted = {one["id"]: one for one in document["datapaths"]}
                for datapath in list(self._datapaths.values()):
                    self._install(datapath)
        os._exit(0)  # the parent is gone; os-ken's threads would go on

    # From switches

    @set_ev_cls(ofp_event.EventOFPSwitchFeatures, CONFIG_DISPATCHER)  # type: ignore[untyped-decorator]
    def features(self, event: Any) -> None:  # noqa: ANN401  os-ken has no types
        """A datapath is there: give it what it should hold, and ask for its ports."""
        datapath = event.msg.datapath
        parser, protocol = datapath.ofproto_parser, datapath.ofproto
        with self._guard:
            self._datapaths[datapath.id] = datapath
            # What it has of an earlier run may be anything.
            datapath.send_msg(
                parser.OFPFlowMod(
                    datapath,
                    command=protocol.OFPFC_DELETE,
                    table_id=protocol.OFPTT_ALL,
                    out_port=protocol.OFPP_ANY,
                    out_group=protocol.OFPG_ANY,
                )
            )
            datapath.send_msg(
                parser.OFPGroupMod(datapath, protocol.OFPGC_DELETE, protocol.OFPGT_SELECT, protocol.OFPG_ALL, [])
            )
            self._held[datapath.id] = set()
            datapath.send_msg(parser.OFPPortDescStatsRequest(datapath, 0))
            self._install(datapath)
        _tell(event="datapath", id=datapath.id, up=True)

    @set_ev_cls(ofp_event.EventOFPStateChange, DEAD_DISPATCHER)  # type: ignore[untyped-decorator]
    def gone(self, event: Any) -> None:  # noqa: ANN401
        """A datapath has gone."""
        datapath = event.datapath
        with self._guard:
            number = datapath.id
            if number is None or self._datapaths.get(number) is not datapath:
                return
            del self._datapaths[number]
        _tell(event="datapath", id=number, up=False)

    @set_ev_cls(ofp_event.EventOFPPortDescStatsReply, MAIN_DISPATCHER)  # type: ignore[untyped-decorator]
    def ports(self, event: Any) -> None:  # noqa: ANN401
        """The ports of a datapath, as they are."""
        for port in event.msg.body:
            self._port(event.msg.datapath, port)

    @set_ev_cls(ofp_event.EventOFPPortStatus, MAIN_DISPATCHER)  # type: ignore[untyped-decorator]
    def port_status(self, event: Any) -> None:  # noqa: ANN401
        """A port has changed."""
        deleted = event.msg.reason == event.msg.datapath.ofproto.OFPPR_DELETE
        self._port(event.msg.datapath, event.msg.desc, deleted=deleted)

    def _port(self, datapath: Any, port: Any, *, deleted: bool = False) -> None:  # noqa: ANN401
        protocol = datapath.ofproto
        if port.port_no > protocol.OFPP_MAX:
            return
        down = deleted or port.config & protocol.OFPPC_PORT_DOWN or port.state & protocol.OFPPS_LINK_DOWN
        with self._guard:
            if self._up.get((datapath.id, port.port_no)) == (not down):
                return
            self._up[datapath.id, port.port_no] = not down
        _tell(event="port", id=datapath.id, port=port.port_no, up=not down)

    @set_ev_cls(ofp_event.EventOFPErrorMsg, [CONFIG_DISPATCHER, MAIN_DISPATCHER])  # type: ignore[untyped-decorator]
    def refused(self, event: Any) -> None:  # noqa: ANN401
        """A datapath refused something."""
        message = event.msg
        _tell(event="refused", id=message.datapath.id, type=message.type, code=message.code)

    @set_ev_cls(ofp_event.EventOFPPacketIn, MAIN_DISPATCHER)  # type: ignore[untyped-decorator]
    def packet_in(self, event: Any) -> None:  # noqa: ANN401
        """A neighbour asks for an address of a port."""
        message = event.msg
        datapath, port = message.datapath, message.match["in_port"]
        with self._guard:
            macs = dict(map(tuple, self._wanted.get(datapath.id, {}).get("ports", ())))
        if port not in macs:
            return
        mac = parse_mac(macs[port])
        answer = answer_solicitation(message.data, mac, {link_local(mac)})
        if answer is not None:
            parser, protocol = datapath.ofproto_parser, datapath.ofproto
            datapath.send_msg(
                parser.OFPPacketOut(
                    datapath,
                    buffer_id=protocol.OFP_NO_BUFFER,
                    in_port=protocol.OFPP_CONTROLLER,
                    actions=[parser.OFPActionOutput(port)],
                    data=answer,
                )
            )

    # Flows

    def _install(self, datapath: Any) -> None:  # noqa: ANN401
        """Write what differs from what the datapath should hold."""
        wanted = self._wanted.get(datapath.id)
        if wanted is None:
            return
        after = {("neighbours",), *(("station", mac, kind) for _, mac in wanted["ports"] for kind in (_IPV6, _IPV4))}
        after |= {("route", *route) for route in wanted["routes"]}
        after |= {("group", number, *map(tuple, hops)) for number, *hops in wanted["groups"]}
        before = self._held[datapath.id]
        gone = before - after
        # What changed has the same match or number: adding it replaces the old one, so that nothing is ever without.
        replaced = {one[:2] for one in after if one[0] in _NAMED}
        there = {one[1] for one in before if one[0] == "group"}
        for one in after - before:
            if one[0] == "group":
                self._group(datapath, one, "MODIFY" if one[1] in there else "ADD")
        for one in gone:
            if one[0] != "group" and one[:2] not in replaced:
                self._flow(datapath, one, remove=True)
        for one in after - before:
            if one[0] != "group":
                self._flow(datapath, one, remove=False)
        for one in gone:
            if one[0] == "group" and one[:2] not in replaced:
                self._group(datapath, one, "DELETE")
        self._held[datapath.id] = after
        datapath.send_barrier()
        _tell(event="installed", id=datapath.id, added=len(after - before), removed=len(gone))

    @staticmethod
    def _group(datapath: Any, group: tuple[Any, ...], command: str) -> None:  # noqa: ANN401
        """Add, modify or delete a group of next hops, each of the same weight."""
        parser, protocol = datapath.ofproto_parser, datapath.ofproto
        _, number, *hops = group
        buckets = [
            parser.OFPBucket(1, protocol.OFPP_ANY, protocol.OFPG_ANY, _towards(parser, *hop))
            for hop in (hops if command != "DELETE" else ())
        ]
        kind = getattr(protocol, f"OFPGC_{command}")
        datapath.send_msg(parser.OFPGroupMod(datapath, kind, protocol.OFPGT_SELECT, number, buckets))

    @staticmethod
    def _flow(datapath: Any, flow: tuple[Any, ...], *, remove: bool) -> None:  # noqa: ANN401
        parser, protocol = datapath.ofproto_parser, datapath.ofproto
        table, instructions = 0, []
        if flow[0] == "neighbours":
            priority, match = 300, parser.OFPMatch(eth_type=_IPV6, ip_proto=58, icmpv6_type=135)
            actions = [parser.OFPActionOutput(protocol.OFPP_CONTROLLER, protocol.OFPCML_NO_BUFFER)]
            instructions = [parser.OFPInstructionActions(protocol.OFPIT_APPLY_ACTIONS, actions)]
        elif flow[0] == "station":
            priority, match = 200, parser.OFPMatch(eth_type=flow[2], eth_dst=flow[1])
            instructions = [parser.OFPInstructionGotoTable(_ROUTES)]
        else:
            _, prefix, *where = flow
            length = int(prefix.rpartition("/")[2])
            kind, field = (_IPV6, "ipv6_dst") if ":" in prefix else (_IPV4, "ipv4_dst")
            key = {field: prefix} if length else {}
            table, priority, match = _ROUTES, 100 + length, parser.OFPMatch(eth_type=kind, **key)
            way = [parser.OFPActionGroup(*where)] if len(where) == 1 else _towards(parser, *where)
            actions = [parser.OFPActionDecNwTtl(), *way]
            instructions = [parser.OFPInstructionActions(protocol.OFPIT_APPLY_ACTIONS, actions)]
        datapath.send_msg(
            parser.OFPFlowMod(
                datapath,
                cookie=_COOKIE,
                table_id=table,
                command=protocol.OFPFC_DELETE_STRICT if remove else protocol.OFPFC_ADD,
                priority=priority,
                out_port=protocol.OFPP_ANY,
                out_group=protocol.OFPG_ANY,
                match=match,
                instructions=instructions,
            )
        )


def main() -> None:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--listen", default="127.0.0.1:6653", metavar="HOST:PORT")
    options = parser.parse_args()
    host, _, port = options.listen.rpartition(":")
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    cfg.CONF(args=[], project="mcoa")
    cfg.CONF.set_override("ofp_listen_host", host.strip("[]"))
    cfg.CONF.set_override("ofp_tcp_listen_port", int(port))
    _tell(event="listening", port=int(port))
    AppManager.run_apps(["controller.fabric.openflow_app"])


if __name__ == "__main__":
    # os-ken imports the application by its name: what runs there is that module, and this is only its beginning.
    main()
