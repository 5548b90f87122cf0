"""The REST resources, a module for each kind."""
