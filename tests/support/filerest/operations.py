"""What each operation does to the folders, and what it answers."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from support.filerest import answers
from support.filerest.shares import (
    Rejected,
    Share,
    Shares,
    Snapshot,
    described,
    file_time,
    find,
    find_parent,
    from_file_time,
    listed,
    place,
)

_LARGEST_RANGE = 4 * 2**20
_LARGEST_PAGE = 5000


@dataclass(frozen=True)
class Request:
    method: str
    share: str
    names: list[str]
    query: dict[str, str]
    headers: dict[str, str]
    """In lower case."""
    body: bytes

    @property
    def operation(self) -> str:
        """Its name in the counters and faults."""
        what = self.query.get("restype") or ("file" if self.names else "account")
        action = self.query.get("comp", "")
        if what == "share" and self.method == "DELETE" and self.query.get("sharesnapshot"):
            return "delete-snapshot"
        return _NAMES[self.method, what, action]

    @property
    def snapshot(self) -> str | None:
        return self.query.get("sharesnapshot")


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @classmethod
    def error(cls, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Answer:
        own = {"x-ms-error-code": code, "Content-Type": "application/xml"}
        return cls(status, own | (headers or {}), answers.error(code, message))


_NAMES = {
    ("GET", "account", "list"): "list-shares",
    ("PUT", "share", ""): "create-share",
    ("PUT", "share", "snapshot"): "create-snapshot",
    ("GET", "share", ""): "share-properties",
    ("HEAD", "share", ""): "share-properties",
    ("DELETE", "share", ""): "delete-share",
    ("PUT", "directory", ""): "create-directory",
    ("GET", "directory", ""): "directory-properties",
    ("HEAD", "directory", ""): "directory-properties",
    ("DELETE", "directory", ""): "delete-directory",
    ("GET", "directory", "list"): "list-entries",
    ("PUT", "directory", "rename"): "rename-directory",
    ("PUT", "directory", "properties"): "set-directory-properties",
    ("PUT", "file", ""): "create-file",
    ("PUT", "file", "range"): "put-range",
    ("PUT", "file", "properties"): "set-properties",
    ("PUT", "file", "rename"): "rename-file",
    ("GET", "file", ""): "get-file",
    ("HEAD", "file", ""): "file-properties",
    ("DELETE", "file", ""): "delete-file",
}


def perform(shares: Shares, request: Request) -> Answer:
    """Raises Rejected with the service's code."""
    name = request.operation
    if name == "list-shares":
        return _list_shares(shares, request)
    if name == "create-share":
        shares.add(request.share)
        return Answer(201, {"ETag": '"0x1"', "Last-Modified": answers.http_date(0)})
    share = shares.get(request.share)
    if name == "delete-share":
        shares.remove(share.name)
        return Answer(202)
    if request.snapshot is not None and request.method != "GET" and request.method != "HEAD":
        if name != "delete-snapshot":
            raise Rejected(400, "InvalidQueryParameterValue")
        share.thaw(request.snapshot)
        return Answer(202)
    with share.lock:
        return _OPERATIONS[name](share, request)


def _list_shares(shares: Shares, request: Request) -> Answer:
    found: list[tuple[Share, Snapshot | None]] = []
    for name in sorted(shares.by_name):
        if name.startswith(request.query.get("prefix", "")):
            if "snapshots" in request.query.get("include", "").lower():
                found += [(shares.by_name[name], taken) for taken in shares.by_name[name].snapshots.values()]
            found.append((shares.by_name[name], None))
    return Answer(200, {"Content-Type": "application/xml"}, answers.shares(found))


def _create_snapshot(share: Share, request: Request) -> Answer:
    own = {name[10:]: value for name, value in request.headers.items() if name.startswith("x-ms-meta-")}
    taken = share.freeze(own)
    return Answer(201, {"x-ms-snapshot": taken.id, "ETag": '"0x1"', "Last-Modified": answers.http_date(0)})


def _share_properties(share: Share, request: Request) -> Answer:
    share.tree(request.snapshot)
    return Answer(200, {"ETag": '"0x1"', "Last-Modified": answers.http_date(0), "x-ms-share-quota": "5120"})


