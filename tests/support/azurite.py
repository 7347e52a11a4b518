"""Azurite, Microsoft's own emulator of Azure's blobs: a server from the npm registry, the version pinned.

It is installed once into the user's cache. What a machine without npm cannot do is skipped, with ``AZURITE_MISSING``.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from azure.core.credentials import AccessToken
from azure.storage.blob import BlobServiceClient, ContainerClient
from support.s3 import QUICK

from lifeboat.adapters.azure_files_share import AccountKey
from lifeboat.adapters.tree_blob import BlobTreeTarget
from lifeboat.model.patterns import Selection

VERSION = "3.37.0"
ACCOUNT = "lifeboattest"
KEY = base64.b64encode(b"canary of the account key, 64 bytes".ljust(64, b".")).decode()
AZURITE_MISSING = (
    "" if shutil.which("npm") and shutil.which("node") else "npm and node are not installed: no Azurite"
)


@dataclass
class Azurite:
    url: str
    """Of the account."""
    log: Path
    _read: int = 0

    @property
    def port(self) -> int:
        return int(self.url.split(":")[2].partition("/")[0])

    def container(self, name: str) -> ContainerClient:
        """Microsoft's synchronous client, to put things there; the container is made."""
        credential = {"account_name": ACCOUNT, "account_key": KEY}
        client = BlobServiceClient(self.url, credential=credential).get_container_client(name)
        if not client.exists():
            client.create_container()
        return client

    def put(self, name: str, blobs: dict[str, bytes], **properties: Any) -> None:
        client = self.container(name)
        with ThreadPoolExecutor(8) as pool:
            for done in [
                pool.submit(client.upload_blob, blob, content, overwrite=True, **properties)
                for blob, content in blobs.items()
            ]:
                done.result()

    def target(
        self,
        container: str,
        folder: str = "",
        *,
        port: int | None = None,
        selection: Selection | None = None,
        **changes: Any,
    ) -> BlobTreeTarget:
        told = {"credential": AccountKey(ACCOUNT, KEY), "endpoint": self.url, "patience": QUICK, **changes}
        if port:
            told["endpoint"] = self.url.replace(str(self.port), str(port))
        return BlobTreeTarget(ACCOUNT, container, folder, selection=selection or Selection(), **told)

    def asked(self) -> list[str]:
        """Request lines since the last time."""
        time.sleep(0.5)  # it writes them a little later
        text = self.log.read_text()
        new, self._read = text[self._read :], len(text)
        return [line.split('"')[1].rsplit(" ", 1)[0] for line in new.splitlines() if '"' in line]


class UnsignedTokens:
    """Of ``azure.identity.aio``: tokens that Azurite takes, which looks at all of them but for the signature."""

    async def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        assert scopes == ("https://storage.azure.com/.default",)
        now = int(time.time())
        claims = {"aud": "https://storage.azure.com", "iss": "https://sts.windows.net/tenant/"}
        times = {"iat": now - 60, "nbf": now - 60, "exp": now + 600}
        parts = ({"alg": "RS256", "typ": "JWT"}, {**claims, **times})
        text = b".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in parts)
        return AccessToken(text.decode() + ".c2lnbmVk", now + 600)

    async def close(self) -> None: ...


def installed_azurite() -> Path:
    """The folder it is installed in. Skips the test if the registry does not give it."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lifeboat-tests"
    final = cache / f"azurite-{VERSION}"
    if final.is_dir():
        return final
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        done = subprocess.run(
            ["npm", "install", "--no-fund", "--no-audit", "--ignore-scripts", f"azurite@{VERSION}"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=280,
        )
        if done.returncode != 0:
            pytest.skip(f"npm could not install azurite: {done.stderr[-500:]}")
        with contextlib.suppress(OSError):  # somebody else was faster
            Path(folder).rename(final)
            Path(folder).mkdir()
    return final


@contextlib.contextmanager
def running_azurite(folder: Path, *options: str, scheme: str = "http") -> Iterator[Azurite]:
    """An empty one, with one account; its data is in memory and ends with it."""
    program = installed_azurite() / "node_modules/azurite/dist/src/blob/main.js"
    log = folder / "azurite.log"
    command = ["node", str(program), "--blobHost", "127.0.0.1", "--blobPort", "0", "--inMemoryPersistence"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--skipApiVersionCheck", "--disableTelemetry", *options],
            cwd=folder,
            env={**os.environ, "AZURITE_ACCOUNTS": f"{ACCOUNT}:{KEY}"},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            yield Azurite(f"{scheme}://127.0.0.1:{_port(process, log)}/{ACCOUNT}", log)
        finally:
            process.terminate()
            process.wait(10)


def _port(process: subprocess.Popen[bytes], log: Path) -> int:
    for _ in range(600):
        found = re.search(r"successfully listens on https?://127\.0\.0\.1:(\d+)", log.read_text())
        if found:
            return int(found[1])
        if process.poll() is not None:
            break
        time.sleep(0.1)
    raise AssertionError(f"Azurite does not listen: {log.read_text()}")
