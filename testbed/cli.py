"""Commands that the testbed adds to `mcoa`, found by the entry points of the group "mcoa.commands"."""

from testbed.demo.cli import demo
from testbed.lab_command import lab
from testbed.node.cli import app as node
from testbed.scenarios.cli import scenario
from testbed.softswitch.cli import switch
from testbed.topology.cli import app as topology

__all__ = ["demo", "lab", "node", "scenario", "switch", "topology"]
