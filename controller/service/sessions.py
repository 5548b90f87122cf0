"""From the configuration of a switch to the options of its session."""

from controller.config import Settings
from controller.southbound.journal import Journal
from controller.southbound.options import Foreign, SessionOptions, TlsFiles
from controller.southbound.targets import target


def session_options(settings: Settings, name: str, journal: Journal | None) -> SessionOptions:
    """Return what the session with a switch is told.

    Args:
        settings: the configuration, which has the switch.
        name: its name.
        journal: keeps what is written.
    """
    switch = next(switch for switch in settings.switches if switch.name == name)
    return SessionOptions(
        name,
        str(switch.address),
        switch.device_id,
        target(switch.target),
        switch.role,
        None if switch.ca is None else TlsFiles(switch.ca, switch.certificate, switch.private_key),
        switch.takeover,
        Foreign(switch.foreign),
        settings.controller.audit_interval_s,
        copy_port=switch.copy_port,
        journal=journal,
    )
