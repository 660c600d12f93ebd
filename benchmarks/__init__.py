"""Measurements: one script a question. What each measures is in README.md beside this file."""
