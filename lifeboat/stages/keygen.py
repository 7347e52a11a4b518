"""Keys: made here, kept elsewhere. A private part leaves this module only as a return value or a 0400 file."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import pyrage
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lifeboat.errors import ConfigurationError


@dataclass(frozen=True)
class AgeKeyPair:
    """An age identity (private) and its recipient (public)."""

    identity: str = field(repr=False)
    recipient: str


@dataclass(frozen=True)
class SigningKeyPair:
    """An Ed25519 key pair in PEM."""

    private_pem: str = field(repr=False)
    public_pem: str


def new_identity() -> AgeKeyPair:
    identity = pyrage.x25519.Identity.generate()
    return AgeKeyPair(str(identity), str(identity.to_public()))


def new_signing_key() -> SigningKeyPair:
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return SigningKeyPair(private.decode(), public.decode())


def write_private(path: Path, text: str) -> None:
    """Write a secret to a new file of mode 0400. Raises ``ConfigurationError`` rather than overwrite a key."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)
    except FileExistsError:
        raise ConfigurationError(
            f"{path} exists already.",
            hint="A key is never overwritten: choose another file, or move the old one away.",
        ) from None
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
