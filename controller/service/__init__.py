"""The composition root: the only place that sees every layer."""

from controller.service.errors import ServiceError
from controller.service.process import run

__all__ = ["ServiceError", "run"]
