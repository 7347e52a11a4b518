"""Trees that lie elsewhere, through the flows: shares of an Azure account, a folder of an SSH server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.anchorage import Anchorage, anchorage
from support.filerest import FileRestServer, running_server
from support.postgres import MAJORS
from support.sshd import SSHD, SshServer, account, public_line, running_sshd
from support.trees import make_hostile_tree

from blocks import AzureFileShares, SftpAccount
from blocks.trees import load_tree
from flows.backup import backup_environment
from lifeboat.adapters.policy_file import read_policy
from lifeboat.errors import SourcesFailed
from lifeboat.model.policy_sources import PostgresSource
from lifeboat.model.restore_choice import choose
from lifeboat.stages.doctor import Verdict, check_tree
from lifeboat.stages.fetch import fetch_tree_index, read_catalog
from lifeboat.stages.restore_tree import restore_tree

pytestmark = [
    pytest.mark.prefect,
    pytest.mark.postgres,
    pytest.mark.skipif(not MAJORS, reason="no PostgreSQL server is installed"),
]
RULES = {"classification": {"confidentiality": "high", "integrity": "high", "availability": "high"}}


@pytest.fixture(scope="module")
def harbour(prefect_server: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Anchorage]:
    with anchorage(tmp_path_factory.mktemp("harbour"), rows=1000) as made:
        made.register()
        yield made


@pytest.fixture
def shares(tmp_path: Path) -> Iterator[FileRestServer]:
    with running_server(tmp_path / "account") as server:
        AzureFileShares(authentication="key", key=server.account_key, endpoint=server.url).save(
            "demo-main-documents", overwrite=True
        )
        yield server


@pytest.fixture
def files(tmp_path: Path) -> Iterator[SshServer]:
    with account() as user, running_sshd(user) as server:
        key = server.key.export_private_key().decode()
        block = SftpAccount(user=user, host_key=public_line(server.host_key), private_key=key)
        block.save("demo-main-documents", overwrite=True)
        yield server


def policy_of(harbour: Anchorage, source: dict[str, Any]) -> str:
    return harbour.policy("far", services__main__sources__documents={**source, **RULES})


def azure_source(server: FileRestServer) -> dict[str, Any]:
    return {
        "kind": "azure-files",
        "account": server.account_name,
        "shares": ["documents", "images"],
        "snapshot": "own",
        "consistency": "snapshot",
    }


def sftp_source(server: SshServer) -> dict[str, Any]:
    return {"kind": "files", "url": f"sftp://127.0.0.1:{server.port}{server.folder}", "consistency": "live"}


def restored(harbour: Anchorage, folder: Path) -> dict[bytes, bytes]:
    """What the newest backup of the tree gives back, by path."""
    ship = harbour.ship
    catalog = read_catalog(ship.store, "demo", "main-documents", ship.keys.trusted)
    assert catalog.doubts == ()
    index = fetch_tree_index(ship.store, choose(catalog).manifest, [ship.operations.identity])
    with ship.loader() as loader:
        restore_tree(index, folder, loader)
    return contents(folder)


def contents(folder: Path) -> dict[bytes, bytes]:
    top = bytes(folder)
    return {bytes(path)[len(top) + 1 :]: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_shares_of_an_account_are_frozen_with_their_databases_and_come_back_equal(
    harbour: Anchorage, shares: FileRestServer, tmp_path: Path
) -> None:
    expected = {}
    for name in ("documents", "images"):
        share = shares.share(name)
        for number in range(20):
            (share.folder / f"{number}").mkdir()
            (share.folder / f"{number}" / "ä letter.txt").write_bytes(name.encode() * number)
            expected[f"{name}/{number}/ä letter.txt".encode()] = name.encode() * number

    databases, documents = backup_environment("demo", policy=policy_of(harbour, azure_source(shares)))

    assert documents.state == "committed"
    assert documents.files == 40
    assert databases.data_timestamp and documents.data_timestamp
    # The share tells its snapshot's time by a clock of its own; here it is this machine's.
    assert abs((documents.data_timestamp - databases.data_timestamp).total_seconds()) < 5
    assert restored(harbour, tmp_path / "restored") == expected
    assert [shares.shares.get(name).snapshots for name in ("documents", "images")] == [{}, {}]


def test_share_that_is_gone_is_red_and_names_it(harbour: Anchorage, shares: FileRestServer) -> None:
    shares.share("documents")

    with pytest.raises(SourcesFailed, match=r"lacks file shares that the policy names: 'images'"):
        backup_environment("demo", policy=policy_of(harbour, azure_source(shares)), only=["main/documents"])


@pytest.mark.sshd
@pytest.mark.skipif(SSHD is None, reason="no OpenSSH server is installed")
def test_folder_of_an_ssh_server_comes_back_equal_with_hostile_names(
    harbour: Anchorage, files: SshServer, tmp_path: Path
) -> None:
    expected = make_hostile_tree(files.folder)
    policy = policy_of(harbour, sftp_source(files))

    (outcome,) = backup_environment("demo", policy=policy, only=["main/documents"])

    assert (outcome.state, outcome.files) == ("committed", len(expected))
    assert restored(harbour, tmp_path / "restored") == expected


@pytest.mark.sshd
@pytest.mark.skipif(SSHD is None, reason="no OpenSSH server is installed")
def test_server_with_another_host_key_is_red(harbour: Anchorage, files: SshServer) -> None:
    block = SftpAccount.load("demo-main-documents")
    assert isinstance(block, SftpAccount)
    with running_sshd(files.user) as other:
        block.host_key = public_line(other.host_key)
    block.save("demo-main-documents", overwrite=True)

    with pytest.raises(SourcesFailed, match="host key"):
        backup_environment("demo", policy=policy_of(harbour, sftp_source(files)), only=["main/documents"])


def test_doctor_reads_a_share_as_a_backup_would_and_leaves_no_snapshot(
    harbour: Anchorage, shares: FileRestServer
) -> None:
    shares.share("images")
    (shares.share("documents").folder / "a").write_bytes(b"a")
    source = (
        read_policy(Path(policy_of(harbour, azure_source(shares))))
        .environment("demo")
        .services["main"]
        .sources["documents"]
    )
    assert not isinstance(source, PostgresSource)

    (check,) = check_tree("shares", load_tree("demo", "main", "documents", source))

    assert (check.verdict, check.message) == (
        Verdict.OK,
        "file shares 'documents', 'images' of storage account 127.0.0.1 can be read",
    )
    assert [shares.shares.get(name).snapshots for name in ("documents", "images")] == [{}, {}]
