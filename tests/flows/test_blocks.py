"""Blocks on a real Prefect server: what they refuse, what they give, and how they are held against the policy."""

from __future__ import annotations

import re
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError
from prefect.blocks.core import Block
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL
from prefect.testing.standard_test_suites import BlockStandardTestSuite
from pydantic import SecretStr, ValidationError
from support.prefect_server import server_environment

import blocks
from blocks import (
    AzureBlobs,
    AzureFileShares,
    HttpExport,
    IndexIdentity,
    LocalStore,
    NasStore,
    PostgresServer,
    Recipients,
    S3Bucket,
    SftpAccount,
    SigningKey,
    SigningPublicKeys,
)
from blocks.apply import AppliedBlock, apply_blocks
from blocks.declared import KINDS
from blocks.harbour import (
    load_block_server,
    load_keys,
    load_prune_store,
    load_server,
    load_store,
    load_trusted,
)
from blocks.objects import load_object_tree
from blocks.trees import load_tree
from lifeboat.adapters.azure_files_share import AccountKey, EntraCredential, SharedAccessSignature
from lifeboat.adapters.entra import EntraPassword
from lifeboat.adapters.http_session import BearerToken, Endpoint, UserPassword
from lifeboat.adapters.policy_file import read_policy
from lifeboat.adapters.store_local import LocalTarget
from lifeboat.adapters.store_sftp import SftpTarget
from lifeboat.adapters.tree_blob import BlobTreeTarget
from lifeboat.adapters.tree_s3 import S3TreeTarget
from lifeboat.errors import ConfigurationError, PolicyError, SignatureInvalid, SourceError
from lifeboat.model.patterns import Selection
from lifeboat.model.policy_environment import Environment, StoreRules
from lifeboat.model.policy_sources import FilesSource, PostgresSource
from lifeboat.stages.keygen import new_identity, new_signing_key

pytestmark = pytest.mark.prefect

ROOT = Path(__file__).resolve().parents[2]
CANARY = "S3CRET-canary"
HOST_KEY = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()
OTHER_HOST_KEY = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()
KEYS = [new_identity() for _ in range(3)]


@pytest.fixture
def production() -> Environment:
    return read_policy(Path("digital-automotive")).environment("production")


@pytest.fixture
def postgres_source(production: Environment) -> PostgresSource:
    source = production.services["main"].sources["databases"]
    assert isinstance(source, PostgresSource)
    return source


def pg_fields(**changes: Any) -> dict[str, Any]:
    return {"host": "db.example", "user": "lifeboat", "password": CANARY, **changes}


def nas_fields(**changes: Any) -> dict[str, Any]:
    return {
        "host": "nas.example",
        "user": "upload",
        "folder": "/backups",
        "host_key": HOST_KEY,
        "password": CANARY,
        **changes,
    }


# Every block, by Prefect's own standards


class TestBlocksMeetPrefectsStandards(BlockStandardTestSuite):
    @pytest.fixture(params=sorted(KINDS))
    def block(self, request: pytest.FixtureRequest) -> type[Block]:
        return KINDS[request.param]

    def test_has_a_valid_image(self, block: type[Block]) -> None:
        """The suite's own test fetches the logo from the internet; here it is enough that there is one."""
        assert block._logo_url is not None
        assert block._logo_url.scheme == "https"


def test_package_shows_exactly_our_blocks_under_the_slugs_they_keep_for_ever() -> None:
    visible = {
        thing.get_block_type_slug(): thing
        for thing in vars(blocks).values()
        if isinstance(thing, type) and issubclass(thing, Block)
    }
    assert visible == KINDS
    assert {slug: kind.get_block_type_name() for slug, kind in visible.items()} == {
        "postgres-server": "PostgreSQL Server",
        "azure-file-shares": "Azure File Shares",
        "sftp-account": "SFTP Account",
        "s3-bucket": "S3 Bucket",
        "azure-blobs": "Azure Blobs",
        "http-export": "HTTP Export",
        "nas-store": "NAS Store",
        "local-store": "Local Store",
        "recipients": "Recipients",
        "signing-key": "Signing Key",
        "signing-public-keys": "Signing Public Keys",
        "index-identity": "Index Identity",
    }


