"""What became of a slot, or why there was none: read the records, then explain them, purely."""

from engine.why.asking import Why
from engine.why.values import Answer, Explanation

__all__ = ["Answer", "Explanation", "Why"]
