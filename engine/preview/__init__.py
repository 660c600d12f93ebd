"""What schedules will do, before they are saved: their next slots, a sentence in English, and warnings."""

from engine.preview.values import DstNote, Preview, PreviewedSlot, ScheduleWarning

__all__ = ["DstNote", "Preview", "PreviewedSlot", "ScheduleWarning"]