def test_block_types_when_registered_by_prefects_command_are_exactly_ours(
    prefect_server: None, tmp_path: Path
) -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / "prefect", "block", "register", "-m", "blocks"],
        cwd=ROOT,
        env=server_environment(tmp_path, PREFECT_API_URL=str(PREFECT_API_URL.value())),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"registered {len(KINDS)} blocks" in done.stdout
    assert [
        kind.get_block_type_name() for kind in KINDS.values() if kind.get_block_type_name() not in done.stdout
    ] == []


def test_document_names_every_block_type() -> None:
    rows = re.findall(r"^\| `([\w-]+)` \|", (ROOT / "docs/how-to/blocks.md").read_text(), re.MULTILINE)
    assert set(rows) == set(KINDS)


def test_no_block_can_hold_an_identity_that_opens_parts() -> None:
    secrets = {slug: kind.model_json_schema()["secret_fields"] for slug, kind in KINDS.items()}
    assert {slug: fields for slug, fields in secrets.items() if fields} == {
        "postgres-server": ["password"],
        "azure-file-shares": ["key", "sas"],
        "sftp-account": ["private_key", "passphrase", "password"],
        "s3-bucket": ["secret_key"],
        "azure-blobs": ["key", "sas"],
        "http-export": ["password", "token"],
        "nas-store": ["private_key", "passphrase", "password"],
        "signing-key": ["private_key"],
        "index-identity": ["identity"],
    }


# What each one gives


def test_postgres_server_gives_a_server_that_checks_certificates_and_asks_for_its_password() -> None:
    server = PostgresServer(**pg_fields(port=25060)).server()
    assert (server.label, server.tls_mode) == ("lifeboat@db.example:25060", "verify-full")
    assert server.password() == CANARY
    assert CANARY not in repr(server)


def test_nas_store_gives_a_target_with_the_pinned_key() -> None:
    target = NasStore(**nas_fields(port=2222)).target()
    assert target == SftpTarget("nas.example", "upload", "/backups", HOST_KEY, port=2222, password=CANARY)
    assert CANARY not in repr(target)


def test_local_store_gives_a_target_in_its_folder(tmp_path: Path) -> None:
    assert LocalStore(folder=str(tmp_path)).target() == LocalTarget(tmp_path)


def test_signing_keys_after_a_rotation_trust_what_the_earlier_key_signed() -> None:
    earlier, present = new_signing_key(), new_signing_key()
    trusted = SigningPublicKeys(public_keys=[present.public_pem, earlier.public_pem]).trusted()
    for pair in (earlier, present):
        signer = SigningKey(private_key=SecretStr(pair.private_pem)).signer()
        assert trusted.verify(signer.sign({"place": 1}), where="a test") == {"place": 1}
    stranger = SigningKey(private_key=SecretStr(new_signing_key().private_pem)).signer()
    with pytest.raises(SignatureInvalid):
        trusted.verify(stranger.sign({"place": 1}), where="a test")


def test_index_identity_from_a_file_of_age_keygen_gives_its_recipient() -> None:
    text = f"# created: 2026-11-23T01:15:00Z\n# public key: {KEYS[0].recipient}\n{KEYS[0].identity}\n"
    block = IndexIdentity(identity=SecretStr(text))
    assert block.recipient() == KEYS[0].recipient
    assert block.identity.get_secret_value() == KEYS[0].identity


@pytest.mark.parametrize(
    ("fields", "credential"),
    [
        ({"user": "keeper", "password": CANARY}, UserPassword("keeper", CANARY)),
        ({"authentication": "token", "token": CANARY}, BearerToken(CANARY)),
        ({"authentication": "none"}, None),
    ],
)
def test_http_export_gives_an_endpoint_at_the_policys_address(
    fields: dict[str, Any], credential: UserPassword | BearerToken | None
) -> None:
    endpoint = HttpExport(**fields, ca_file="/etc/ca.pem").endpoint("https://rabbit.example")
    assert endpoint == Endpoint("https://rabbit.example", credential, ca_file="/etc/ca.pem")
    assert CANARY not in repr(endpoint)


