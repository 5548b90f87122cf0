"""The demonstration: a mobile node with three uplinks, its home agent on the embedded switch, and proof of each claim."""
