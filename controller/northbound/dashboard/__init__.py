"""The dashboard: pages for operators on the northbound's own server. Needs the extra ``dashboard`` (NiceGUI)."""

from controller.northbound.dashboard.door import PREFIX, Door
from controller.northbound.dashboard.mount import mount

__all__ = ["PREFIX", "Door", "mount"]
