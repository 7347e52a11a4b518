"""A folder of this machine as store."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from blocks.checked import DOCUMENTATION, CheckedBlock, prefect_logo
from lifeboat.adapters.store_local import LocalTarget


class LocalStore(CheckedBlock):
    """A folder of the worker's machine: a mounted disk, or the demonstration's.

    Attributes:
        folder: The existing folder.

    Example:
        List what an environment's store holds:
        ```python
        from blocks import LocalStore

        target = LocalStore.load("BLOCK_NAME").target()
        with target.connect() as store:
            names = [found.name for found in store.list()]
        ```
    """

    _block_type_name = "Local Store"
    _block_type_slug = "local-store"
    _documentation_url = DOCUMENTATION
    _logo_url = prefect_logo("filesystem")

    folder: str = Field(
        min_length=1, description="Absolute path of an existing folder; it is never made here."
    )

    def target(self) -> LocalTarget:
        """The store as the stages know it."""
        return LocalTarget(Path(self.folder))

    def _check(self) -> None:
        if not Path(self.folder).is_absolute():
            raise ValueError(
                "the folder is relative; where a worker was started from is chance: begin with /"
            )
