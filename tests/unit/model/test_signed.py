"""Signed statements: checked with jq and openssl alone, and refused after any change (F29)."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa
from support.examples import SIGNER, STRANGER, TRUSTED, manifest, signed, signing_key

from lifeboat.errors import ConfigurationError, SignatureInvalid
from lifeboat.model.canonical import canonical_bytes
from lifeboat.model.signed import Signer, TrustedKeys

STATEMENT = {"b": 1, "a": ["é", "\U0001f6df", None], "kind": "test"}


def unspoilt(raw: bytes) -> bool:
    try:
        TRUSTED.verify(raw, where="x.json")
    except SignatureInvalid:
        return False
    return True


def envelope(**changes: Any) -> bytes:
    return canonical_bytes(json.loads(SIGNER.sign(STATEMENT)) | changes)


def pem(
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed448.Ed448PrivateKey, password: bytes = b""
) -> str:
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
    ).decode()


def test_signed_statement_verifies_to_itself() -> None:
    assert TRUSTED.verify(SIGNER.sign(STATEMENT), where="x.json") == STATEMENT


def test_signing_is_deterministic() -> None:
    assert SIGNER.sign(STATEMENT) == SIGNER.sign(dict(reversed(STATEMENT.items())))


@pytest.mark.skipif(
    not (shutil.which("jq") and shutil.which("openssl")), reason="jq and openssl are not installed"
)
def test_manifest_is_verified_by_jq_and_openssl_alone(tmp_path: Path) -> None:
    """The very commands of docs/format.md."""
    (tmp_path / "manifest.json").write_bytes(signed(manifest(1, doubts=("Größe \U0001f6df",))))
    (tmp_path / "signing.pub").write_text(SIGNER.public_pem)
    script = """
        jq -cSj .statement manifest.json > statement
        jq -rj .signature manifest.json | base64 -d > signature
        openssl pkeyutl -verify -pubin -inkey signing.pub -rawin -in statement -sigfile signature
    """

    done = subprocess.run(["sh", "-ec", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "Signature Verified Successfully")

    altered = (tmp_path / "manifest.json").read_text().replace('"good"', '"soso"')
    (tmp_path / "manifest.json").write_text(altered)
    assert (
        subprocess.run(["sh", "-ec", script], cwd=tmp_path, capture_output=True, check=False).returncode != 0
    )


def test_bit_flips_inside_the_statement_or_key_are_refused() -> None:
    raw = SIGNER.sign(STATEMENT)
    text = json.loads(raw)["signature"].encode()
    spared = raw.index(text) + len(text) - 3  # the digit of the test below

    assert [flip for flip in flips(raw) if flip // 8 != spared and unspoilt(flipped(raw, flip))] == []


def test_every_single_bit_flip_is_refused() -> None:
    raw = SIGNER.sign(STATEMENT)

    assert [flip for flip in flips(raw) if unspoilt(flipped(raw, flip))] == []


def flips(raw: bytes) -> range:
    return range(len(raw) * 8)


def flipped(raw: bytes, bit: int) -> bytes:
    changed = bytearray(raw)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def test_every_cut_and_every_appended_byte_is_refused() -> None:
    raw = SIGNER.sign(STATEMENT)

    assert [length for length in range(len(raw)) if unspoilt(raw[:length])] == []
    assert [byte for byte in range(256) if unspoilt(raw + bytes([byte]))] == []


def test_altered_statement_is_refused_by_name() -> None:
    raw = envelope(statement=STATEMENT | {"b": 2})

    with pytest.raises(SignatureInvalid, match=r"^x\.json was altered after it was signed") as caught:
        TRUSTED.verify(raw, where="x.json")
    assert caught.value.security


def test_signature_of_another_statement_is_refused() -> None:
    other = json.loads(SIGNER.sign({"kind": "other"}))

    assert not unspoilt(envelope(signature=other["signature"]))


def test_unknown_key_is_named_with_the_way_out() -> None:
    with pytest.raises(
        SignatureInvalid, match=f"signed by key {STRANGER.key_id}, which is not trusted"
    ) as caught:
        TRUSTED.verify(STRANGER.sign(STATEMENT), where="x.json")

    assert SIGNER.key_id in caught.value.message
    assert "rotation" in caught.value.hint


def test_strangers_signature_under_our_key_id_is_refused() -> None:
    assert not unspoilt(canonical_bytes(json.loads(STRANGER.sign(STATEMENT)) | {"key": SIGNER.key_id}))


@pytest.mark.parametrize(
    "raw",
    [
        canonical_bytes(STATEMENT),
        canonical_bytes({"statement": STATEMENT}),
        canonical_bytes([STATEMENT]),
        canonical_bytes("text"),
        b"null",
        b"",
        b"\x00\xff",
        envelope(signature=""),
        envelope(signature="not base64!"),
        envelope(signature=None),
        envelope(signature=base64.b64encode(bytes(63)).decode()),
        envelope(signature="é"),
        envelope(key=None),
        envelope(key=["a"]),
        envelope(statement="text"),
        envelope(statement=[1]),
        envelope(novelty=1),
    ],
)
def test_unsigned_or_misshapen_file_is_refused(raw: bytes) -> None:
    with pytest.raises(SignatureInvalid, match=r"^x\.json "):
        TRUSTED.verify(raw, where="x.json")


def test_pretty_printed_file_is_refused_though_its_signature_would_fit() -> None:
    assert not unspoilt(json.dumps(json.loads(SIGNER.sign(STATEMENT)), indent=1).encode())


def test_keys_before_a_rotation_are_trusted_as_long_as_they_are_listed() -> None:
    both = TrustedKeys.from_pems(SIGNER.public_pem, STRANGER.public_pem)

    assert both.verify(SIGNER.sign(STATEMENT), where="x") == both.verify(STRANGER.sign(STATEMENT), where="x")


def test_nobody_is_trusted_without_keys() -> None:
    with pytest.raises(SignatureInvalid):
        TrustedKeys.from_pems().verify(SIGNER.sign(STATEMENT), where="x")


def test_key_id_is_stable_and_the_private_key_shows_in_no_repr() -> None:
    assert SIGNER.key_id == Signer.from_pem(signing_key(1)).key_id != STRANGER.key_id
    assert repr(SIGNER) == f"Signer({SIGNER.key_id})"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no PEM",
        SIGNER.public_pem,
        pem(rsa.generate_private_key(65537, 2048)),
        pem(ec.generate_private_key(ec.SECP256R1())),
        pem(ed448.Ed448PrivateKey.generate()),
        pem(ec.generate_private_key(ec.SECP256R1()), b"password"),
    ],
    ids=["empty", "text", "public", "rsa", "ec", "ed448", "encrypted"],
)
def test_other_private_key_is_refused_and_never_quoted(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Signer.from_pem(text)

    assert "lifeboat keygen signing" in caught.value.hint
    assert not any(line in str(caught.value) for line in text.splitlines() if len(line) > 10)


@pytest.mark.parametrize("text", ["", "no PEM", signing_key(1)], ids=["empty", "text", "private"])
def test_other_public_key_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError):
        TrustedKeys.from_pems(SIGNER.public_pem, text)
