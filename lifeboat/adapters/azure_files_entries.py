"""Entries of an Azure file share: what a listing says of them, and which names there can be."""

from __future__ import annotations

import datetime as dt
from typing import Any, Final

from lifeboat.errors import SourceError

_FORBIDDEN: Final = frozenset('"\\:|<>*?') | {chr(code) for code in (*range(32), 127)}
"""What no name may hold (Microsoft: Naming and referencing shares, directories, files, and metadata)."""
_LONGEST_NAME: Final = 255
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def info(path: str, properties: Any, written: str | None = None) -> dict[str, Any]:  # noqa: ANN401 - of the SDK
    """fsspec's description of an entry, from a listing or from the properties of one file.

    ``written`` is the header with the last write time: the SDK gives that of a listing as text with seven digits,
    that of properties as an instant with six, and both must compare equal.
    """
    moment = nanoseconds(written or str(properties.last_write_time))
    return {
        "name": path,
        "type": "directory" if properties.is_directory else "file",
        "size": 0 if properties.is_directory else int(properties.size),
        "mtime": _EPOCH + dt.timedelta(microseconds=moment // 1000),
        "mtime_ns": moment,
        "etag": str(properties.etag or "").strip('"'),
        "file_id": properties.file_id,
    }


def nanoseconds(text: str) -> int:
    """Since 1970, of ``2026-11-23T07:24:11.9426210Z``; the digits behind a microsecond count too."""
    moment, _, fraction = text.removesuffix("Z").partition(".")
    try:
        seconds = dt.datetime.fromisoformat(moment).replace(tzinfo=dt.UTC) - _EPOCH
        return int(seconds.total_seconds()) * 10**9 + int((fraction or "0").ljust(9, "0")[:9])
    except ValueError as error:
        raise SourceError(
            f"Azure Files gave {text!r} as the time of an entry.",
            hint="The listing came without times: look for a proxy that alters requests.",
        ) from error


def written_time(mtime_ns: int) -> str:
    """The text of an instant, as ``nanoseconds`` reads it: seven digits behind the point."""
    seconds, rest = divmod(mtime_ns, 10**9)
    return f"{_EPOCH + dt.timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S}.{rest // 100:07d}Z"


def checked(path: str, label: str) -> str:
    """``path`` if it can be one of a file or folder in a share; raises ``SourceError`` (F43).

    Dots are refused before they travel: on the way to the service ``a/../b`` becomes ``b``.
    """
    for name in path.split("/"):
        if name in ("", ".", "..") or len(name) > _LONGEST_NAME or _FORBIDDEN & set(name):
            raise SourceError(
                f"{path!r} cannot be a path on {label}.",
                hint='No part may be empty, a dot or two, longer than 255 characters, or hold one of "\\:|<>*?.',
            )
    return path
