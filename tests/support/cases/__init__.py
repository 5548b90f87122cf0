"""Packets in, packets out: what the pipeline does, as data. The same cases run on every target, and say together what is covered.

Frames come from scapy, never from the project's own encoder.
"""

from collections.abc import Iterator

from cases import adjacent, equal_paths, forwarding, headers, hostile, ipv4, several
from cases.case import Case


def all_cases() -> Iterator[Case]:
    """Yield every case."""
    for topic in (forwarding, equal_paths, headers, several, adjacent, ipv4, hostile):
        yield from topic.CASES
