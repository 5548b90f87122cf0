"""Prints what Mininet's interpreter has to know of a topology: ``python -m testbed.netns.export FILE`` gives one JSON document."""

import argparse
import json
import sys
from pathlib import Path

from controller.fabric.loader import TopologyError, load_topology
from testbed.netns.plan import PlanError, make_plan
from testbed.netns.scripts import core_script, host_script


def main() -> int:
    """Print the plan and the scripts, or what is wrong with the topology. Return the exit status."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("topology", type=Path)
    options = parser.parse_args()
    try:
        plan = make_plan(load_topology(options.topology))
    except (TopologyError, PlanError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    document = {
        "plan": plan.to_json(),
        "core_script": core_script(plan),
        "host_scripts": {host.name: host_script(host) for host in plan.hosts},
    }
    sys.stdout.write(json.dumps(document) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
