"""How retention is written: of an environment, and of a source that keeps its backups for a shorter time."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import WithJsonSchema

from lifeboat.model.retention_rules import RetentionRules

_RETENTION_SCHEMA: Final[dict[str, Any]] = {
    # RetentionRules reads these spellings itself; pydantic's schema would show the numbers it makes of them.
    "title": "RetentionRules",
    "type": "object",
    "additionalProperties": False,
    "required": ["daily", "monthly", "floor", "deletion_cap"],
    "properties": {
        "daily": {
            "type": "string",
            "pattern": "^[0-9]{1,6} ?(d|days?)$",
            "examples": ["30d"],
            "description": "Dailies stay so long, and are then deleted: also the maximum (S2, decision 8).",
        },
        "monthly": {
            "type": "object",
            "additionalProperties": False,
            "required": ["anchor", "keep"],
            "properties": {
                "anchor": {
                    "const": "1st",
                    "description": "The day of the month whose backup is kept longer.",
                },
                "keep": {
                    "type": "string",
                    "pattern": "^[0-9]{1,6} months?$",
                    "examples": ["6 months"],
                    "description": "For how many calendar months, to the same day, inclusive (decision 4).",
                },
            },
            "description": "The backup of the 1st of each month, kept longer.",
        },
        "floor": {
            "type": "integer",
            "minimum": 1,
            "description": "Never fewer good backups than this, whatever their age.",
        },
        "deletion_cap": {
            "type": "integer",
            "minimum": 1,
            "description": "At most so many deletions in one prune of one source (F38).",
        },
    },
}

Retention = Annotated[RetentionRules, WithJsonSchema(_RETENTION_SCHEMA)]
