"""Signed statements: canonical JSON under an Ed25519 signature.

The file is canonical JSON itself: ``{"key":…,"signature":…,"statement":{…}}``. The signature is over the canonical
bytes of ``statement``, so that ``jq -cSj .statement FILE`` and ``openssl pkeyutl -verify`` check it without any
code of ours.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from lifeboat.errors import ConfigurationError, SignatureInvalid
from lifeboat.model.canonical import canonical_bytes, parse_canonical, sha256_hex


@dataclass(frozen=True)
class Signer:
    """Signs statements; the private key shows in no repr."""

    _key: Ed25519PrivateKey

    @classmethod
    def from_pem(cls, pem: str) -> Signer:
        """Raises ``ConfigurationError`` when the text is no Ed25519 private key; never quotes it."""
        try:
            key = serialization.load_pem_private_key(pem.encode(), password=None)
        except (ValueError, TypeError):
            key = None
        if not isinstance(key, Ed25519PrivateKey):
            raise ConfigurationError(
                "The signing key is not an Ed25519 private key in PEM.",
                hint="Make one with `lifeboat keygen signing`.",
            )
        return cls(key)

    def __repr__(self) -> str:
        return f"Signer({self.key_id})"

    @property
    def public_pem(self) -> str:
        return (
            self._key.public_key()
            .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
            .decode()
        )

    @property
    def key_id(self) -> str:
        return TrustedKeys.identifier(self._key.public_key())

    def sign(self, statement: Mapping[str, Any]) -> bytes:
        """The whole signed file."""
        signature = self._key.sign(canonical_bytes(statement))
        return canonical_bytes(
            {"key": self.key_id, "signature": base64.b64encode(signature).decode(), "statement": statement}
        )


@dataclass(frozen=True)
class TrustedKeys:
    """The public keys whose signatures count, by key id: the present one and those before it."""

    keys: Mapping[str, Ed25519PublicKey]

    @classmethod
    def from_pems(cls, *pems: str) -> TrustedKeys:
        found: dict[str, Ed25519PublicKey] = {}
        for pem in pems:
            try:
                key = serialization.load_pem_public_key(pem.encode())
            except ValueError:
                key = None
            if not isinstance(key, Ed25519PublicKey):
                raise ConfigurationError("A trusted signing key is not an Ed25519 public key in PEM.")
            found[cls.identifier(key)] = key
        return cls(found)

    def pems(self) -> dict[str, str]:
        """Each key in PEM, by its id."""
        kind = serialization.PublicFormat.SubjectPublicKeyInfo
        return {
            identifier: key.public_bytes(serialization.Encoding.PEM, kind).decode()
            for identifier, key in self.keys.items()
        }

    @staticmethod
    def identifier(key: Ed25519PublicKey) -> str:
        """First 16 hex digits of the SHA-256 of the raw public key."""
        raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        return sha256_hex(raw)[:16]

    def verify(self, raw: bytes, *, where: str) -> dict[str, Any]:
        """The statement inside a signed file. Raises ``SignatureInvalid`` naming ``where`` (F29)."""
        try:
            envelope = parse_canonical(raw)
            statement, signature = (
                envelope["statement"],
                base64.b64decode(envelope["signature"], validate=True),
            )
            key = self.keys.get(envelope["key"])
            # base64 has several spellings of the same bytes; only ours is a signed file.
            if base64.b64encode(signature).decode() != envelope["signature"]:
                raise ValueError("the signature is not canonical base64")
            if set(envelope) != {"key", "signature", "statement"} or not isinstance(statement, dict):
                raise ValueError("not a signed statement")
        except (ValueError, KeyError, TypeError, UnicodeDecodeError, binascii.Error) as error:
            raise SignatureInvalid(f"{where} is not a signed statement: {error}") from None
        if key is None:
            raise SignatureInvalid(
                f"{where} is signed by key {envelope['key']}, which is not trusted (trusted: {', '.join(self.keys)}).",
                hint="If that key was in use before a rotation, add its public key to the signing-public-keys block.",
            )
        try:
            key.verify(signature, canonical_bytes(statement))
        except InvalidSignature:
            raise SignatureInvalid(f"{where} was altered after it was signed.") from None
        return statement
