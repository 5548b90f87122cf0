"""Where the controller is and how to prove who asks: from the environment, so that no token stands in a process list."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from controller.client.errors import ClientError

DEFAULT_URL: Final = "http://127.0.0.1:8181"
URL: Final = "MCOA_URL"
TOKEN: Final = "MCOA_TOKEN"  # noqa: S105  the name of a variable, not a token
TOKEN_FILE: Final = "MCOA_TOKEN_FILE"  # noqa: S105  as above
CA_FILE: Final = "MCOA_CA_FILE"


@dataclass(frozen=True, slots=True)
class Connection:
    """How to reach one controller."""

    url: str = DEFAULT_URL
    """Of the REST server, without a path."""
    token: str | None = field(default=None, repr=False)
    ca_file: Path | None = None
    """Certificates to trust, in PEM; None: those of the system."""
    timeout: float = 10.0
    """Seconds for one request."""

    @classmethod
    def from_environment(cls, url: str | None = None, environment: Mapping[str, str] = os.environ) -> Self:
        """Return what ``MCOA_URL``, ``MCOA_TOKEN`` or ``MCOA_TOKEN_FILE``, and ``MCOA_CA_FILE`` say.

        Args:
            url: instead of that of the environment.
            environment: the variables.

        Raises:
            ClientError: the file of the token cannot be read.
        """
        ca_file = environment.get(CA_FILE)
        return cls(
            url or environment.get(URL, DEFAULT_URL), _token(environment), None if ca_file is None else Path(ca_file)
        )


def _token(environment: Mapping[str, str]) -> str | None:
    token = environment.get(TOKEN, "").strip()
    if token:
        return token
    file = environment.get(TOKEN_FILE)
    if not file:
        return None
    try:
        return Path(file).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ClientError(f"{TOKEN_FILE}: {file} cannot be read: {reason}") from error
