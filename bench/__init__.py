"""Measurements: ours beside a peer, in the same run, in turns."""
