"""New keys, and private files that nothing overwrites."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pyrage import x25519

from lifeboat.errors import ConfigurationError
from lifeboat.model.signed import Signer


@dataclass(frozen=True)
class AgeKeyPair:
    """An identity (``AGE-SECRET-KEY-1…``) and its recipient (``age1…``)."""

    identity: str = field(repr=False)
    recipient: str


@dataclass(frozen=True)
class SigningKeyPair:
    """An Ed25519 key, both halves in PEM."""

    private_pem: str = field(repr=False)
    public_pem: str


def new_identity() -> AgeKeyPair:
    """For a holder of backups, or for a worker's indexes; the two are never the same."""
    identity = x25519.Identity.generate()
    return AgeKeyPair(identity=str(identity), recipient=str(identity.to_public()))


def new_signing_key() -> SigningKeyPair:
    """For manifests and prune records of one environment."""
    key = Ed25519PrivateKey.generate()
    # NoEncryption: a worker must read it at night without anybody to type; the file mode guards it, then the block.
    private_pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return SigningKeyPair(private_pem=private_pem, public_pem=Signer.from_pem(private_pem).public_pem)


def write_private(path: Path, text: str) -> None:
    """Write ``text`` into a new file that only its owner may read (0400), down to the disk.

    Raises ``ConfigurationError`` when ``path`` exists, also as a dangling link: an overwritten identity loses every
    backup that was sealed for it. Nothing half-written stays behind.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o400)
    except FileExistsError:
        raise ConfigurationError(
            f"{path} exists already, and a key is never overwritten.",
            hint="Choose another path, or put the old key away first.",
        ) from None
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}.") from None
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text if text.endswith("\n") else text + "\n")
            file.flush()
            os.fsync(descriptor)
    except OSError as error:
        path.unlink()
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}.") from None
