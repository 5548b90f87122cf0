"""Commands that the testbed adds to `mcoa`, found by the entry points of the group "mcoa.commands"."""

from testbed.demo.cli import demo
from testbed.softswitch.cli import switch

__all__ = ["demo", "switch"]
