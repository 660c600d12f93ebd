"""What stops a start: the errors of registering and loading functions.

RegistryError
├── DuplicateFunction    two places register one name
├── UnsuitableFunction   the service could not call it
└── ModuleNotLoaded      a module with job functions did not import
"""


class RegistryError(Exception):
    """The registered functions are not usable as they are; the message says what to change."""


class DuplicateFunction(RegistryError):
    """Two different places register the same name."""


class UnsuitableFunction(RegistryError):
    """A function cannot be called as `f(job_id=..., job_metadata=..., run=...)`."""


class ModuleNotLoaded(RegistryError):
    """Importing a module with job functions failed; the message holds its traceback."""
