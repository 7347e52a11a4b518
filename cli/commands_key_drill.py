"""``lifeboat key-drill``: prove that identities, those from escrow above all, still open what is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.options import DEFAULT_POLICY, AsJson, EnvironmentName, PolicyName
from cli.output import Output, line, table


def key_drill(
    environment: EnvironmentName,
    identities: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...", help="Identity files, of mode 0400; they are read and kept nowhere."
        ),
    ],
    seed: Annotated[
        int | None, typer.Option("--seed", metavar="N", min=0, help="Draw what the drill of this seed drew.")
    ] = None,
    policy: PolicyName = DEFAULT_POLICY,
    as_json: AsJson = False,
) -> None:
    """Try identities on the oldest, the newest and a random backup of each source; reads headers, decrypts no data.

    The signed record goes to the store. Exits with 0 when each identity opened all of it, 1 when not.
    """
    from blocks.harbour import load_drill_signer
    from cli.open_environment import open_environment
    from cli.prefect_api import prefect_errors
    from lifeboat import clock
    from lifeboat.errors import DrillMissed
    from lifeboat.model.drill_record import new_drill_id
    from lifeboat.model.objectives import Verdict
    from lifeboat.stages.drill_facts import DrillOrder, publish_record
    from lifeboat.stages.drill_keys import drill_keys
    from lifeboat.stages.drill_view import view_for_drill
    from lifeboat.stages.fetch import read_identities
    from lifeboat.stages.restore_order import RestorePlaces
    from lifeboat.stages.voyage import random_seed, random_suffix

    keys = tuple(key for path in identities for key in read_identities(path))
    opened = open_environment(policy, environment)
    with prefect_errors():
        signer = load_drill_signer(environment)
    rules = opened.policy
    order = DrillOrder(
        rules,
        environment,
        new_drill_id(clock.utc_now(), random_suffix()),
        seed=random_seed() if seed is None else seed,
    )
    places = RestorePlaces(store=opened.store, trusted=opened.trusted, identities=keys)
    done = drill_keys(order, places, view_for_drill(order, places), keys)
    publish_record(done.record, signer, places)
    if done.record.verdict is not Verdict.MET:
        told = "\n".join(
            f"  {each.recipient} does not open {name} of {each.source}"
            for each in done.tried
            for name in each.shut
        )
        error = DrillMissed(
            f"Not every identity opens what it should:\n{told}",
            hint="Was the file of another environment? Look up the fingerprint with `lifeboat show`; as long as no "
            "other recipient's identity opens these backups either, they are lost.",
        )
        error.record = done.record
        raise error
    rows = [(each.source, each.recipient, each.opened, "all of them") for each in done.tried]
    Output(as_json).result(
        done.record,
        table(["source", "=recipient", ">objects tried", "opened"], rows),
        *(line(f"Recipient {each} was not tried: no identity of it was given.") for each in done.untried),
        line(f"The record is on the store: {done.record.file_name}"),
    )
