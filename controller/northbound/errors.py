"""Why the service turns a request down."""


class ControlError(Exception):
    """A request that the service turns down. The text is shown to the client: it names what was wrong and what to do."""


class NotFoundError(ControlError):
    """There is no such thing."""


class UnknownNodeError(NotFoundError):
    """The home address is neither provisioned nor registered nor inside an open home network."""


class ConflictError(ControlError):
    """The request contradicts something that exists, such as a priority that another policy has."""


class RefusedError(ControlError):
    """Well formed, but the data plane cannot realise it: a port range that expands too far, a full table."""


class UnavailableError(ControlError):
    """It cannot be done now, for a reason on our side such as a full disk; later it may."""
