"""Where drills are tested: an environment with a good backup of a database and of files, and sandboxes of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from support.anchorage import Anchorage, anchorage
from support.folders import let_through

from flows.backup import backup_environment
from lifeboat.model.manifest import Manifest
from lifeboat.stages.keygen import write_private

ROWS = 5000


class Dock:
    """An environment with a good backup of a database and of files, and a policy whose sandboxes lie in a folder."""

    def __init__(self, harbour: Anchorage, folder: Path) -> None:
        self.harbour = harbour
        self.sandboxes = folder / "sandboxes"
        self.pages = folder / "pages"
        documents = folder / "documents"
        documents.mkdir()
        for number in range(20):
            (documents / f"{number}.txt").write_text(f"letter {number}")
        source = {
            "kind": "files",
            "url": documents.as_uri(),
            "consistency": "crash",
            "classification": {"confidentiality": "high", "integrity": "high", "availability": "high"},
        }
        path = Path(harbour.policy("drills", services__main__sources__documents=source))
        path.write_text(
            path.read_text() + f"drills: {{folder: {self.sandboxes}, pages: {self.pages}, older: false}}\n"
        )
        self.policy = str(path)

    @property
    def store(self) -> Path:
        return self.harbour.folder / "store"

    @contextlib.contextmanager
    def damaged(self, manifest: Manifest) -> Iterator[None]:
        """One bit of the part with the rows of ``shop`` is wrong meanwhile."""
        index = self.harbour.ship.open(manifest)
        shop = next(database for database in index.databases if database.name == "shop")
        part = self.store / index.part(shop.tables[0].part).name
        sound = part.read_bytes()
        part.write_bytes(sound[:100] + bytes([sound[100] ^ 1]) + sound[101:])
        try:
            yield
        finally:
            part.write_bytes(sound)

    def nothing_is_left(self) -> bool:
        """No sandbox, and no server that ran in one. The mark of a drill without a record stays for the next."""
        running = [
            each
            for each in psutil.process_iter(["cmdline"])
            if str(self.sandboxes) in str(each.info["cmdline"])
        ]
        return not running and not list(self.sandboxes.glob("[!b]*"))


@contextlib.contextmanager
def docked(folder: Path) -> Iterator[Dock]:
    """One with blocks at the Prefect server of this process, and the identity where this process looks for it."""
    let_through(folder)  # PostgreSQL's own user must get to its sandbox
    with anchorage(folder, rows=ROWS) as harbour, pytest.MonkeyPatch.context() as patch:
        harbour.register()
        write_private(folder / "identity", harbour.ship.operations.identity + "\n")
        patch.setenv("LIFEBOAT_IDENTITY_FILE", str(folder / "identity"))
        made = Dock(harbour, folder)
        backup_environment("demo", policy=made.policy)
        yield made
