"""Can't be imported."""

raise RuntimeError("no settings for this module")
