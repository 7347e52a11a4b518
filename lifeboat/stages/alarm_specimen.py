"""The specimen of the alarm self-test: a small database of its own, backed up with keys of its own.

Its keys are made for it, so that the test can sign what only a backup worker signs, without holding a worker's key.
"""

from __future__ import annotations

import datetime as dt
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from lifeboat import clock
from lifeboat.adapters.children import Crew
from lifeboat.adapters.policy_file import read_policy
from lifeboat.adapters.postgres import PostgresServer
from lifeboat.adapters.spool import Spool
from lifeboat.adapters.store_local import LocalTarget
from lifeboat.model.catalog import Catalog, Entry
from lifeboat.model.manifest import Manifest, chain_name
from lifeboat.model.policy import Policy
from lifeboat.model.policy_sources import PostgresSource
from lifeboat.model.signed import Signer, TrustedKeys
from lifeboat.stages.direct import take_backup
from lifeboat.stages.fetch import read_catalog
from lifeboat.stages.keygen import AgeKeyPair, new_identity, new_signing_key
from lifeboat.stages.voyage import Keys, ServerVoyage, new_run_id

ENVIRONMENT: Final = "specimen"
SERVICE: Final = "main"
SOURCE: Final = "databases"
OWNER: Final = "specimen_owner"
"""The role that owns the database; one of the faults is that it is gone."""

_MADE = """
    CREATE TABLE public.entries (id int PRIMARY KEY, written timestamptz NOT NULL DEFAULT now(), note text NOT NULL);
    INSERT INTO public.entries SELECT n, now(), md5(n::text) FROM generate_series(1, 2000) n;
    CREATE TABLE public.untouched AS SELECT n, md5(n::text) AS note FROM generate_series(1, 500) n
"""


@dataclass(frozen=True)
class Specimen:
    """A store with backups of the specimen; ``folder`` is where it lies."""

    policy: Policy
    folder: Path
    holder: AgeKeyPair = field(default_factory=new_identity)
    signing_pem: str = field(default_factory=lambda: new_signing_key().private_pem, repr=False)
    index: AgeKeyPair = field(default_factory=new_identity)

    @property
    def store(self) -> LocalTarget:
        return LocalTarget(self.folder)

    @property
    def signer(self) -> Signer:
        return Signer.from_pem(self.signing_pem)

    @property
    def trusted(self) -> TrustedKeys:
        return TrustedKeys.from_pems(self.signer.public_pem)

    @property
    def keys(self) -> Keys:
        return Keys(
            recipients=(self.holder.recipient, new_identity().recipient),
            signer=self.signer,
            trusted=self.trusted,
            index_identity=self.index.identity,
            index_recipient=self.index.recipient,
        )

    def catalog(self) -> Catalog:
        return read_catalog(self.store, ENVIRONMENT, chain_name(SERVICE, SOURCE), self.trusted)

    def newest(self) -> Entry:
        return self.catalog().entries[-1]

    def copied_to(self, folder: Path) -> Specimen:
        """The same backups and keys in another folder, to be damaged there."""
        shutil.copytree(self.folder, folder)
        return Specimen(self.policy, folder, self.holder, self.signing_pem, self.index)

    def rewrite(self, name: str, data: bytes) -> None:
        """What no store of ours would do: put other bytes under a name that is taken."""
        path = self.folder / name
        path.unlink(missing_ok=True)
        path.write_bytes(data)

    def sign_again(self, manifest: Manifest) -> None:
        """The place of ``manifest`` says something else now, and our key vouches for it."""
        self.rewrite(manifest.file_name, self.signer.sign(manifest.model_dump(mode="json")))


def specimen_policy(sandboxes: Path) -> Policy:
    """The shipped policy ``alarm-test``, its drills below ``sandboxes``."""
    policy = read_policy(Path("alarm-test"))
    return policy.model_copy(update={"drills": policy.drills.model_copy(update={"folder": str(sandboxes)})})


def make_database(server: PostgresServer) -> None:
    """The specimen as it is when all is well."""
    with server.connect() as session:
        session.execute(f"CREATE ROLE {OWNER} LOGIN".encode())
        session.execute(f"CREATE DATABASE {ENVIRONMENT} OWNER {OWNER}".encode())
    with server.connect(ENVIRONMENT) as session:
        session.execute(_MADE.encode())
        session.execute(f"ALTER TABLE public.entries OWNER TO {OWNER}".encode())


def add_entry(server: PostgresServer) -> None:
    """So that the next backup has a part of its own to be damaged."""
    with server.connect(ENVIRONMENT) as session:
        session.execute("INSERT INTO public.entries SELECT max(id) + 1, now(), 'new' FROM public.entries")


def empty_database(server: PostgresServer) -> None:
    with server.connect(ENVIRONMENT) as session:
        session.execute("TRUNCATE public.entries")


def back_up(specimen: Specimen, server: PostgresServer, scratch: Path) -> Manifest:
    """One more backup of the specimen, by the stages that take all backups."""
    environment = specimen.policy.environment(ENVIRONMENT)
    source = environment.services[SERVICE].sources[SOURCE]
    assert isinstance(source, PostgresSource)
    specimen.folder.mkdir(mode=0o700, exist_ok=True)
    limit: dt.timedelta = environment.limits.source
    run_id = new_run_id()
    with Spool(scratch, run_id, limit=environment.spool.limit) as spool, Crew() as crew:
        voyage = ServerVoyage(
            environment_name=ENVIRONMENT,
            service=SERVICE,
            source_name=SOURCE,
            run_id=run_id,
            environment=environment,
            policy=specimen.policy.reference,
            time_zone=specimen.policy.time_zone,
            store=specimen.store,
            prune_store=specimen.store,
            keys=specimen.keys,
            spool=spool,
            crew=crew,
            deadline=clock.Deadline.after(limit.total_seconds()),
            source=source,
            server=server,
        )
        return take_backup(voyage).manifest
