"""What job authors import: `@register_job`, the registry it fills, and the context a function may ask for."""

from registry.context import RunContext
from registry.errors import DuplicateFunction, ModuleNotLoaded, RegistryError, UnsuitableFunction
from registry.function import JobFunction, Lane, Parameter
from registry.functions import JOB_REGISTRY, FunctionRegistry, register_job
from registry.interrupts import Cancel, Retry
from registry.loading import load_modules, load_package
from registry.metadata_type import MetadataFault, MetadataType, UnfitMetadata

__all__ = [
    "JOB_REGISTRY",
    "Cancel",
    "DuplicateFunction",
    "FunctionRegistry",
    "JobFunction",
    "Lane",
    "MetadataFault",
    "MetadataType",
    "ModuleNotLoaded",
    "Parameter",
    "RegistryError",
    "Retry",
    "RunContext",
    "UnfitMetadata",
    "UnsuitableFunction",
    "load_modules",
    "load_package",
    "register_job",
]