def _create_directory(share: Share, request: Request) -> Answer:
    path = place(share.folder, request.names)
    if path.exists():
        raise Rejected(409, "ResourceAlreadyExists")
    path.mkdir()
    _set_time(path, request.headers.get("x-ms-file-last-write-time", "now"))
    return Answer(201, _facts(share, path))


def _rename_directory(share: Share, request: Request) -> Answer:
    source = unquote(urlsplit(request.headers["x-ms-file-rename-source"]).path).split("/")[2:]
    old, new = find(share.folder, source), place(share.folder, request.names)
    if not old.is_dir():
        raise Rejected(409, "ResourceTypeMismatch")
    if new.exists():  # ReplaceIfExists is about files: a folder is never replaced
        raise Rejected(409, "ResourceAlreadyExists")
    old.rename(new)
    for path in [path for path in share.encodings if path.is_relative_to(old)]:
        share.encodings[new / path.relative_to(old)] = share.encodings.pop(path)
    return Answer(200, _facts(share, new))


def _set_directory_properties(share: Share, request: Request) -> Answer:
    path = find(share.folder, request.names)
    if not path.is_dir():
        raise Rejected(404, "ResourceNotFound")
    _set_time(path, request.headers.get("x-ms-file-last-write-time", "preserve"))
    return Answer(200, _facts(share, path))


def _directory_properties(share: Share, request: Request) -> Answer:
    path = find(share.tree(request.snapshot), request.names)
    if not path.is_dir():
        raise Rejected(404, "ResourceNotFound")
    return Answer(200, _facts(share, path))


def _delete_directory(share: Share, request: Request) -> Answer:
    path = find(share.folder, request.names)
    if any(path.iterdir()):
        raise Rejected(409, "DirectoryNotEmpty")
    path.rmdir()
    return Answer(202)


def _list_entries(share: Share, request: Request) -> Answer:
    folder = find(share.tree(request.snapshot), request.names)
    if not folder.is_dir():
        raise Rejected(404, "ResourceNotFound")
    after = base64.urlsafe_b64decode(request.query.get("marker", "")).decode()
    prefix = request.query.get("prefix", "").casefold()
    limit = min(int(request.query.get("maxresults", _LARGEST_PAGE)), _LARGEST_PAGE)
    page, marker = [], ""
    for item in listed(folder):
        if item.name > after and item.name.casefold().startswith(prefix):
            if len(page) == limit:
                marker = base64.urlsafe_b64encode(page[-1].name.encode()).decode()
                break
            page.append(item)
    detailed = "timestamps" in request.query.get("include", "").lower()
    body = answers.entries(page, marker, share=share.name, detailed=detailed)
    return Answer(200, {"Content-Type": "application/xml"}, body)


def _create_file(share: Share, request: Request) -> Answer:
    path = place(share.folder, request.names)
    if path.is_dir():
        raise Rejected(409, "ResourceTypeMismatch")
    with path.open("wb") as file:
        file.truncate(int(request.headers["x-ms-content-length"]))
    share.encodings[path] = request.headers.get("x-ms-content-encoding", "")
    _set_time(path, request.headers.get("x-ms-file-last-write-time", "now"))
    return Answer(201, _facts(share, path))


def _put_range(share: Share, request: Request) -> Answer:
    path = _file(share.folder, request)
    first, last = _range(request, 0)
    size = path.stat().st_size
    if last >= size or last - first >= _LARGEST_RANGE:
        raise Rejected(416, "InvalidRange")
    data = (
        request.body if request.headers.get("x-ms-write", "update") == "update" else bytes(last - first + 1)
    )
    if len(data) != last - first + 1:
        raise Rejected(400, "InvalidHeaderValue")
    before = path.stat().st_mtime_ns
    with path.open("r+b") as file:
        file.seek(first)
        file.write(data)
    if request.headers.get("x-ms-file-last-write-time", "now").lower() == "preserve":
        os.utime(path, ns=(before, before))
    return Answer(201, _facts(share, path))


