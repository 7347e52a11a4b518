"""Flow tests share one Prefect server."""

from __future__ import annotations

from support.prefect_server import prefect_server

__all__ = ["prefect_server"]
