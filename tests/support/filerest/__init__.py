"""Azure Files' REST protocol on real directories: what the unmodified SDK talks to in the tests.

A share is a folder, a share snapshot is a copy of it. Signatures are verified from the documented rules, not by
Microsoft's code. Two independent clients pass against it (azure-storage-file-share and Apache OpenDAL), so it is
not shaped to ours.

What it cannot prove: latency and limits of the real service, RBAC, open SMB handles, and that a real share snapshot
is taken in one instant.
"""

from support.filerest.faults import Fault
from support.filerest.server import FileRestServer, running_server
from support.filerest.shares import Share, Snapshot

__all__ = ["Fault", "FileRestServer", "Share", "Snapshot", "running_server"]
