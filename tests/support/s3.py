"""moto's server of S3 on loopback. Its router takes no line feed in a key: those are Azurite's to show."""

from __future__ import annotations

import contextlib
import json
import logging
import re
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import boto3
from moto.server import ThreadedMotoServer

from lifeboat.adapters.tree import Entry, OpenFile
from lifeboat.adapters.tree_object import ObjectTree, Patience
from lifeboat.adapters.tree_s3 import S3TreeTarget
from lifeboat.model.patterns import Selection

SECRET = "S3CRET-canary"
QUICK = Patience(retries=3, first_wait=0.01, silence=2)


@dataclass(frozen=True)
class Overwritten:
    """A tree in which one object is overwritten whenever it is opened, the first ``times``."""

    target: S3TreeTarget
    path: bytes
    times: int

    @property
    def label(self) -> str:
        return self.target.label

    @contextlib.contextmanager
    def connect(self) -> Iterator[OverwrittenTree]:
        with self.target.connect() as tree:
            yield OverwrittenTree(self, tree)


@dataclass
class OverwrittenTree:
    told: Overwritten
    tree: ObjectTree
    opened: int = 0

    def walk(self) -> Iterator[Entry]:
        return self.tree.walk()

    def look_again(self, path: bytes) -> Entry | None:
        return self.tree.look_again(path)

    def open(self, entry: Entry) -> OpenFile:
        if entry.path == self.told.path and self.opened < self.told.times:
            self.opened += 1
            service = S3Service(int(self.told.target.endpoint.rpartition(":")[2]))
            service.client().put_object(
                Bucket=self.told.target.bucket, Key=entry.path.decode(), Body=b"newer %d" % self.opened
            )
        return self.tree.open(entry)


class _Log(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@dataclass
class S3Service:
    port: int
    log: _Log = field(default_factory=_Log)
    access_key: str = "id"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, service: str = "s3") -> Any:
        """Amazon's own client, to put things there."""
        return boto3.client(
            service,
            endpoint_url=self.url,
            aws_access_key_id="seed",
            aws_secret_access_key="seed",
            region_name="us-east-1",
        )

    def put(self, bucket: str, objects: dict[str, bytes], **headers: Any) -> None:
        client = self.client()
        client.create_bucket(Bucket=bucket)
        for key, content in objects.items():
            client.put_object(Bucket=bucket, Key=key, Body=content, **headers)

    def target(
        self,
        bucket: str,
        folder: str = "",
        *,
        port: int | None = None,
        selection: Selection | None = None,
        **changes: Any,
    ) -> S3TreeTarget:
        return S3TreeTarget(
            bucket,
            folder,
            self.access_key,
            SECRET,
            f"http://127.0.0.1:{port or self.port}",
            selection=selection or Selection(),
            patience=QUICK,
            **changes,
        )

    def asked(self) -> list[str]:
        """Request lines since the last time, like ``GET /bucket?list-type=2``."""
        lines, self.log.lines = self.log.lines, []
        return [found[0] for line in lines if (found := re.search(r"[A-Z]+ /\S*", line))]

    @contextlib.contextmanager
    def permitting_only(self, *statements: dict[str, Any]) -> Iterator[S3TreeTarget]:
        """Keys count from here on; the service has one of an account that may do no more than ``statements``."""
        iam = self.client("iam")
        iam.create_user(UserName="reader")
        key = iam.create_access_key(UserName="reader")["AccessKey"]
        document = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
        iam.put_user_policy(UserName="reader", PolicyName="reading", PolicyDocument=document)
        self._check_keys("0")
        try:
            yield S3TreeTarget(
                "docs", "", key["AccessKeyId"], key["SecretAccessKey"], self.url, patience=QUICK
            )
        finally:
            self._check_keys("inf")

    def _check_keys(self, after_requests: str) -> None:
        request = urllib.request.Request(
            f"{self.url}/moto-api/reset-auth",
            data=after_requests.encode(),
            headers={"Content-Type": "text/plain"},
            method="POST",
        )
        urllib.request.urlopen(request).close()


@contextlib.contextmanager
def running_s3() -> Iterator[S3Service]:
    """Empty; one at a time, since moto keeps its buckets for the whole process."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    service = S3Service(port)
    requests = logging.getLogger("werkzeug")
    level = requests.level
    requests.setLevel(logging.INFO)
    requests.addHandler(service.log)
    try:
        urllib.request.urlopen(urllib.request.Request(f"{service.url}/moto-api/reset", method="POST")).close()
        yield service
    finally:
        requests.removeHandler(service.log)
        requests.setLevel(level)
        server.stop()
