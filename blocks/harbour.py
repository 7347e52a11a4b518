"""Loading blocks by names derived from the environment, and holding them against the policy.

Called inside flows only. What comes back are plain values; a block itself is never a parameter, because a
loaded one arrives with its secrets masked. Everything raises ``ConfigurationError`` that names the block.
"""

from __future__ import annotations

from dataclasses import replace

from blocks.checked import find_block, load_block, source_block
from blocks.index_identity import IndexIdentity
from blocks.local_store import LocalStore
from blocks.nas_store import NasStore
from blocks.postgres_server import PostgresServer as PostgresServerBlock
from blocks.recipients import Recipients
from blocks.signing_key import SigningKey
from blocks.signing_public_keys import SigningPublicKeys
from lifeboat.adapters.postgres import PostgresServer
from lifeboat.adapters.store import StoreTarget
from lifeboat.adapters.store_sftp import SftpTarget
from lifeboat.errors import ConfigurationError
from lifeboat.model.policy_environment import Environment, RecipientRule
from lifeboat.model.policy_sources import PostgresSource
from lifeboat.model.signed import Signer, TrustedKeys
from lifeboat.stages.voyage import Keys, fingerprint


def load_server(
    environment_name: str, service: str, source_name: str, source: PostgresSource
) -> PostgresServer:
    """The server of a source, from the block that the policy names or ``<environment>-<service>-<source>``.

    A host or port that the policy pins must be the block's (P8): a block swapped by mistake would back up
    trial as production.
    """
    name = source_block(environment_name, service, source_name, source)
    server = load_block_server(name)
    # A default was not written by anybody: only what stands in the policy is pinned.
    pinned = source.model_dump(include={"host", "port"}, exclude_unset=True, exclude_none=True)
    for key, wanted in pinned.items():
        found = getattr(server, key)
        if found != wanted:
            raise ConfigurationError(
                f"The policy pins {key} {wanted!r} for {environment_name}/{service}/{source_name}, but the "
                f"postgres-server block {name!r} says {found!r}.",
                hint="One of them is wrong; nothing was read from either server.",
            )
    return server


def load_block_server(name: str) -> PostgresServer:
    """The server of the postgres-server block called ``name``, whatever environment it belongs to."""
    return load_block(PostgresServerBlock, name).server()


def load_store(environment_name: str, environment: Environment) -> StoreTarget:
    """The environment's store, with the account that uploads."""
    return _load_target(environment.store.block or environment_name, environment)


def load_prune_store(environment_name: str, environment: Environment) -> StoreTarget:
    """The environment's store with the account that deletes (P3); the uploading one if there is no other."""
    rules = environment.store
    return _load_target(rules.prune_block or rules.block or environment_name, environment)


def load_keys(environment_name: str, environment: Environment) -> Keys:
    """What a backup worker may hold: recipients as the policy wants them, signing key, index identity."""
    recipients = tuple(load_block(Recipients, environment_name).recipients)
    refuse_other_recipients(environment_name, recipients, environment.recipients)
    signer, trusted = load_block(SigningKey, environment_name).signer(), load_trusted(environment_name)
    refuse_untrusted_signer(environment_name, signer, trusted)
    index = load_block(IndexIdentity, environment_name)
    if index.recipient() in recipients:
        raise ConfigurationError(
            f"The index-identity block {environment_name!r} holds the identity of a recipient: the worker, and "
            "whoever reads its blocks, could open every backup.",
            hint="Make one for indexes alone with `lifeboat keygen index`, and replace that recipient.",
        )
    return Keys(
        recipients=recipients,
        signer=signer,
        trusted=trusted,
        index_identity=index.identity.get_secret_value(),
        index_recipient=index.recipient(),
    )


def load_trusted(environment_name: str) -> TrustedKeys:
    """The keys whose signatures count in an environment; the private one stays where it is."""
    return load_block(SigningPublicKeys, environment_name).trusted()


def load_recipients(environment_name: str) -> tuple[str, ...]:
    """The age recipients that an environment's backups are sealed for, in the block's order."""
    return tuple(load_block(Recipients, environment_name).recipients)


def load_drill_signer(environment_name: str) -> Signer:
    """The key that signs drill records: the drill host's own, ``<environment>-drill``, or else the environment's.

    Raises ``ConfigurationError`` when there is neither, and when nobody would trust what it signs.
    """
    own = find_block(SigningKey, f"{environment_name}-drill")
    signer = (own or load_block(SigningKey, environment_name)).signer()
    refuse_untrusted_signer(environment_name, signer, load_trusted(environment_name))
    return signer


def load_index_identity(environment_name: str) -> str:
    """The identity that opens an environment's indexes and nothing else."""
    return load_block(IndexIdentity, environment_name).identity.get_secret_value()


def refuse_untrusted_signer(environment_name: str, signer: Signer, trusted: TrustedKeys) -> None:
    """Raise ``ConfigurationError`` if nobody would trust what the signer signs."""
    if signer.key_id not in trusted.keys:
        raise ConfigurationError(
            f"The signing-public-keys block {environment_name!r} lacks key {signer.key_id}, with which the signing-key "
            "block signs: no backup of it would be trusted.",
            hint="Add the public key that `lifeboat keygen signing` printed, and keep the earlier ones.",
        )


def refuse_other_recipients(
    environment_name: str, recipients: tuple[str, ...], rules: tuple[RecipientRule, ...]
) -> None:
    """Raise ``ConfigurationError`` unless there is every key that the policy pins, and one for each holder.

    One too many may be an attacker's, one too few locks somebody out (F33).
    """
    where = f"The recipients block {environment_name!r}"
    missing = [rule.name for rule in rules if rule.key and rule.key not in recipients]
    if missing:
        raise ConfigurationError(
            f"{where} lacks the key that the policy pins for {', '.join(missing)}.",
            hint="Backups would be sealed without them; put the policy's keys into the block.",
        )
    if len(recipients) != len(rules):
        raise ConfigurationError(
            f"{where} has {len(recipients)} recipients ({', '.join(map(fingerprint, recipients))}), "
            f"the policy names {len(rules)} ({', '.join(rule.name for rule in rules)}).",
            hint="Every recipient opens every backup, so each one is named in the policy with its holder.",
        )


def _load_target(name: str, environment: Environment) -> StoreTarget:
    if environment.store.kind == "local":
        return load_block(LocalStore, name).target()
    target = load_block(NasStore, name).target()
    _refuse_other_host_key(name, target, environment.store.host_key)
    return replace(target, stall_timeout=environment.limits.stall.total_seconds())


def _refuse_other_host_key(name: str, target: SftpTarget, pin: str | None) -> None:
    """While a NAS's key is being changed the policy pins two, and the block may be at either."""
    if pin in (None, "block") or _public_keys(target.host_key) <= _public_keys(pin or ""):
        return
    raise ConfigurationError(
        f"The nas-store block {name!r} pins another host key for {target.host} than the policy.",
        hint="Compare both with what the NAS's own screen shows; a key that changed by itself is an alarm.",
    )


def _public_keys(lines: str) -> set[tuple[str, ...]]:
    """Type and base64 of each line, without the comment."""
    return {tuple(line.split()[:2]) for line in lines.splitlines() if line.strip()}
