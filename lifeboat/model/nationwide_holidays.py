"""The public holidays of a whole country, from the ``holidays`` library; those of its states and regions are none
(requirements, decision 1)."""

from __future__ import annotations

import datetime as dt
from functools import cache

import holidays

from lifeboat.errors import CouldNotMeasure


@cache
def supported_countries() -> frozenset[str]:
    """Two-letter codes of the countries that the library knows."""
    return frozenset(code for code in holidays.list_supported_countries() if len(code) == 2)


@cache
def nationwide_holidays(country: str, year: int) -> frozenset[dt.date]:
    """The days of ``year`` that are a public holiday everywhere in ``country``.

    Raises ``CouldNotMeasure`` when the library has no data for that year, where it would answer with no holiday at
    all, or only estimates.
    """
    calendar = holidays.country_holidays(country, years=year, expand=False, language="en_US")
    known = calendar.start_year <= year <= calendar.end_year
    if not known or not calendar or any("estimated" in name for name in calendar.values()):
        raise CouldNotMeasure(
            f"The nationwide holidays of {country} in {year} are not known for certain.",
            hint="Bring the package `holidays` up to date; or list the year's holidays as company_days of the policy's "
            "working_hours and leave out `holidays`.",
        )
    return frozenset(calendar)
