"""The small values a policy is written with: durations, sizes, times of day, time zones, names.

Each one is text in the YAML file and a proper type in Python. A wrong one raises ``ValueError`` with a
message that shows how to write it; ``policy_problems`` puts the path in front.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import difflib
import re
import zoneinfo
from collections.abc import Iterable
from functools import cache
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, WithJsonSchema

DURATION_FORMS: Final = "30d, 24h, 45m, 60s or 1h 30m"
SIZE_FORMS: Final = "20 GiB, 500 MiB, 64 KiB or 4096 B"

_DURATION: Final = re.compile(r"(?:(\d{1,5})d)? ?(?:(\d{1,7})h)? ?(?:(\d{1,7})m)? ?(?:(\d{1,7})s)?")
_UNITS: Final = {"days": "d", "hours": "h", "minutes": "m", "seconds": "s"}
_SIZE: Final = re.compile(r"(\d{1,9}) ?(B|KiB|MiB|GiB|TiB)")
_SIZE_UNITS: Final = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_HOST_KEY_TYPES: Final = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ssh-rsa")


def shown(value: object) -> str:
    """``value`` quoted for a message: shortened, and never if it looks like a secret."""
    text = repr(value)
    if re.search(r"SECRET-KEY|PRIVATE KEY|://[^/\s]*@|password=", text, re.IGNORECASE):
        return "the value (not shown, it looks like a secret)"
    return text if len(text) <= 60 else f"{text[:57]}…"


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that ``word`` was probably meant to be."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    matches = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[matches[0]] if matches else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``; did you mean 'x'?``, or nothing."""
    match = nearest(word, known)
    return f"; did you mean {match!r}?" if match else ""


def parse_duration(value: object) -> dt.timedelta:
    """``"24h"`` as 24 hours. A ``timedelta`` is left as it is.

    Raises ``ValueError`` for anything else, also for zero, a bare number and calendar months.
    """
    if isinstance(value, dt.timedelta):
        return value
    match = _DURATION.fullmatch(value.strip()) if isinstance(value, str) and value.strip() else None
    if match is None:
        raise ValueError(f"{shown(value)} is not a duration; {_duration_advice(value)}")
    duration = dt.timedelta(**{unit: int(n or 0) for unit, n in zip(_UNITS, match.groups(), strict=True)})
    if not duration:
        raise ValueError(f"{shown(value)} is no time at all; write {DURATION_FORMS}")
    return duration


