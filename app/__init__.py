"""The deployment: settings, logs, command line and the team's own job functions."""

VERSION = "0.1.0"
