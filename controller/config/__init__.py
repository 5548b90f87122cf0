"""Settings of the controller: one TOML file, checked as a whole before anything starts."""

from controller.config.endpoint import Endpoint, parse_endpoint
from controller.config.loader import ConfigError, Problem, Settings, load_settings, parse_settings
from controller.config.model import DEFAULT_LISTEN
from controller.config.switches import Switch

__all__ = [
    "DEFAULT_LISTEN",
    "ConfigError",
    "Endpoint",
    "Problem",
    "Settings",
    "Switch",
    "load_settings",
    "parse_endpoint",
    "parse_settings",
]
