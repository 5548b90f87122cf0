"""Source text of the whole function: what simple_switch does around parser, ingress, egress and deparser.

Most programs send one packet for one packet; for them the function is straight. A program that uses multicast groups, clones, resubmits
or recirculates gets a second form: egress becomes a loop over copies, and a packet that goes round again is a call of the function by itself.
"""

from collections.abc import Iterator, Mapping

from testbed.softswitch.actions import DROP_PORT
from testbed.softswitch.calculations import checksum
from testbed.softswitch.controls import ControlWriter
from testbed.softswitch.expressions import Expressions
from testbed.softswitch.layout import Layout
from testbed.softswitch.parsers import ParserWriter
from testbed.softswitch.program import Program
from testbed.softswitch.scope import Scope
from testbed.softswitch.source import Source
from testbed.softswitch.tables import ValueSet

MICROSECONDS = "int((now() - start) * 1e6)"
MAX_PASSES = 16
"""How often one packet may be resubmitted, recirculated or cloned from a clone before it is dropped."""
MAX_COPIES = 1024
"""How many copies one packet may become in egress."""

NORMAL, INGRESS_CLONE, EGRESS_CLONE, RECIRCULATED, REPLICATED, RESUBMITTED = 0, 1, 2, 4, 5, 6
"""Values of instance_type, numbered as in simple_switch."""

_JOBS = f"jobs = [(c.port, c.instance, c.length, None) for c in copies[:{MAX_COPIES}]]"
"""What egress has to do: port, instance, length and, of several, the state that each begins with."""

_AROUND = {
    "clone_ingress_pkt_to_egress": "clone",
    "clone_egress_pkt_to_egress": "clone",
    "resubmit": "resubmit",
    "recirculate": "recirculate",
}


def goes_around(program: Program) -> bool:
    """Whether one packet can become none, or several, or go round again."""
    group = program.aliases.get("intrinsic_metadata.mcast_grp", ("standard_metadata", "mcast_grp"))
    for action in program.actions.values():
        for primitive in action.primitives:
            if primitive["op"] in _AROUND:
                return True
            target = primitive["parameters"][0] if primitive["parameters"] else {}
            if target.get("type") == "field" and tuple(target["value"]) == group:
                return True
    return False


