"""Your job functions live here: every module of this package is imported at start."""
