"""What the switches should hold: names of the pipeline, table entries, planner and reconciler. Pure."""
