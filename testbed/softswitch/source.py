"""A writer of Python source that keeps track of indentation."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class Source:
    """Lines of source text at the current depth. One space a level: generated code nests deeply."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._depth = 0

    def line(self, text: str) -> None:
        """Add one line."""
        self._lines.append(" " * self._depth + text)

    def lines(self, texts: Iterable[str]) -> None:
        """Add several."""
        for text in texts:
            self.line(text)

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        """A line that ends in a colon, and what stands below it; an empty body becomes `pass`."""
        self.line(head)
        self._depth += 1
        before = len(self._lines)
        yield
        if len(self._lines) == before:
            self.line("pass")
        self._depth -= 1

    def text(self) -> str:
        """All of it."""
        return "\n".join(self._lines) + "\n"
