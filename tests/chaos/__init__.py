"""The black-box judge: real processes, databases and faults, and a checker outside that counts what went wrong."""