@pytest.mark.parametrize(
    ("fields", "credential"),
    [
        ({"authentication": "key", "key": CANARY}, AccountKey("daproduction", CANARY)),
        ({"authentication": "sas", "sas": f"sig={CANARY}"}, SharedAccessSignature(f"sig={CANARY}")),
        ({}, EntraCredential()),
    ],
)
def test_azure_file_shares_give_a_share_of_the_policys_account(
    fields: dict[str, Any], credential: object
) -> None:
    share = AzureFileShares(**fields).share("daproduction", "images")
    assert (share.account_url, share.share) == ("https://daproduction.file.core.windows.net", "images")
    assert share.credential == credential
    assert CANARY not in repr(share)


def test_sftp_account_gives_a_tree_at_the_policys_address_with_the_pinned_key() -> None:
    block = SftpAccount(user="reader", host_key=HOST_KEY, password=CANARY)
    tree = block.tree("files.example", 2222, "/srv/documents")
    assert (tree.label, tree.host_key) == ("sftp://reader@files.example:2222/srv/documents", HOST_KEY)
    assert CANARY not in repr(tree)


def test_s3_bucket_gives_a_tree_at_the_policys_bucket() -> None:
    block = S3Bucket(access_key="id", secret_key=CANARY, endpoint="https://fra1.digitaloceanspaces.com")
    tree = block.tree("documents", "invoices/2026")
    assert tree == S3TreeTarget(
        "documents", "invoices/2026", "id", CANARY, "https://fra1.digitaloceanspaces.com", "us-east-1"
    )
    assert tree.label == "s3://documents/invoices/2026 at fra1.digitaloceanspaces.com"
    assert CANARY not in repr(tree) + tree.label


@pytest.mark.parametrize(
    ("fields", "credential"),
    [
        ({"authentication": "key", "key": CANARY}, AccountKey("damedia", CANARY)),
        ({"authentication": "sas", "sas": f"sig={CANARY}"}, SharedAccessSignature(f"sig={CANARY}")),
        ({}, EntraCredential()),
    ],
)
def test_azure_blobs_give_a_tree_of_the_policys_container(fields: dict[str, Any], credential: object) -> None:
    tree = AzureBlobs(account="damedia", **fields).tree("documents", "")
    assert tree == BlobTreeTarget("damedia", "documents", "", credential)  # type: ignore[arg-type]
    assert tree.label == "abfs://documents/ at damedia.blob.core.windows.net"
    assert CANARY not in repr(tree) + tree.label


@pytest.mark.parametrize(
    ("url", "label"),
    [
        ("s3://Old.Bucket/a%20b//c#d/", "s3://Old.Bucket/a b//c#d"),
        ("s3://documents/", "s3://documents/"),
        ("abfs://documents/ä", "abfs://documents/ä at damedia.blob.core.windows.net"),
    ],
)
@pytest.mark.parametrize(("given", "name"), [(None, "production-main-files"), ("archive", "archive")])
def test_object_tree_is_loaded_from_the_block_that_the_policy_means(
    clean_server: None, url: str, label: str, given: str | None, name: str
) -> None:
    classification = {"confidentiality": "high", "integrity": "high", "availability": "high"}
    source = FilesSource.model_validate(
        {
            "kind": "files",
            "url": url,
            "block": given,
            "include": ["*.pdf"],
            "exclude": ["tmp"],
            "consistency": "live",
            "classification": classification,
        }
    )
    with pytest.raises(ConfigurationError, match=f"There is no (s3-bucket|azure-blobs) block '{name}'"):
        load_object_tree("production", "main", "files", source)
    S3Bucket(access_key="id", secret_key=CANARY).save(name)
    AzureBlobs(account="damedia").save(name)
    tree = load_object_tree("production", "main", "files", source)
    assert isinstance(tree, S3TreeTarget | BlobTreeTarget)
    assert (tree.label, tree.selection) == (label, Selection(("*.pdf",), ("tmp",)))


# What each one refuses


