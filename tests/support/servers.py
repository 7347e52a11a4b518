"""A PostgresServer that can be pickled into another process."""

from __future__ import annotations

from dataclasses import dataclass

from lifeboat.adapters.postgres import PostgresServer
from lifeboat.adapters.postgres_cluster import Cluster


@dataclass(frozen=True)
class FixedPassword:
    """A password callable without a closure."""

    text: str

    def __call__(self) -> str:
        return self.text

    @staticmethod
    def of(cluster: Cluster) -> PostgresServer:
        return PostgresServer(
            host="127.0.0.1",
            port=cluster.port,
            user="postgres",
            password=FixedPassword(cluster.password),
            tls_mode="disable",
        )
