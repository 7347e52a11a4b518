"""The XML of listings and errors."""

from __future__ import annotations

import re
from collections.abc import Iterable
from email.utils import formatdate
from urllib.parse import quote
from xml.sax.saxutils import escape

from support.filerest.shares import Listed, Share, Snapshot, file_time

_NO_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


def error(code: str, message: str) -> bytes:
    return _document(f"<Error><Code>{escape(code)}</Code><Message>{escape(message)}</Message></Error>")


def entries(found: Iterable[Listed], next_marker: str, *, share: str, detailed: bool) -> bytes:
    body = "".join(_entry(item, detailed) for item in found)
    return _document(
        f'<EnumerationResults ServiceEndpoint="http://test/" ShareName="{escape(share)}" DirectoryPath="">'
        f"<Entries>{body}</Entries><NextMarker>{escape(next_marker)}</NextMarker></EnumerationResults>"
    )


def _entry(item: Listed, detailed: bool) -> str:
    moment = file_time(item.mtime_ns)
    size = "" if item.directory else f"<Content-Length>{item.size}</Content-Length>"
    times = (
        f"<CreationTime>{moment}</CreationTime><LastAccessTime>{moment}</LastAccessTime>"
        f"<LastWriteTime>{moment}</LastWriteTime><ChangeTime>{moment}</ChangeTime>"
        f"<Last-Modified>{http_date(item.mtime_ns)}</Last-Modified><Etag>{escape(item.etag)}</Etag>"
        if detailed
        else ""
    )
    kind = "Directory" if item.directory else "File"
    return (
        f"<{kind}>{_name(item.name)}<FileId>{item.file_id}</FileId>"
        f"<Properties>{size}{times}</Properties></{kind}>"
    )


def _name(name: str) -> str:
    """A name that XML cannot hold is percent-encoded and says so (since REST version 2021-12-02)."""
    if _NO_XML.search(name):
        return f'<Name Encoded="true">{quote(name)}</Name>'
    return f"<Name>{escape(name)}</Name>"


def shares(found: Iterable[tuple[Share, Snapshot | None]]) -> bytes:
    body = "".join(_share(share, snapshot) for share, snapshot in found)
    return _document(
        '<EnumerationResults ServiceEndpoint="http://test/">'
        f"<Shares>{body}</Shares><NextMarker /></EnumerationResults>"
    )


def _share(share: Share, snapshot: Snapshot | None) -> str:
    metadata = snapshot.metadata if snapshot else {}
    leased = bool(snapshot and snapshot.leased)
    return (
        f"<Share><Name>{escape(share.name)}</Name>"
        + (f"<Snapshot>{snapshot.id}</Snapshot>" if snapshot else "")
        + f"<Properties><Last-Modified>{http_date(0)}</Last-Modified><Etag>&quot;0x1&quot;</Etag><Quota>5120</Quota>"
        + f"<LeaseStatus>{'locked' if leased else 'unlocked'}</LeaseStatus>"
        + f"<LeaseState>{'leased' if leased else 'available'}</LeaseState></Properties><Metadata>"
        + "".join(f"<{name}>{escape(value)}</{name}>" for name, value in metadata.items())
        + "</Metadata></Share>"
    )


def http_date(mtime_ns: int) -> str:
    return formatdate(mtime_ns / 1e9, usegmt=True)


def _document(text: str) -> bytes:
    return b'<?xml version="1.0" encoding="utf-8"?>' + text.encode()