@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        (PostgresServer, pg_fields(port=6432), "PgBouncer"),
        (PostgresServer, pg_fields(port=25061), "PgBouncer"),
        (PostgresServer, pg_fields(password=None), "the password is missing"),
        (PostgresServer, pg_fields(authentication="entra"), "exclude each other"),
        (PostgresServer, pg_fields(tls_mode="prefer"), "tls_mode"),
        (HttpExport, {"user": "u"}, "lacks password"),
        (HttpExport, {"password": CANARY}, "lacks user"),
        (HttpExport, {"authentication": "token", "token": CANARY, "user": "u"}, "has no user"),
        (HttpExport, {"authentication": "none", "token": CANARY}, "has no token"),
        (HttpExport, {"user": "a:b", "password": CANARY}, "has a colon"),
        (HttpExport, {"authentication": "token", "token": f"Bearer {CANARY}"}, "white space"),
        (NasStore, nas_fields(host_key=""), "host_key"),
        (NasStore, nas_fields(host_key=" \n"), "No host key is pinned"),
        (NasStore, nas_fields(host_key="block"), "not a public key"),
        (NasStore, nas_fields(host_key=f"nas.example {HOST_KEY}"), "not a public key"),
        (NasStore, nas_fields(password=None), "neither a private key nor a password"),
        (NasStore, nas_fields(private_key=CANARY), "private key"),
        (AzureFileShares, {"authentication": "key"}, "lacks key"),
        (AzureFileShares, {"authentication": "sas", "sas": CANARY}, "no signature in it"),
        (AzureFileShares, {"key": CANARY}, "entra and key exclude each other"),
        (AzureFileShares, {"endpoint": f"https://a.example/?sig={CANARY}"}, "not one of a host alone"),
        (SftpAccount, {"user": "u", "host_key": HOST_KEY}, "neither a private key nor a password"),
        (SftpAccount, {"user": "u", "host_key": " ", "password": CANARY}, "No host key is pinned"),
        (S3Bucket, {"access_key": "id", "secret_key": ""}, "the secret key is empty"),
        (
            S3Bucket,
            {"access_key": "id", "secret_key": CANARY, "endpoint": "fra1"},
            "not the URL of a service",
        ),
        (AzureBlobs, {"account": "damedia", "authentication": "key"}, "lacks key"),
        (AzureBlobs, {"account": "damedia", "authentication": "sas", "sas": CANARY}, "no signature in it"),
        (AzureBlobs, {"account": "damedia", "sas": f"sig={CANARY}"}, "entra and sas exclude each other"),
        (AzureBlobs, {"account": "Da-Media", "authentication": "entra"}, "account"),
        (AzureBlobs, {"account": "damedia", "endpoint": f"https://a.example/?{CANARY}"}, "not the URL of a"),
        (AzureBlobs, {"account": "damedia", "endpoint": "http://a.example"}, "over https only"),
        (LocalStore, {"folder": "backups"}, "begin with /"),
        (Recipients, {"recipients": [KEYS[0].recipient]}, "one recipient is not enough"),
        (Recipients, {"recipients": [KEYS[0].recipient] * 2}, "stands here twice"),
        (Recipients, {"recipients": [KEYS[0].recipient, "age1nonsense"]}, "not an age recipient"),
        (Recipients, {"recipients": [KEYS[0].recipient, KEYS[1].identity]}, "an identity, which opens"),
        (SigningKey, {"private_key": CANARY}, "not an Ed25519 private key"),
        (SigningPublicKeys, {"public_keys": [CANARY]}, "not an Ed25519 public key"),
        (SigningPublicKeys, {"public_keys": []}, "without a public key"),
        (IndexIdentity, {"identity": CANARY}, "not an age identity"),
        (IndexIdentity, {"identity": KEYS[0].recipient}, "not an age identity"),
    ],
)
def test_block_that_nobody_could_use_is_refused_without_showing_its_secrets(
    kind: type[Block], fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError, match=message) as caught:
        kind(**fields)
    for secret in (CANARY, KEYS[1].identity, "BEGIN PRIVATE"):
        assert secret not in str(caught.value)


def test_nas_store_without_a_host_key_cannot_exist() -> None:
    fields = nas_fields()
    del fields["host_key"]
    with pytest.raises(ValidationError, match="host_key"):
        NasStore(**fields)


# Entra: azure-identity's own exceptions and token type around a credential of the test. A real
# DefaultAzureCredential needs a live tenant.


class FakeCredential:
    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []
        self.refuses = False

    def get_token(self, *scopes: str) -> AccessToken:
        self.asked.append(scopes)
        if self.refuses:
            raise ClientAuthenticationError(message=f"tenant says no to {CANARY}")
        return AccessToken(f"token {len(self.asked)}", 0)