def _set_properties(share: Share, request: Request) -> Answer:
    path = _file(share.folder, request)
    if "x-ms-content-length" in request.headers:
        os.truncate(path, int(request.headers["x-ms-content-length"]))
    if "x-ms-content-encoding" in request.headers:
        share.encodings[path] = request.headers["x-ms-content-encoding"]
    _set_time(path, request.headers.get("x-ms-file-last-write-time", "preserve"))
    return Answer(200, _facts(share, path))


def _rename_file(share: Share, request: Request) -> Answer:
    source = unquote(urlsplit(request.headers["x-ms-file-rename-source"]).path).split("/")[2:]
    old, new = find(share.folder, source), place(share.folder, request.names)
    if new.exists() and request.headers.get("x-ms-file-rename-replace-if-exists") != "true":
        raise Rejected(409, "ResourceAlreadyExists")
    old.rename(new)
    share.encodings[new] = share.encodings.pop(old, "")
    _set_time(new, request.headers.get("x-ms-file-last-write-time", "preserve"))
    return Answer(200, _facts(share, new))


def _get_file(share: Share, request: Request) -> Answer:
    path = _file(share.tree(request.snapshot), request)
    data_size = path.stat().st_size
    facts = _facts(share, path)
    if "x-ms-range" not in request.headers and "range" not in request.headers:
        return Answer(200, facts, path.read_bytes())
    first, last = _range(request, data_size)
    if first >= data_size:
        raise Rejected(416, "InvalidRange")
    with path.open("rb") as file:
        file.seek(first)
        data = file.read(last - first + 1)
    facts["Content-Range"] = f"bytes {first}-{first + len(data) - 1}/{data_size}"
    if request.headers.get("x-ms-range-get-content-md5") == "true":
        facts["Content-MD5"] = base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
    return Answer(206, facts, data)


def _file_properties(share: Share, request: Request) -> Answer:
    path = _file(share.tree(request.snapshot), request)
    return Answer(200, _facts(share, path) | {"Content-Length": str(path.stat().st_size)})


def _delete_file(share: Share, request: Request) -> Answer:
    _file(share.folder, request).unlink()
    return Answer(202)


def _file(top: Path, request: Request) -> Path:
    find_parent(top, request.names)
    path = find(top, request.names)
    if path.is_dir():
        raise Rejected(404, "ResourceNotFound")
    return path


def _range(request: Request, size: int) -> tuple[int, int]:
    match = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("x-ms-range") or request.headers["range"])
    if not match:
        raise Rejected(400, "InvalidHeaderValue")
    return int(match[1]), int(match[2]) if match[2] else size - 1


def _facts(share: Share, path: Path) -> dict[str, str]:
    item = described(path)
    moment = file_time(item.mtime_ns)
    encoding = share.encodings.get(path, "")
    return {
        "ETag": item.etag,
        "Last-Modified": answers.http_date(item.mtime_ns),
        "x-ms-type": "Directory" if item.directory else "File",
        "x-ms-file-attributes": "Directory" if item.directory else "Archive",
        "x-ms-file-creation-time": moment,
        "x-ms-file-last-write-time": moment,
        "x-ms-file-change-time": moment,
        "x-ms-file-id": item.file_id,
        "x-ms-file-parent-id": "0",
        "x-ms-file-permission-key": "0*0",
        "x-ms-server-encrypted": "true",
        **({"Content-Encoding": encoding} if encoding else {}),
    }


def _set_time(path: Path, text: str) -> None:
    if text.lower() not in ("now", "preserve"):
        moment = from_file_time(text)
        os.utime(path, ns=(moment, moment))


_OPERATIONS: dict[str, Callable[[Share, Request], Answer]] = {
    "create-snapshot": _create_snapshot,
    "share-properties": _share_properties,
    "create-directory": _create_directory,
    "directory-properties": _directory_properties,
    "delete-directory": _delete_directory,
    "list-entries": _list_entries,
    "rename-directory": _rename_directory,
    "set-directory-properties": _set_directory_properties,
    "create-file": _create_file,
    "put-range": _put_range,
    "set-properties": _set_properties,
    "rename-file": _rename_file,
    "get-file": _get_file,
    "file-properties": _file_properties,
    "delete-file": _delete_file,
}
