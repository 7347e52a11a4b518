from __future__ import annotations

import os
import stat
from pathlib import Path

import pyrage
import pytest

from lifeboat.errors import ConfigurationError
from lifeboat.model.signed import Signer, TrustedKeys
from lifeboat.stages.fetch import read_identities
from lifeboat.stages.keygen import new_identity, new_signing_key, write_private


def test_new_identity_opens_what_was_sealed_for_its_recipient() -> None:
    pair = new_identity()
    sealed = pyrage.encrypt(b"cargo", [pyrage.x25519.Recipient.from_str(pair.recipient)])
    assert pyrage.decrypt(sealed, [pyrage.x25519.Identity.from_str(pair.identity)]) == b"cargo"


def test_new_keys_made_twice_differ() -> None:
    assert new_identity().recipient != new_identity().recipient
    assert new_signing_key().public_pem != new_signing_key().public_pem


def test_new_signing_key_signs_what_its_public_half_verifies() -> None:
    pair = new_signing_key()
    signed = Signer.from_pem(pair.private_pem).sign({"place": 1})
    assert TrustedKeys.from_pems(pair.public_pem).verify(signed, where="a test") == {"place": 1}


def test_key_pairs_in_a_traceback_show_no_private_half() -> None:
    age, signing = new_identity(), new_signing_key()
    assert age.recipient in repr(age)
    assert age.identity not in repr(age)
    assert "PRIVATE" not in repr(signing)


def test_private_file_when_written_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    path, pair = tmp_path / "identity", new_identity()
    before = os.umask(0)
    try:
        write_private(path, pair.identity)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o400
    assert read_identities(path) == (pair.identity,)


@pytest.mark.parametrize("kind", ["file", "link", "dangling link"])
def test_private_file_that_exists_is_refused_and_left_as_it_was(tmp_path: Path, kind: str) -> None:
    path, elsewhere = tmp_path / "identity", tmp_path / "elsewhere"
    if kind == "dangling link":
        path.symlink_to(elsewhere)
    else:
        (path if kind == "file" else elsewhere).write_text("the only key there is")
        if kind == "link":
            path.symlink_to(elsewhere)
    with pytest.raises(ConfigurationError, match="exists already") as caught:
        write_private(path, "AGE-SECRET-KEY-1NEW")
    assert "AGE-SECRET-KEY" not in str(caught.value)
    if kind == "dangling link":
        assert not elsewhere.exists()
    else:
        assert path.read_text() == "the only key there is"


def test_private_file_in_a_folder_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file or directory"):
        write_private(tmp_path / "nowhere" / "identity", "AGE-SECRET-KEY-1NEW")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_private_file_on_a_full_disk_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "identity"
    real_open = os.open

    def open_full(name: Path, flags: int, mode: int = 0o777) -> int:
        os.close(real_open(name, flags, mode))  # the file is made, its bytes find no room
        return real_open("/dev/full", os.O_WRONLY)

    monkeypatch.setattr(os, "open", open_full)
    with pytest.raises(ConfigurationError, match="No space left"):
        write_private(path, "AGE-SECRET-KEY-1NEW")
    assert not path.exists()