class FunctionWriter:
    """Writes `process`.

    Args:
        scope: the variables.
        arrays: names in the generated code of counter, meter and register arrays.
        tables: names in the generated code of tables.
        environment: the global names of the generated code; layouts add to it.
        value_sets: the parser's value sets.
    """

    def __init__(
        self,
        scope: Scope,
        arrays: Mapping[str, str],
        tables: Mapping[str, str],
        environment: dict[str, object],
        value_sets: Mapping[str, ValueSet],
    ) -> None:
        self._value_sets = value_sets
        self._scope = scope
        self._program = scope.program
        self._arrays = arrays
        self._tables = tables
        self._environment = environment
        self._source = Source()
        self._around = goes_around(scope.program)
        self._has_egress = self._program.pipelines["egress"].start is not None

    def write(self) -> str:
        """The text.

        Raises:
            UnsupportedError: a construct that this switch does not run.
        """
        more = ["kind=0", "kept_list=0", "kept=()", "copies=()", "passes=0"] if self._around else []
        # Defaults of parameters are the fastest way to give many local variables a value.
        varbits = set(self._scope.varbits())
        more += [f'{name}=b""' if name in varbits else f"{name}=0" for name in self._scope.variables()]
        with self._source.block(f"def process({', '.join(['p', 'ingress_port', *more])}):"):
            self._begin()
            ParserWriter(self._scope, self._source, self._environment, self._value_sets).write()
            self._after_parser()
            if self._around:
                self._round()
            else:
                self._straight()
        return self._source.text()

    # -- the straight form ---------------------------------------------------------------------------------------------

    def _straight(self) -> None:
        self._control("ingress")
        self._learn()
        spec = self._scope.standard("egress_spec")
        self._source.line(f"if {spec} == {DROP_PORT}: return ()")
        self._source.line(f"out_port = {spec}")
        self._set("instance_type", "0")
        self._before_egress()
        self._control("egress")
        if self._has_egress:
            self._source.line(f"if {spec} == {DROP_PORT}: return ()")
        self._deparse()
        self._source.line("return ((out_port, out),)")

    # -- the form that goes round ----------------------------------------------------------------------------------------

    def _round(self) -> None:
        source = self._source
        source.line("outputs = []")
        with source.block(f"if kind == {INGRESS_CLONE}:"):
            source.lines(f"{name} = 0" for name in self._metadata())
            self._restore()
            self._set("instance_type", "kind")
            source.line(_JOBS)
        with source.block("else:"):
            self._control("ingress")
            self._after_ingress()
        state = f"({', '.join(self._state())},)"
        with source.block("if len(jobs) > 1:"):
            source.line(f"state = {state}")
            source.line("jobs = [(a, b, c, state) for a, b, c, _ in jobs]")
        with source.block("for out_port, rid, limit, state in jobs:"):
            source.line(f"if state is not None: {state} = state")
            source.line("if limit is not None: cut = limit")
            self._set("egress_rid", "rid")
            self._before_egress()
            self._control("egress")
            self._clone_in_egress()
            if self._has_egress:
                source.line(f"if {self._scope.standard('egress_spec')} == {DROP_PORT}: continue")
            self._deparse()
            self._recirculate()
        source.line("return outputs")

    def _after_ingress(self) -> None:
        source, spec, group = self._source, self._scope.standard("egress_spec"), self._scope.standard("mcast_grp")
        with source.block("if clone_id is not None:"):
            source.line("found = session(clone_id & 0x7fff)")
            self._keep("clone_list")
            with source.block(f"if found and passes < {MAX_PASSES}:"):
                source.line(
                    f"outputs += process(p, ingress_port, {INGRESS_CLONE}, clone_list, kept, found, passes + 1)"
                )
            source.line("clone_id = None")
        self._learn()
        with source.block("if resubmit_list is not None:"):
            self._keep("resubmit_list")
            with source.block(f"if passes < {MAX_PASSES}:"):
                source.line(f"outputs += process(p, ingress_port, {RESUBMITTED}, resubmit_list, kept, (), passes + 1)")
            source.line("return outputs")
        word = "if"
        if group:
            with source.block(f"if {group}:"):
                source.line(f"copies = group({group})")
                source.line(_JOBS)
                self._set("instance_type", str(REPLICATED))
            word = "elif"
        source.line(f"{word} {spec} == {DROP_PORT}: return outputs")
        with source.block("else:"):
            source.line(f"jobs = [({spec}, 0, None, None)]")
            self._set("instance_type", "0")

    def _learn(self) -> None:
        """Hand over the values of a digest that an action of the ingress has asked for."""
        if not self._program.learn_lists:
            return
        with self._source.block("if learn_list:"):
            for number, learn in self._program.learn_lists.items():
                expressions = Expressions(self._scope, f"digest {learn.name}")
                values = [expressions.value(element).code for element in learn.elements]
                self._source.line(f"if learn_list == {number}: learn({number}, ({', '.join(values)},))")

    def _clone_in_egress(self) -> None:
        source = self._source
        metadata = set(self._metadata())
        instance = self._scope.standard("instance_type")
        with source.block("if clone_id is not None:"):
            for number, pairs in self._program.field_lists.items():
                fields = {self._scope.field(*pair, "field list")[0] for pair in pairs}
                values = [
                    str(EGRESS_CLONE) if name == instance else name if name not in metadata or name in fields else "0"
                    for name in self._state()
                ]
                source.line(f"if clone_list == {number}: state = ({', '.join(values)},)")
            with source.block(f"if len(jobs) < {MAX_COPIES}:"):
                source.line("jobs += [(c.port, c.instance, c.length, state) for c in session(clone_id & 0x7fff)]")
            source.line("clone_id = None")

    def _recirculate(self) -> None:
        source = self._source
        with source.block("if recirculate_list is not None:"):
            self._keep("recirculate_list")
            with source.block(f"if passes < {MAX_PASSES}:"):
                source.line(
                    f"outputs += process(out, ingress_port, {RECIRCULATED}, recirculate_list, kept, (), passes + 1)"
                )
            source.line("recirculate_list = None")
        source.line("else: outputs.append((out_port, out))")

    def _keep(self, chosen: str) -> None:
        """Leave in `kept` the values of the field list that a packet takes along."""
        self._source.line("kept = ()")
        for number, names in self._lists():
            if names:
                self._source.line(f"if {chosen} == {number}: kept = ({', '.join(names)},)")

    def _restore(self) -> None:
        for number, names in self._lists():
            if names:
                self._source.line(f"if kept_list == {number} and kept: {', '.join(names)}, = kept")

    def _lists(self) -> Iterator[tuple[int, list[str]]]:
        for number, pairs in self._program.field_lists.items():
            yield number, [self._scope.field(*pair, "field list")[0] for pair in pairs]

    def _metadata(self) -> list[str]:
        headers = (h.name for h in self._program.headers.values() if h.metadata)
        return [name for header in headers for name, _ in self._scope.live_fields(header)]

    def _state(self) -> list[str]:
        raws = [self._scope.raw(h.name) for h in self._program.headers.values() if not h.metadata]
        return [*self._scope.variables(), *raws, "length", "cut"]

    # -- shared --------------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        scope, source = self._scope, self._source
        source.line("size = end = length = len(p)")
        source.line("o = 0")
        source.line("cut = bad_checksum = None")
        source.line(f"error = {self._program.errors.get('NoError', 0)}")
        if self._program.learn_lists:
            source.line("learn_list = 0")
        if self._around:
            source.line("clone_id = resubmit_list = recirculate_list = None")
            source.line("clone_list = 0")
            source.lines(f'{scope.raw(h.name)} = b""' for h in self._program.headers.values() if not h.metadata)
        self._set("ingress_port", "ingress_port")
        self._set("packet_length", "size")
        self._set("ingress_global_timestamp", f"{MICROSECONDS} & 0xffffffffffff")
        if self._around:
            with source.block(f"if kind > {INGRESS_CLONE}:"):  # simple_switch forgets the ingress port here
                self._set("ingress_port", "0")
                self._set("instance_type", "kind")
                self._restore()

    def _after_parser(self) -> None:
        for item in self._program.checksums:
            if item.get("verify", True):
                self._source.lines(checksum(self._scope, item, update=False))
        self._set("parser_error", "error")
        self._set("checksum_error", "1 if bad_checksum else 0")

    def _control(self, name: str) -> None:
        pipeline = self._program.pipelines[name]
        ControlWriter(self._scope, self._source, self._arrays, self._tables, pipeline).write()

    def _before_egress(self) -> None:
        """What the traffic manager of simple_switch does between ingress and egress."""
        self._set("egress_port", "out_port")
        self._set("enq_timestamp", f"{MICROSECONDS} & 0xffffffff")
        self._set("egress_global_timestamp", f"{MICROSECONDS} & 0xffffffffffff")
        if self._has_egress:
            self._source.line(f"{self._scope.standard('egress_spec')} = 0")
        self._set("packet_length", "length")

    def _deparse(self) -> None:
        scope, source = self._scope, self._source
        for item in self._program.checksums:
            if item.get("update", True):
                source.lines(checksum(scope, item, update=True))
        source.line('out = b""')
        for name in self._program.deparser:
            encoded, raw = Layout(scope, self._program.headers[name], self._environment).encode(), scope.raw(name)
            text = raw if encoded == raw else f"{encoded} if {scope.dirty(name)} else {raw}"
            source.line(f"if {scope.valid(name)}: out += {text}")
        source.line("out += p[o:]")
        if self._around or any(p["op"] == "truncate" for a in self._program.actions.values() for p in a.primitives):
            source.line("if cut is not None: out = out[:cut]")

    def _set(self, name: str, value: str) -> None:
        variable = self._scope.standard(name)
        if variable is not None:
            self._source.line(f"{variable} = {value}")
