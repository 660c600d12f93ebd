"""The calendars as callers change them. Jobs whose slots depend on what changed are looked up again."""

from collections.abc import Callable, Collection
from datetime import date
from uuid import UUID

import structlog

from engine.calendars import Calendar
from engine.errors import JobNotFound, StoreUnavailable
from engine.ports import Clock, Store
from engine.requests import CalendarDraft

log = structlog.get_logger("scheduler.engine")


class CalendarBook:
    """Creates, replaces and deletes calendars. May be used from any thread; every verb may raise StoreUnavailable."""

    def __init__(self, *, store: Store, clock: Clock, reschedule: Callable[[UUID], object]) -> None:
        self._store = store
        self._clock = clock
        self._reschedule = reschedule

    def create(self, draft: CalendarDraft) -> Calendar:
        """Keep a new calendar. Raises CalendarExists, TooManyCalendars and TooManyDates."""
        calendar = self._described(draft)
        self._store.add_calendar(calendar)
        log.info("calendar created", calendar=calendar.name, dates=len(calendar.dates))
        return calendar

    def replace(self, draft: CalendarDraft) -> Calendar:
        """Make the calendar of this name what the draft says. Raises CalendarNotFound and TooManyDates."""
        calendar = self._store.replace_calendar(self._described(draft))
        self._tell(calendar)
        return calendar

    def add_dates(self, name: str, dates: Collection[date]) -> Calendar:
        """Add to the dates of a calendar. Raises CalendarNotFound and TooManyDates."""
        calendar = self._store.add_calendar_dates(name, dates, updated_at=self._clock.now())
        self._tell(calendar)
        return calendar

    def delete(self, name: str) -> None:
        """Delete a calendar that no job lists. Raises CalendarNotFound and CalendarInUse."""
        self._store.delete_calendar(name)
        log.info("calendar deleted", calendar=name)

    def _described(self, draft: CalendarDraft) -> Calendar:
        now = self._clock.now()
        return Calendar(
            name=draft.name,
            description=draft.description,
            dates=draft.dates,
            weekly_days_off=draft.weekly_days_off,
            created_at=now,
            updated_at=now,
        )

    def _tell(self, calendar: Calendar) -> None:
        """Look up the next slots of the jobs that list it again. If we die in between, the next start does so."""
        job_ids = self._store.job_ids_listing(calendar.name)
        log.info("calendar changed", calendar=calendar.name, dates=len(calendar.dates), jobs=len(job_ids))
        unavailable = [error for job_id in job_ids if (error := self._tell_job(job_id)) is not None]
        if unavailable:
            # The calendar is changed; whoever repeats the request tells those jobs too.
            raise unavailable[0]

    def _tell_job(self, job_id: UUID) -> StoreUnavailable | None:
        """Look up the next slot of one job; the others must not suffer if that is not possible."""
        try:
            self._reschedule(job_id)
        except JobNotFound:
            pass
        except StoreUnavailable as error:
            return error
        except Exception as error:  # noqa: BLE001 - one job of many: unreadable, or of a zone that is gone
            log.error("job unreadable", job_id=str(job_id), error=str(error))  # noqa: TRY400 - one line will do
        return None