def _duration_advice(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"say {value} of what: {value}d, {value}h, {value}m or {value}s"
    if isinstance(value, str) and "month" in value:
        return f"months differ in length and stand only under 'keep' (6 months); here write {DURATION_FORMS}"
    return f"write {DURATION_FORMS} (calendar months, where they are kept: 6 months)"


def format_duration(duration: dt.timedelta) -> str:
    """``1h 30m``, as one would write it in the policy; ``parse_duration`` reads it back. Whole seconds."""
    seconds = int(duration.total_seconds())
    parts = []
    for letter, length in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        # A single day is said as the clauses say it, 24h; 30d is not said as 720h.
        if letter == "d" and (seconds % length or seconds == length):
            continue
        count, seconds = divmod(seconds, length)
        if count:
            parts.append(f"{count}{letter}")
    return " ".join(parts) or "0s"


def spoken_duration(duration: dt.timedelta, *, minutes: bool = False) -> str:
    """``24 h``, ``45 min``, ``24 h 45 min``; with ``minutes``, hours never stand alone: ``24 h 00 min``."""
    hours, rest = divmod(int(duration.total_seconds()), 3600)
    if rest % 60 and not hours:
        return f"{rest // 60} min {rest % 60} s" if rest >= 60 else f"{rest} s"
    if not hours:
        return f"{rest // 60} min"
    return f"{hours} h {rest // 60:02d} min" if rest >= 60 or minutes else f"{hours} h"


def parse_months(value: object) -> int:
    """``"6 months"`` as 6 calendar months; a number of months is left as it is. Else ``ValueError``."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    match = re.fullmatch(r"([1-9]\d{0,2}) months?", value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{shown(value)} is not a number of calendar months; write it as 6 months")
    return int(match[1])


def parse_size(value: object) -> int:
    """``"20 GiB"`` as bytes. Raises ``ValueError`` for a bare number: 20 of what?"""
    match = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{shown(value)} is not a size; write {SIZE_FORMS} (1 KiB is 1024 bytes)")
    return int(match[1]) * _SIZE_UNITS[match[2]]


def format_size(size: int) -> str:
    """Bytes in the largest unit that leaves no rest: ``20 GiB``; ``parse_size`` reads it back."""
    unit = (
        next((name for name in reversed(_SIZE_UNITS) if size % _SIZE_UNITS[name] == 0), "B") if size else "B"
    )
    return f"{size // _SIZE_UNITS[unit]} {unit}"


def parse_time_of_day(value: object) -> dt.time:
    """``"00:15"`` as a time of day; a ``time`` is left as it is. Else ``ValueError``."""
    if isinstance(value, dt.time):
        return value
    match = re.fullmatch(r"([01]\d|2[0-3]):([0-5]\d)", value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{shown(value)} is not a time of day; write it with four digits: 00:15, 12:15")
    return dt.time(int(match[1]), int(match[2]))


def _time_zone(name: str) -> str:
    # Membership, not ZoneInfo(name): some file systems would accept europe/berlin and others not.
    if name not in _time_zones():
        suggestion = did_you_mean(name, _time_zones())
        raise ValueError(f"{shown(name)} is not an IANA time zone like Europe/Berlin or UTC{suggestion}")
    return name


@cache
def _time_zones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones()) - {"localtime", "Factory", "posixrules"}


def _age_recipient(key: str) -> str:
    if key.upper().startswith("AGE-SECRET-KEY"):
        raise ValueError(
            "this is an identity, which opens backups; a policy names recipients only (age1…). "
            "Whoever has read this file has it: make a new one"
        )
    if not re.fullmatch(r"age1[ac-hj-np-z02-9]{58}", key):
        raise ValueError(f"{shown(key)} is not an age recipient; it begins with age1 and has 62 characters")
    return key


def _host_key(value: str) -> str:
    if value == "block":
        return value
    for line in value.strip().splitlines() or [""]:
        if not _is_public_key(line.split()):
            raise ValueError(
                f"{shown(line)} is neither 'block' (the key is pinned in the store's block) nor an OpenSSH "
                "public key like 'ssh-ed25519 AAAA…'; ssh-keyscan shows it, the NAS's own screen confirms it"
            )
    return value.strip()


def _is_public_key(words: list[str]) -> bool:
    """Whether it is ``type base64 [comment]`` and the base64 begins with that very type (RFC 4253)."""
    if len(words) < 2 or words[0] not in _HOST_KEY_TYPES:
        return False
    try:
        raw = base64.b64decode(words[1], validate=True)
    except (binascii.Error, ValueError):
        return False
    kind = words[0].encode()
    return raw.startswith(len(kind).to_bytes(4, "big") + kind) and len(raw) > len(kind) + 4


def default_as_written(text: str, description: str) -> Any:  # noqa: ANN401 - like pydantic's Field
    """A field with a default, given as in the file, so that readers and the JSON Schema see it that way."""
    return Field(text, validate_default=True, description=description)


def _text_schema(*examples: str, pattern: str | None = None) -> WithJsonSchema:
    pattern_key = {"pattern": f"^{pattern}$"} if pattern else {}
    return WithJsonSchema({"type": "string", **pattern_key, "examples": list(examples)})


Text = Annotated[str, Field(min_length=1, max_length=500)]
Duration = Annotated[
    dt.timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, when_used="json"),
    _text_schema("24h", "45m", "1h 30m"),
]
Size = Annotated[
    int,
    BeforeValidator(parse_size),
    PlainSerializer(format_size, when_used="json"),
    _text_schema("20 GiB", "500 MiB", pattern=r"\d{1,9} ?(B|KiB|MiB|GiB|TiB)"),
]
Months = Annotated[
    int, BeforeValidator(parse_months), _text_schema("6 months", pattern=r"[1-9]\d{0,2} months?")
]
TimeOfDay = Annotated[
    dt.time, BeforeValidator(parse_time_of_day), _text_schema("00:15", pattern=r"([01]\d|2[0-3]):[0-5]\d")
]
Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
WEEK: Final[tuple[Weekday, ...]] = get_args(Weekday)
TimeZone = Annotated[str, AfterValidator(_time_zone), _text_schema("Europe/Berlin", "UTC")]
AgeRecipient = Annotated[
    str, AfterValidator(_age_recipient), _text_schema(pattern="age1[ac-hj-np-z02-9]{58}")
]
HostKey = Annotated[str, AfterValidator(_host_key), _text_schema("block", "ssh-ed25519 AAAA…")]
