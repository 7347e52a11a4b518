"""File shares of Azure to back up, by the policy's names and the credential in the source's block."""

from __future__ import annotations

from blocks.azure_file_shares import AzureFileShares
from blocks.checked import load_block, source_block
from lifeboat.adapters.azure_files_origin import AzureFilesOrigin
from lifeboat.model.manifest import chain_name
from lifeboat.model.patterns import Selection
from lifeboat.model.policy_sources import AzureFilesSource


def load_shares(
    environment_name: str, service: str, source_name: str, source: AzureFilesSource
) -> AzureFilesOrigin:
    """The shares of a source, from the block that the policy names or ``<environment>-<service>-<source>``.

    Raises ``ConfigurationError`` that names the block. Nothing is asked of the account yet.
    """
    block = load_block(AzureFileShares, source_block(environment_name, service, source_name, source))
    return AzureFilesOrigin(
        shares=tuple(block.share(source.account, name) for name in source.shares),
        rule=source.snapshot,
        environment=environment_name,
        source=chain_name(service, source_name),
        skipped=source.skip,
        selection=Selection(source.include, source.exclude),
    )
