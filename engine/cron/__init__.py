"""Cron: expressions as Debian's cron means them, with seconds, L, W, # and H, in any time zone. Pure: no clock."""

from engine.cron.expression import NO_JOB, CronExpression, parse_cron
from engine.cron.schedule import CronSchedule, cron_schedule

__all__ = ["NO_JOB", "CronExpression", "CronSchedule", "cron_schedule", "parse_cron"]
