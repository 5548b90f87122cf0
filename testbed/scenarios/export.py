"""Prints what Mininet's interpreter has to know of a run, once everything that the run needs is there.

``python -m testbed.scenarios.export TOPOLOGY --switch embedded --scenario FILE`` gives one JSON document.
"""

import argparse
import json
import sys
from pathlib import Path

from controller.fabric.loader import TopologyError, load_topology
from testbed.netns.plan import PlanError, make_plan
from testbed.netns.scripts import core_script, host_script
from testbed.scenarios.cli import UnusableError, check_machine
from testbed.scenarios.fit import check_fits
from testbed.scenarios.model import ScenarioError, load_scenario


def main() -> int:
    """Print the plan and the scripts, or what is wrong with topology, scenario or machine. Return the exit status."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("topology", type=Path)
    parser.add_argument("--switch", default="embedded")
    parser.add_argument("--scenario", type=Path)
    options = parser.parse_args()
    try:
        topology = load_topology(options.topology)
        plan = make_plan(topology)
        scenario = None if options.scenario is None else load_scenario(options.scenario)
        if scenario is not None:
            check_fits(options.scenario, scenario, topology)
        check_machine(scenario, options.switch, topology)
    except (TopologyError, PlanError, ScenarioError, UnusableError) as error:
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
