"""A client of the controller's REST northbound, as an operator's script would have one."""

from collections import Counter
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import httpx
from prometheus_client.parser import text_string_to_metric_families

from controller.mobility.address import Address, format_address


@dataclass(frozen=True, slots=True)
class Count:
    """Packets and bytes."""

    packets: int
    bytes: int


@dataclass(frozen=True, slots=True)
class BindingState:
    """A binding as REST shows it."""

    bid: int
    care_of: str
    state: str
    downstream: Count
    upstream: Count


class RestError(RuntimeError):
    """The controller refused a request; the text is its own."""


class Rest:
    """Requests to one controller.

    Args:
        url: of its REST server, without a path.
        token: who asks.
    """

    def __init__(self, url: str, token: str) -> None:
        self._client = httpx.AsyncClient(
            base_url=url, timeout=10.0, headers={"Authorization": f"Bearer {token}"}, trust_env=False
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def lost_links(self) -> set[tuple[str, str]]:
        """Return both ends of each link that carries nothing."""
        links = (await self._ask("GET", "/v1/topology"))["links"]
        return {(one["a"], one["b"]) for one in links if not one["up"]}

    async def bindings(self, home_address: Address) -> dict[int, BindingState]:
        """Return a node's bindings by BID."""
        items = (await self._ask("GET", f"/v1/nodes/{format_address(home_address)}/bindings"))["items"]
        return {
            item["bid"]: BindingState(
                item["bid"],
                item["care_of_address"],
                item["state"],
                _count(item["downstream"]),
                _count(item["upstream"]),
            )
            for item in items
        }

    async def drops(self, switch: str) -> dict[str, Count]:
        """Return a switch's dropped packets by reason."""
        found = await self._ask("GET", f"/v1/switches/{switch}")
        return {reason: _count(count) for reason, count in found["drops"].items()}

    async def signalling(self) -> Counter[str]:
        """Return what became of signalling since the controller was started: how often each thing happened."""
        answer = await self._client.get("/metrics")
        if answer.is_error:
            raise RestError(f"GET /metrics: {answer.status_code}: {answer.text}")
        families = text_string_to_metric_families(answer.text)
        samples = (sample for family in families for sample in family.samples)
        return Counter({one.labels["event"]: int(one.value) for one in samples if one.name == "mcoa_signalling_total"})

    async def table_sizes(self, switch: str) -> dict[str, int]:
        """Return how many entries each table of a switch has, by what the controller reads from it."""
        found = await self._ask("GET", f"/v1/switches/{switch}")
        return {table["name"]: table["entries"] for table in found["tables"]}

    async def put_policy(self, home_address: Address, name: str, policy: dict[str, object]) -> str:
        """Steer a flow of a node; return the policy's state."""
        path = f"/v1/nodes/{format_address(home_address)}/policies/{name}"
        return str((await self._ask("PUT", path, policy))["state"])

    async def policies(self, home_address: Address) -> dict[str, str]:
        """Return the states of a node's policies by their names."""
        items = (await self._ask("GET", f"/v1/nodes/{format_address(home_address)}/policies"))["items"]
        return {item["name"]: item["state"] for item in items}

    async def _ask(self, method: str, path: str, body: dict[str, object] | None = None) -> dict[str, Any]:
        answer = await self._client.request(method, path, json=body)
        if answer.is_error:
            raise RestError(f"{method} {path}: {answer.status_code}: {answer.text}")
        found: dict[str, Any] = answer.json()
        return found


def _count(item: dict[str, int] | None) -> Count:
    # Null means that the switch could not be read at the moment.
    return Count(0, 0) if item is None else Count(item["packets"], item["bytes"])
