"""``mcoa replay``: what a journal says was written to a switch, shown or sent to another one."""

import asyncio
import datetime as dt
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from controller.cli.output import FAILED, WRONG_INPUT, fail, show_json, show_table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from controller.southbound.journal import Record


def replay(  # noqa: PLR0913  each is an option of the command
    journal: Annotated[Path, typer.Argument(help="The ring file that `controller.journal` names.")],
    address: Annotated[
        str | None, typer.Argument(help="host:port of the switch to send to; without it the journal is only listed.")
    ] = None,
    *,
    switch: Annotated[str | None, typer.Option(help="Only what was written to this switch.")] = None,
    last: Annotated[float | None, typer.Option(help="Only the last so many seconds.", min=0)] = None,
    device_id: Annotated[int, typer.Option(help="P4Runtime device id of the switch to send to.", min=1)] = 1,
    election_id: Annotated[int, typer.Option(help="To become primary with.", min=1)] = 1,
    push: Annotated[bool, typer.Option("--push", help="Push the program first: that empties the tables.")] = False,
    ca: Annotated[Path | None, typer.Option(help="PEM file of the authority for TLS.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the writes in a journal, or send them to a switch again. Exit status 1: it answered otherwise than it did then."""
    from controller.southbound.journal import JournalError, read  # noqa: PLC0415  brings gRPC with it

    try:
        records = list(_chosen(read(journal), switch, last))
    except JournalError as error:
        fail(str(error), WRONG_INPUT)
    if address is None:
        _list(records, as_json=as_json)
        return
    from controller.southbound.artefacts import ArtefactError, load  # noqa: PLC0415
    from controller.southbound.errors import SouthboundError  # noqa: PLC0415
    from controller.southbound.options import SessionOptions, TlsFiles  # noqa: PLC0415
    from controller.southbound.replay import replay as send  # noqa: PLC0415

    try:
        artefacts = load()
        foreign = sum(record.cookie != artefacts.cookie for record in records)
        if foreign:
            fail(f"{foreign} of {len(records)} writes were for another program than this release's", WRONG_INPUT)
        options = SessionOptions(address, address, device_id, tls=None if ca is None else TlsFiles(ca))
        done = asyncio.run(send(records, options, artefacts, election_id, push=push))
    except (ArtefactError, SouthboundError, OSError) as error:
        fail(str(error))
    if as_json:
        show_json({"writes": done.writes, "updates": done.updates, "refused": done.refused, "differ": done.otherwise})
    else:
        typer.echo(f"{done.writes} writes with {done.updates} updates sent, {done.refused} refused")
    if done.otherwise:
        fail(f"{done.otherwise} updates were answered otherwise than then; the first: {done.first}", FAILED)


def _chosen(records: "Iterator[Record]", switch: str | None, last: float | None) -> "Iterator[Record]":
    of_switch = (record for record in records if switch is None or record.switch == switch)
    if last is None:
        return of_switch
    several = list(of_switch)
    since = several[-1].when - last if several else 0.0
    return chain(record for record in several if record.when >= since)


def _list(records: "list[Record]", *, as_json: bool) -> None:
    from finsy.proto import p4r  # noqa: PLC0415

    rows = []
    for record in records:
        when = dt.datetime.fromtimestamp(record.when, dt.UTC).isoformat(timespec="milliseconds")
        updates = p4r.WriteRequest.FromString(record.request).updates
        kinds = [sum(update.type == kind for update in updates) for kind in (1, 2, 3)]
        refused = None if record.refused is None else len(record.refused)
        rows.append((when, record.switch, *kinds, refused))
    columns = ("time", "switch", "inserted", "modified", "deleted", "refused")
    if as_json:
        show_json({"items": [dict(zip(columns, row, strict=True)) for row in rows], "total": len(rows)})
    else:
        show_table(columns, [(*row[:-1], "no answer" if row[-1] is None else row[-1]) for row in rows], "no writes")