def test_entra_password_asked_twice_fetches_two_tokens_for_postgresql() -> None:
    credential = FakeCredential()
    password = EntraPassword(credential)
    assert [password(), password()] == ["token 1", "token 2"]
    assert credential.asked == [("https://ossrdbms-aad.database.windows.net/.default",)] * 2


def test_entra_password_refused_by_entra_is_a_source_error_in_our_words() -> None:
    credential = FakeCredential()
    credential.refuses = True
    with pytest.raises(SourceError, match=r"gave no token .*ClientAuthenticationError") as caught:
        EntraPassword(credential)()
    assert CANARY not in str(caught.value)
    assert caught.value.__suppress_context__


def test_entra_password_without_azure_identity_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "azure.identity", None)
    server = PostgresServer(**pg_fields(authentication="entra", password=None)).server()
    with pytest.raises(ConfigurationError, match="azure-identity, which is not installed") as caught:
        server.password()
    assert "lifeboat[azure]" in str(caught.value)


def test_entra_server_is_made_without_asking_for_a_token() -> None:
    server = PostgresServer(**pg_fields(authentication="entra", password=None)).server()
    assert isinstance(server.password, EntraPassword)
    assert server.password.credential is None


# The example file, applied to a real server


@pytest.fixture
def example(tmp_path: Path) -> str:
    """docs/blocks.example.yaml with its secrets in real files."""
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    for name in ("nas-upload-key", "nas-prune-key", "reader-key"):
        key = asyncssh.generate_private_key("ssh-ed25519").export_private_key()
        (secrets / name).write_bytes(key)
    signing = new_signing_key()
    (secrets / "signing-key.pem").write_text(signing.private_pem)
    (secrets / "signing-key.pub.pem").write_text(signing.public_pem)
    (secrets / "rabbitmq-password").write_text(CANARY)
    (secrets / "kubernetes-token").write_text(CANARY)
    (secrets / "index-identity").write_text(new_identity().identity + "\n")
    return (ROOT / "docs/blocks.example.yaml").read_text().replace("/run/secrets", str(secrets))


@pytest.fixture
def clean_server(prefect_server: None) -> Iterator[None]:
    """No block of ours is left from, or for, another test."""
    _remove_blocks()
    yield
    _remove_blocks()


def _remove_blocks() -> None:
    with get_client(sync_client=True) as client:
        for document in client._client.post("/block_documents/filter", json={}).json():
            if document["block_type"]["slug"] in KINDS:
                client.delete_block_document(document["id"])


ENVIRON = {"KEYCLOAK_DATABASE_PASSWORD": CANARY, "SPACES_SECRET_KEY": CANARY}


def apply(text: str, *, dry_run: bool = False, environ: dict[str, str] = ENVIRON) -> list[AppliedBlock]:
    return apply_blocks(text, where="blocks.yaml", environ=environ, dry_run=dry_run)


def actions(applied: list[AppliedBlock]) -> dict[str, str]:
    return {f"{block.slug}/{block.name}": block.action for block in applied}


def test_example_applied_gives_all_that_production_of_the_policy_needs(
    clean_server: None, example: str, production: Environment
) -> None:
    assert set(actions(apply(example)).values()) == {"created"}
    keys = load_keys("production", production)
    assert len(keys.recipients) == len(production.recipients)
    assert load_trusted("production").keys.keys() == {keys.signer.key_id}
    upload, prune = load_store("production", production), load_prune_store("production", production)
    assert upload.label == "sftp://lifeboat-upload@nas.digital-automotive.example:22/backups/production"
    assert prune.label == "sftp://lifeboat-prune@nas.digital-automotive.example:22/backups/production"
    for service_name, service in production.services.items():
        for source_name, source in service.sources.items():
            if isinstance(source, PostgresSource):
                load_server("production", service_name, source_name, source)
            else:
                load_tree("production", service_name, source_name, source)
    assert load_block_server("production-restore").user == "lifeboat-restore"


def test_apply_twice_changes_nothing_the_second_time(clean_server: None, example: str) -> None:
    apply(example)
    assert set(actions(apply(example)).values()) == {"unchanged"}


def test_apply_after_a_change_updates_that_block_only(clean_server: None, example: str) -> None:
    apply(example)
    changed = actions(apply(example, environ={**ENVIRON, "KEYCLOAK_DATABASE_PASSWORD": "another"}))
    assert [name for name, action in changed.items() if action != "unchanged"] == [
        "postgres-server/production-authentication-database"
    ]
    assert load_block_server("production-authentication-database").password() == "another"


