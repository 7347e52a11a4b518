"""Exports over HTTP to back up, by the policy's URL and the credential in the source's block."""

from __future__ import annotations

from blocks.checked import load_block
from blocks.http_export import HttpExport
from lifeboat.adapters.http_export import Export, PlainExport
from lifeboat.adapters.rabbitmq import RabbitMQExport
from lifeboat.model.manifest import chain_name
from lifeboat.model.policy_sources import ExportSource, RabbitMQSource


def load_export(environment_name: str, service: str, source_name: str, source: ExportSource) -> Export:
    """The export of a source, from the block that the policy names or ``<environment>-<service>-<source>``.

    Raises ``ConfigurationError`` that names the block. Nothing is asked of the service yet.
    """
    name = source.block or f"{environment_name}-{chain_name(service, source_name)}"
    endpoint = load_block(HttpExport, name).endpoint(source.url)
    return RabbitMQExport(endpoint) if isinstance(source, RabbitMQSource) else PlainExport(endpoint)
