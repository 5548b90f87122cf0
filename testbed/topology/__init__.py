"""Topology files for people: checked, listed, drawn."""