def test_apply_of_a_field_taken_out_empties_it_on_the_server(clean_server: None) -> None:
    declared = "blocks: [{type: postgres-server, name: a, fields: {host: db.example, user: u, %s}}]"
    apply(declared % "password: {environment: KEYCLOAK_DATABASE_PASSWORD}")
    assert actions(apply(declared % "authentication: entra")) == {"postgres-server/a": "updated"}
    assert PostgresServer.load("a").password is None


def test_apply_as_a_dry_run_tells_the_same_and_writes_nothing(
    clean_server: None, example: str, production: Environment
) -> None:
    assert set(actions(apply(example, dry_run=True)).values()) == {"created"}
    with pytest.raises(ConfigurationError, match="There is no recipients block 'production'"):
        load_keys("production", production)


def test_apply_over_a_block_that_the_ui_left_unusable_mends_it(clean_server: None, example: str) -> None:
    apply(example)
    spoil("recipients", "production", {"recipients": ["age1nonsense"]})
    assert actions(apply(example))["recipients/production"] == "updated"
    assert set(actions(apply(example)).values()) == {"unchanged"}


def spoil(slug: str, name: str, data: dict[str, Any]) -> None:
    """Store what our classes would refuse, as the UI may."""
    with get_client(sync_client=True) as client:
        document = client.read_block_document_by_name(name, slug)
        client._client.patch(f"/block_documents/{document.id}", json={"data": data}).raise_for_status()


MISTAKES = """\
blocks:
  - {type: nas-stor, name: a, fields: {}}
  - type: nas-store
    name: b
    fields: {hots: nas, password: S3CRET-canary, host_key: {environment: NOWHERE}}
  - {type: postgres-server, name: c, fields: {host: h, user: u, port: 6432, password: {environment: PW}}}
  - {type: postgres-server, name: c, fields: {host: h, user: u, tls_mode: off, password: {environment: PW}}}
  - {type: signing-key, name: d, fields: {private_key: {file: relative.pem}}}
  - {type: index-identity, name: d, fields: {identity: {file: /nowhere/identity}}}
  - {type: local-store, name: d, fields: {folder: {environmnt: X}}}
  - {type: index-identity, name: e, fields: {identity: {environment: PW}}}
"""


def test_apply_of_a_file_full_of_mistakes_tells_all_of_them_and_no_secret(prefect_server: None) -> None:
    with pytest.raises(PolicyError) as caught:
        apply(MISTAKES, environ={"PW": CANARY})
    assert [(problem.path, problem.message) for problem in caught.value.problems] == [
        ("blocks[0].type", "'nas-stor' is no block type of ours; did you mean 'nas-store'? (line 2)"),
        ("blocks[1].fields.host_key", "the environment variable NOWHERE is not set (line 5)"),
        ("blocks[1].fields.hots", "unknown key; did you mean 'host'? (line 5)"),
        (
            "blocks[1].fields.password",
            "a secret stands here, in a file that is under version control; write {environment: NAME} or "
            "{file: /path}, and replace the secret if it is a real one (line 5)",
        ),
        (
            "blocks[2].fields",
            "h:6432 is Azure's PgBouncer: a dump through a pooler breaks the application's sessions and loses its "
            "own. Use the server's own port: 5432 on Azure, 25060 on DigitalOcean. (line 6)",
        ),
        (
            "blocks[3].fields.tls_mode",
            "'off' is not one of 'verify-full', 'verify-ca', 'require' or 'disable' (line 7)",
        ),
        ("blocks[3].name", "postgres-server 'c' stands here twice (line 7)"),
        (
            "blocks[4].fields.private_key",
            "relative.pem is relative to nothing in particular; begin with / (line 8)",
        ),
        (
            "blocks[5].fields.identity",
            "/nowhere/identity cannot be read: No such file or directory (line 9)",
        ),
        (
            "blocks[6].fields.folder",
            "is neither a value, nor {environment: NAME}, nor {file: /path} (line 10)",
        ),
        ("blocks[7].fields", "the identity is not an age identity (AGE-SECRET-KEY-1…) (line 11)"),
    ]
    assert CANARY not in str(caught.value)


