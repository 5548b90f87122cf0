"""The composition root: the only place that sees every layer."""

from controller.service.process import run
from controller.service.service import ServiceError

__all__ = ["ServiceError", "run"]
