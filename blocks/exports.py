"""Exports over HTTP to back up, by the policy's URL and the credential in the source's block."""

from __future__ import annotations

from blocks.checked import load_block, source_block
from blocks.http_export import HttpExport
from lifeboat.adapters.http_export import Export, PlainExport
from lifeboat.adapters.http_session import Endpoint
from lifeboat.adapters.kubernetes import KubernetesExport
from lifeboat.adapters.rabbitmq import RabbitMQExport
from lifeboat.model.kubernetes import ResourceChoice
from lifeboat.model.policy_sources import ExportSource, KubernetesSource, RabbitMQSource


def load_export(environment_name: str, service: str, source_name: str, source: ExportSource) -> Export:
    """The export of a source, from the block that the policy names or ``<environment>-<service>-<source>``.

    Raises ``ConfigurationError`` that names the block. Nothing is asked of the service yet.
    """
    name = source_block(environment_name, service, source_name, source)
    return _export(source, load_block(HttpExport, name).endpoint(source.url))


def _export(source: ExportSource, endpoint: Endpoint) -> Export:
    if isinstance(source, KubernetesSource):
        choice = ResourceChoice(source.include, source.exclude)
        return KubernetesExport(endpoint, source.namespaces, choice, source.unreadable == "finding")
    return RabbitMQExport(endpoint) if isinstance(source, RabbitMQSource) else PlainExport(endpoint)
