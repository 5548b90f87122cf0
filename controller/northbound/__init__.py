"""The REST northbound: resources for operators, over what the service hands in as `Control`."""
