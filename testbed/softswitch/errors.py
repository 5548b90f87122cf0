"""What can be wrong with an artefact, and what can be wrong with a request."""


class ArtefactError(ValueError):
    """A compiled program or its P4Info is malformed, or the two do not belong together."""


class UnsupportedError(ArtefactError):
    """The program uses a construct that this switch cannot run: it is refused as a whole, nothing is ignored.

    Attributes:
        construct: what is not supported, as it is spelled in the artefact.
        where: the place: an action, a table, a parser state.
    """

    def __init__(self, construct: str, where: str) -> None:
        super().__init__(f"{where}: the embedded switch cannot run {construct}; change the program or use BMv2")
        self.construct = construct
        self.where = where


class EntityError(Exception):
    """A table entry, counter, meter or the like that cannot be written or read.

    Attributes:
        code: the canonical gRPC code (google.rpc.Code), 1 to 16.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


OK = 0
UNKNOWN = 2
INVALID_ARGUMENT = 3
NOT_FOUND = 5
ALREADY_EXISTS = 6
PERMISSION_DENIED = 7
RESOURCE_EXHAUSTED = 8
FAILED_PRECONDITION = 9
OUT_OF_RANGE = 11
UNIMPLEMENTED = 12
UNAVAILABLE = 14


def invalid(message: str) -> EntityError:
    """An INVALID_ARGUMENT error."""
    return EntityError(INVALID_ARGUMENT, message)


def not_found(message: str) -> EntityError:
    """A NOT_FOUND error."""
    return EntityError(NOT_FOUND, message)


def unimplemented(message: str) -> EntityError:
    """An UNIMPLEMENTED error."""
    return EntityError(UNIMPLEMENTED, message)
