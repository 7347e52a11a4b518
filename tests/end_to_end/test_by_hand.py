"""The commands of recovery/README.md restore a database that is equal to the original, without any code of ours."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from support.postgres import MAJORS, dump_text
from support.sailing import Ship

from cli.demo_data import fill
from lifeboat.adapters.postgres_cluster import Cluster
from lifeboat.adapters.store_local import LocalTarget

MISSING = [tool for tool in ("age", "zstd", "jq", "openssl") if shutil.which(tool) is None]
pytestmark = [
    pytest.mark.postgres,
    pytest.mark.skipif(not MAJORS, reason="no PostgreSQL server is installed"),
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
]
DOCUMENT = Path(__file__).parents[2] / "recovery/README.md"


def test_documented_commands_bring_back_an_equal_database(tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    with Cluster(tmp_path / "postgres", MAJORS[-1], settings={"fsync": "off"}) as cluster:
        fill(cluster.server)
        ship = Ship(
            server=cluster.server,
            store=LocalTarget(store),
            folder=tmp_path,
            databases=("shop", "fleet", "archive 2024"),
        )
        manifest = ship.backup().manifest
        (tmp_path / "identity").write_text(ship.escrow.identity)
        (tmp_path / "public.pem").write_text(ship.signing.public_pem)
        commands = "\n".join(re.findall(r"```sh\n(.*?)```", DOCUMENT.read_text(), re.DOTALL))
        programs = Path(cluster.server.program("psql", cluster.major)).parent
        environment = cluster.server.environment() | {
            "MANIFEST": manifest.file_name,
            "PUBLIC": str(tmp_path / "public.pem"),
            "IDENTITY": str(tmp_path / "identity"),
            "DATABASE": "shop",
            "TARGET": "by_hand",
            "PATH": f"{programs}:/usr/bin:/bin",
        }

        done = subprocess.run(
            ["bash", "-c", f"set -eu\n{commands}"], cwd=store, env=environment, capture_output=True, text=True
        )

        assert done.returncode == 0, done.stderr
        assert dump_text(cluster.server, "by_hand", cluster.major) == dump_text(
            cluster.server, "shop", cluster.major
        )
