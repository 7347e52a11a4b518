"""Places to restore trees to, each with its real server, and a look at them past all code of ours."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.filerest import FileRestServer, Share, running_server
from support.sshd import SshServer, account, running_sshd

from lifeboat.adapters.azure_files_share import AccountKey, AzureShare
from lifeboat.adapters.target_azure import AzureRestoreTarget
from lifeboat.adapters.target_local import LocalRestoreTarget
from lifeboat.adapters.target_sftp import SftpRestoreTarget
from lifeboat.adapters.tree_target import RestoreTarget


@dataclass
class Place:
    """``top`` is the folder on this machine in which the server keeps what is written; ``target`` makes one in it."""

    top: Path
    target: Callable[..., RestoreTarget]
    server: Any = None

    def beside(self, name: str) -> list[Path]:
        """Incomplete folders of a target."""
        return sorted(path for path in self.top.iterdir() if path.name.startswith(f"{name}.incomplete-"))


def sftp_target(server: SshServer, folder: str, **changes: Any) -> SftpRestoreTarget:
    known = {name: value for name, value in vars(server.target()).items() if value is not None}
    return SftpRestoreTarget(**{**known, "folder": folder, **changes})


def azure_target(server: FileRestServer, share: Share, folder: str, **changes: Any) -> AzureRestoreTarget:
    key = AccountKey(server.account_name, server.account_key)
    settings = {"first_wait": 0.01, "retries": 1, **changes}
    return AzureRestoreTarget(AzureShare(server.url, share.name, key, **settings), folder)


@contextlib.contextmanager
def place(kind: str, folder: Path) -> Iterator[Place]:
    """An empty place of a kind: ``local``, ``sftp``, ``azure``."""
    if kind == "local":
        top = folder / "place"
        top.mkdir()
        yield Place(top, lambda name: LocalRestoreTarget(top / name))
    elif kind == "sftp":
        with account() as user, running_sshd(user) as server:
            yield Place(
                server.folder,
                lambda name, **more: sftp_target(server, f"{server.folder}/{name}", **more),
                server,
            )
    else:
        (folder / "filerest").mkdir()
        with running_server(folder / "filerest") as filerest:
            share = filerest.share("documents")
            yield Place(
                share.folder, lambda name, **more: azure_target(filerest, share, name, **more), filerest
            )


def files_below(top: Path) -> dict[bytes, bytes]:
    """Content by path, of plain files; links are not followed."""
    return {
        os.fsencode(path.relative_to(top)): path.read_bytes()
        for path in top.rglob("*")
        if path.is_file() and not path.is_symlink()
    }