def test_apply_of_a_file_with_one_mistake_writes_none_of_its_blocks(clean_server: None, example: str) -> None:
    with pytest.raises(PolicyError):
        apply(f"{example}\n  - {{type: recipients, name: broken, fields: {{recipients: []}}}}\n")
    with pytest.raises(ConfigurationError, match="There is no"):
        load_trusted("production")


@pytest.mark.parametrize("text", ["", "[]", "blocks: 7", "blocks: [7]", "blocks: [{type: recipients}]", "{"])
def test_apply_of_a_file_of_another_shape_is_refused(prefect_server: None, text: str) -> None:
    with pytest.raises(PolicyError, match=r"blocks\.yaml has"):
        apply(text)


# Loading, and holding blocks against the policy


def test_block_missing_is_refused_with_its_type_its_name_and_the_command(
    clean_server: None, postgres_source: PostgresSource
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_server("production", "main", "databases", postgres_source)
    assert "There is no postgres-server block 'production-main-databases'." in str(caught.value)
    assert "lifeboat blocks apply FILE" in str(caught.value)


def test_block_left_unusable_by_the_ui_is_refused_with_the_reason(clean_server: None) -> None:
    NasStore(**nas_fields()).save("production")
    spoil("nas-store", "production", {"host_key": "whatever answers", "password": CANARY})
    environment = read_policy(Path("digital-automotive")).environment("production")
    with pytest.raises(
        ConfigurationError, match=r"nas-store block 'production' cannot be used: .*public key"
    ) as caught:
        load_store("production", environment)
    assert CANARY not in str(caught.value)


def test_loading_a_block_warns_of_nothing(clean_server: None) -> None:
    NasStore(**nas_fields()).save("production")
    environment = read_policy(Path("digital-automotive")).environment("production")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_store("production", environment)


@pytest.mark.parametrize("pinned", [{"host": "other.example"}, {"port": 25060}])
def test_server_other_than_the_policy_pins_is_refused_naming_both(
    clean_server: None, postgres_source: PostgresSource, pinned: dict[str, object]
) -> None:
    PostgresServer(**pg_fields(port=5433)).save("production-main-databases")
    source = PostgresSource.model_validate({**postgres_source.model_dump(exclude_unset=True), **pinned})
    with pytest.raises(ConfigurationError, match="policy pins") as caught:
        load_server("production", "main", "databases", source)
    found = "db.example" if "host" in pinned else 5433
    assert repr(found) in str(caught.value)
    assert repr(*pinned.values()) in str(caught.value)


def test_server_on_a_port_that_the_policy_leaves_open_is_the_blocks(
    clean_server: None, postgres_source: PostgresSource
) -> None:
    PostgresServer(**pg_fields(port=5433)).save("production-main-databases")
    assert load_server("production", "main", "databases", postgres_source).port == 5433


def test_server_of_a_source_with_a_block_of_its_own_comes_from_there(
    clean_server: None, postgres_source: PostgresSource
) -> None:
    PostgresServer(**pg_fields(user="elsewhere")).save("shared")
    source = postgres_source.model_copy(update={"block": "shared"})
    assert load_server("production", "main", "databases", source).user == "elsewhere"


def with_store(environment: Environment, **rules: Any) -> Environment:
    return environment.model_copy(update={"store": StoreRules.model_validate(rules)})


def test_store_without_a_prune_block_is_pruned_with_the_account_that_uploads(
    clean_server: None, production: Environment
) -> None:
    NasStore(**nas_fields()).save("production")
    environment = with_store(production, kind="sftp", host_key="block")
    assert load_prune_store("production", environment) == load_store("production", environment)


def test_store_gives_up_a_stalled_transfer_when_the_policy_says(
    clean_server: None, production: Environment
) -> None:
    NasStore(**nas_fields()).save("production")
    limits = production.limits.model_copy(update={"stall": production.limits.stall * 7})
    target = load_store("production", production.model_copy(update={"limits": limits}))
    assert isinstance(target, SftpTarget)
    assert target.stall_timeout == 7 * production.limits.stall.total_seconds()


def test_store_of_kind_local_comes_from_a_local_store_block(
    clean_server: None, production: Environment, tmp_path: Path
) -> None:
    LocalStore(folder=str(tmp_path)).save("attic")
    assert load_store("production", with_store(production, kind="local", block="attic")) == LocalTarget(
        tmp_path
    )


@pytest.mark.parametrize(
    "pin",
    [HOST_KEY, f"{HOST_KEY} nas's own comment", f"{OTHER_HOST_KEY}\n{HOST_KEY}"],
    ids=["alone", "with a comment", "one of two"],
)
def test_store_with_a_host_key_that_the_policy_pins_is_loaded(
    clean_server: None, production: Environment, pin: str
) -> None:
    NasStore(**nas_fields()).save("production")
    load_store("production", with_store(production, kind="sftp", host_key=pin))


@pytest.mark.parametrize(
    "pinned_by_block", [OTHER_HOST_KEY, f"{HOST_KEY}\n{OTHER_HOST_KEY}"], ids=["another", "one of two"]
)
def test_store_with_a_host_key_that_the_policy_does_not_pin_is_refused(
    clean_server: None, production: Environment, pinned_by_block: str
) -> None:
    NasStore(**nas_fields(host_key=pinned_by_block)).save("production")
    with pytest.raises(ConfigurationError, match="pins another host key"):
        load_store("production", with_store(production, kind="sftp", host_key=HOST_KEY))


# F33: recipients


def save_keys(recipients: list[str], *, index: str) -> None:
    Recipients(recipients=recipients).save("production")
    signing = new_signing_key()
    SigningKey(private_key=SecretStr(signing.private_pem)).save("production")
    SigningPublicKeys(public_keys=[signing.public_pem]).save("production")
    IndexIdentity(identity=SecretStr(index)).save("production")


def pinning(environment: Environment, *keys: str | None) -> Environment:
    rules = tuple(
        rule.model_copy(update={"key": key}) for rule, key in zip(environment.recipients, keys, strict=True)
    )
    return environment.model_copy(update={"recipients": rules})


def test_recipients_fewer_or_more_than_the_policy_names_are_refused(
    clean_server: None, production: Environment
) -> None:
    every = [pair.recipient for pair in [*KEYS, new_identity()]]
    save_keys(every[:2], index=new_identity().identity)
    with pytest.raises(
        ConfigurationError, match=r"has 2 recipients .* the policy names 3 \(operations, escrow, drill"
    ):
        load_keys("production", production)
    Recipients(recipients=every).save("production", overwrite=True)
    with pytest.raises(ConfigurationError, match="has 4 recipients"):
        load_keys("production", production)


def test_recipient_replaced_against_the_policys_pin_is_refused_by_name(
    clean_server: None, production: Environment
) -> None:
    save_keys([KEYS[0].recipient, new_identity().recipient, KEYS[2].recipient], index=new_identity().identity)
    with pytest.raises(ConfigurationError, match="lacks the key that the policy pins for escrow"):
        load_keys("production", pinning(production, KEYS[0].recipient, KEYS[1].recipient, None))


def test_index_identity_that_opens_parts_is_refused(clean_server: None, production: Environment) -> None:
    save_keys([pair.recipient for pair in KEYS], index=KEYS[1].identity)
    with pytest.raises(ConfigurationError, match="holds the identity of a recipient"):
        load_keys("production", production)


def test_keys_that_fit_the_policy_come_as_plain_values_that_show_no_secret(
    clean_server: None, production: Environment
) -> None:
    index = new_identity()
    save_keys([pair.recipient for pair in KEYS], index=index.identity)
    keys = load_keys("production", pinning(production, *(pair.recipient for pair in KEYS)))
    assert keys.recipients == tuple(pair.recipient for pair in KEYS)
    assert (keys.index_identity, keys.index_recipient) == (index.identity, index.recipient)
    assert keys.trusted.verify(keys.signer.sign({"place": 1}), where="a test") == {"place": 1}
    assert "AGE-SECRET-KEY" not in repr(keys)


def test_signing_key_that_nobody_would_trust_is_refused(clean_server: None, production: Environment) -> None:
    save_keys([pair.recipient for pair in KEYS], index=new_identity().identity)
    SigningPublicKeys(public_keys=[new_signing_key().public_pem]).save("production", overwrite=True)
    with pytest.raises(ConfigurationError, match="no backup of it would be trusted"):
        load_keys("production", production)
