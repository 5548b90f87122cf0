"""The composition root: the only place that sees every layer."""

from controller.service.service import ServiceError, run

__all__ = ["ServiceError", "run"]
