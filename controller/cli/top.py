"""``mcoa top``: where traffic goes now, by BID."""

import time
from typing import Annotated, Any

import typer
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from controller.cli.options import DEFAULT_URL, JsonOption, OneHomeAddress, UrlOption, connect
from controller.cli.output import present, show, show_json

_BAR = 24
"""Characters of the longest bar."""


class Rates:
    """Turns counts into rates, from one look to the next."""

    def __init__(self) -> None:
        self._before: dict[tuple[str, int], tuple[float, dict[str, dict[str, int] | None]]] = {}

    def of(self, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the rates of bindings, the busiest first; null where a count is not known twice."""
        now = time.monotonic()
        found = []
        for item in items:
            key = (item["home_address"], item["bid"])
            then, before = self._before.get(key, (now, {}))
            counts = {"downstream": item["downstream"], "upstream": item["upstream"]}
            rates: dict[str, float | None] = {
                f"{way}_{unit}_per_second": None for way in counts for unit in ("packets", "bits")
            }
            for way, count in counts.items():
                old = before.get(way)
                if count is not None and old is not None and now > then:
                    seconds = now - then
                    # A tunnel that was taken down and put up again counts from zero.
                    rates[f"{way}_packets_per_second"] = max(0, count["packets"] - old["packets"]) / seconds
                    rates[f"{way}_bits_per_second"] = max(0, count["bytes"] - old["bytes"]) * 8 / seconds
            self._before[key] = (now, counts)
            shown = {name: None if rate is None else round(rate, 1) for name, rate in rates.items()}
            found.append(
                {
                    "home_address": item["home_address"],
                    "bid": item["bid"],
                    "care_of_address": item["care_of_address"],
                    **shown,
                }
            )
        return sorted(found, key=_load, reverse=True)


def top(
    home_address: OneHomeAddress = None,
    rows: Annotated[int, typer.Option(help="At most so many BIDs.", min=1)] = 30,
    url: UrlOption = DEFAULT_URL,
    *,
    once: Annotated[bool, typer.Option("--once", help="Measure for a second, print, and end.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show the traffic of each BID as it flows, the busiest first, until Ctrl-C."""
    rates = Rates()
    with connect(url) as client:

        def ask() -> dict[str, Any]:
            if home_address is None:
                found = client.items("v1", "bindings")
            else:
                found = client.get("v1", "nodes", home_address, "bindings")
            return {"items": rates.of(found["items"])[:rows]}

        if not once:
            present(ask, _table, as_json=as_json, watch=True)
            return
        ask()
        time.sleep(1.0)
        measured = ask()
    if as_json:
        show_json(measured)
    else:
        show(_table(measured))


def _load(item: dict[str, Any]) -> float:
    return (item["downstream_bits_per_second"] or 0.0) + (item["upstream_bits_per_second"] or 0.0)


def _table(found: dict[str, Any]) -> RenderableType:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("home address", "BID", "care-of address", "down", "", "up", ""):
        table.add_column(column, justify="right" if column in {"down", "up"} else "left")
    longest = max((_load(item) for item in found["items"]), default=0.0) or 1.0
    for item in found["items"]:
        cells = [item["home_address"], str(item["bid"]), item["care_of_address"]]
        for way in ("downstream", "upstream"):
            bits, packets = item[f"{way}_bits_per_second"], item[f"{way}_packets_per_second"]
            cells.append("-" if bits is None else f"{_bits(bits)} {packets:.0f}/s")
            cells.append("█" * round(_BAR * (bits or 0.0) / longest))
        table.add_row(*map(Text, cells))
    return table if table.rows else Text("no bindings")


def _bits(rate: float) -> str:
    for unit in ("bit/s", "kbit/s", "Mbit/s"):
        if rate < 1000:
            return f"{rate:.1f} {unit}"
        rate /= 1000
    return f"{rate:.1f} Gbit/s"
