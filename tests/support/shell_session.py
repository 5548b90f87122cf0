"""Run by p4runtime-shell's own Python: a controller's session on the embedded switch, with the programs of its tests.

Arguments: address, folder of the programs. Every line that begins with `>` says what came of one step.
"""

import importlib
import sys
from pathlib import Path
from typing import Any


def say(what: str, value: object) -> None:
    sys.stdout.write(f"> {what} {value}\n")
    sys.stdout.flush()


def start(shell: Any, address: str, folder: Path, name: str) -> None:
    files = shell.FwdPipeConfig(str(folder / f"{name}.p4info.txtpb"), str(folder / f"{name}.json"))
    shell.setup(1, address, election_id=(0, 5), config=files, verbose=False)


def tables(shell: Any, address: str, folder: Path) -> None:
    start(shell, address, folder, "tables")
    entry = shell.TableEntry("exact_table")(action="counted_result")
    entry.match["address"], entry.match["tag"] = "1", "1"
    entry.action["result"] = "7"
    entry.insert()
    try:
        entry.insert()
    except Exception as error:  # noqa: BLE001 - the console's own class of exception
        say("refused", type(error).__name__)
    packets = shell.PacketIn()
    shell.PacketOut(bytes.fromhex("63 00000001 0002 01 00 00000000"), egress_port="2", pad="0").send()
    say("entries", sum(1 for _ in shell.TableEntry("exact_table").read()))
    say("ready", "")
    for message in packets.sniff(timeout=30):
        say("packet-in", message.packet.payload.hex()[:2])
        break
    say("counted", next(iter(shell.DirectCounterEntry("exact_counter").read())).packet_count)
    cell = shell.CounterEntry("cells")
    cell.index, cell.packet_count = 3, 9
    cell.modify()
    say("cell", next(c.packet_count for c in shell.CounterEntry("cells").read() if c.index == 3))
    group = shell.MulticastGroupEntry(4)
    group.add(2, 1).add(1, 2)
    group.insert()
    say("groups", sum(1 for _ in shell.MulticastGroupEntry().read()))
    entry.delete()
    say("left", sum(1 for _ in shell.TableEntry("exact_table").read()))
    shell.teardown()


def selectors(shell: Any, address: str, folder: Path) -> None:
    start(shell, address, folder, "selectors")
    for number in (1, 2):
        member = shell.ActionProfileMember("selector")(member_id=number, action="set_result")
        member.action["result"] = str(number)
        member.insert()
    group = shell.ActionProfileGroup("selector")(group_id=1, max_size=12)
    group.add(1, 1).add(2, 3)
    group.insert()
    entry = shell.TableEntry("balanced")
    entry.match["hdr.data.tag"] = "7"
    entry.group_id = 1
    entry.insert()
    say("group", next(iter(shell.TableEntry("balanced").read())).group_id)
    say("members", sum(1 for _ in shell.ActionProfileMember("selector").read()))
    shell.teardown()


def main() -> None:
    shell = importlib.import_module("p4runtime_sh.shell")  # only there in the console's environment
    address, folder = sys.argv[1], Path(sys.argv[2])
    tables(shell, address, folder)
    selectors(shell, address, folder)


if __name__ == "__main__":
    main()
