"""Our program as a chip with stages would have it, made of the golden one: ports as ternary fields, SPIs in their place.

It is the compiled program for BMv2 with a changed key and a changed parser, so that the embedded switch runs it.
"""

import json
from collections.abc import Mapping
from typing import Any

from finsy.proto import p4i

from controller.dataplane import pipeline as p
from controller.southbound.artefacts import CONFIG_FILE, Artefacts, cookie, load, packaged

_PORTS = ("source_port", "destination_port")


def narrow_info(*, without: tuple[str, ...] = ("spi", "ipv4")) -> Any:
    """Return the P4Info."""
    info = p4i.P4Info()
    info.CopyFrom(load().info)
    (table,) = (table for table in info.tables if table.preamble.alias == p.FLOW_BINDINGS)
    for field in list(table.match_fields):
        if field.name in without:
            table.match_fields.remove(field)
        elif field.name in _PORTS:
            field.match_type = p4i.MatchField.TERNARY
    return info


def narrow_json(*, without: tuple[str, ...] = ("spi", "ipv4")) -> bytes:
    """Return the program to it, as BMv2's compiler would write it."""
    program = json.loads((packaged() / CONFIG_FILE).read_bytes())
    tables = (table for pipeline in program["pipelines"] for table in pipeline["tables"])
    (table,) = (table for table in tables if table["name"].endswith(f".{p.FLOW_BINDINGS}"))
    ports = {field["name"]: field["target"] for field in table["key"] if field["name"] in _PORTS}
    table["key"] = [field for field in table["key"] if field["name"] not in without]
    table["match_type"] = "ternary"
    for field in table["key"]:
        if field["name"] in _PORTS:
            field["match_type"] = "ternary"
    if "spi" in without:
        # ESP begins with the SPI (RFC 4303 section 2), AH has it behind 32 bits (RFC 4302 section 2).
        for name, begin in (("look_at_esp", 0), ("look_at_ah", 32)):
            (state,) = (one for one in program["parsers"][0]["parse_states"] if one["name"].endswith(name))
            state["parser_ops"] = [_look(ports[port], begin + 16 * number) for number, port in enumerate(_PORTS)]
    return json.dumps(program).encode()


def _look(target: list[str], begin: int) -> dict[str, Any]:
    value = {"type": "lookahead", "value": [begin, 16]}
    return {"parameters": [{"type": "field", "value": target}, value], "op": "set"}


def narrow_artefacts() -> Artefacts:
    """Return both."""
    info, config = narrow_info(), narrow_json()
    return Artefacts(info, config, "bmv2-json", cookie(info, config))


def with_sizes(program: Artefacts, sizes: Mapping[str, int]) -> Artefacts:
    """Return a program some of whose tables, by alias, have room for fewer entries."""
    info = p4i.P4Info()
    info.CopyFrom(program.info)
    code = json.loads(program.config)
    tables = {table["name"]: table for pipeline in code["pipelines"] for table in pipeline["tables"]}
    for table in info.tables:
        if table.preamble.alias in sizes:
            table.size = tables[table.preamble.name]["max_size"] = sizes[table.preamble.alias]
    config = json.dumps(code).encode()
    return Artefacts(info, config, program.config_format, cookie(info, config))


def with_egress_drops(program: Artefacts) -> Artefacts:
    """Return a program that counts each dropped packet once more, in the counter of what egress drops."""
    info = p4i.P4Info()
    info.CopyFrom(program.info)
    (drops,) = info.counters
    more = info.counters.add()
    more.CopyFrom(drops)
    more.preamble.id += 1
    more.preamble.name = more.preamble.name.replace(p.DROPS_COUNTER, p.EGRESS_DROPS_COUNTER)
    more.preamble.alias = p.EGRESS_DROPS_COUNTER
    code = json.loads(program.config)
    (array,) = (one for one in code["counter_arrays"] if one["name"] == drops.preamble.name)
    number = 1 + max(one["id"] for one in code["counter_arrays"])
    code["counter_arrays"].append({**array, "name": more.preamble.name, "id": number})
    for action in code["actions"]:
        for count in [one for one in action["primitives"] if one["op"] == "count"]:
            target = {"type": "counter_array", "value": more.preamble.name}
            action["primitives"].append({**count, "parameters": [target, *count["parameters"][1:]]})
    config = json.dumps(code).encode()
    return Artefacts(info, config, program.config_format, cookie(info, config))
