"""The steps that bring a database's tables from any release to this one."""
