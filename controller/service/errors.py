"""Why a controller cannot start."""


class ServiceError(Exception):
    """The controller cannot start. One line: what, where, what to do."""
