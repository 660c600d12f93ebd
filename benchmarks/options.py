"""What can be chosen on the command line, the same for every measurement."""

import argparse
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contenders.catalogue import BY_NAME, CONTENDERS, Contender

RESULTS = Path(__file__).parent / "results"
"""What is published."""
QUICK_RESULTS = RESULTS / "quick"
"""What a quick run says is for whoever ran it."""


@dataclass(frozen=True)
class Options:
    """`rates` in slots a second, `sizes` and `many` in jobs; without contenders, each measurement takes its own."""

    contenders: tuple[Contender, ...]
    repeats: int
    rates: tuple[int, ...]
    sizes: tuple[int, ...]
    many: tuple[int, ...]
    seconds: float
    output: Path


def read_options(arguments: list[str] | None = None) -> Options:
    """From the command line. Exits with the reason if it can't be used."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("--contenders", default=",".join(BY_NAME), help="names with commas: " + ", ".join(BY_NAME))
    parser.add_argument("--repeats", type=int, help="how often each is measured; the tables have medians (5)")
    parser.add_argument("--rates", help="slots a second with commas (10,100,500,1000,5000)")
    parser.add_argument("--sizes", help="jobs of a burst with commas (1000,10000,100000)")
    parser.add_argument("--many", help="jobs of which none is due, with commas (10000,100000,1000000)")
    parser.add_argument("--seconds", type=float, help="how long each rate is measured, after 2 s of warming up (5)")
    parser.add_argument("--quick", action="store_true", help="one repeat of few and small: about ten minutes")
    parser.add_argument("--output", type=Path, help="the folder of the JSON and the picture")
    given = parser.parse_args(arguments)
    names = given.contenders.split(",")
    if unknown := [name for name in names if name not in BY_NAME]:
        parser.error(f"unknown contenders {', '.join(unknown)}; there are {', '.join(BY_NAME)}")
    return Options(
        contenders=tuple(contender for contender in CONTENDERS if contender.name in names),
        repeats=given.repeats or (1 if given.quick else 5),
        rates=_whole_numbers(given.rates or ("100,1000" if given.quick else "10,100,500,1000,5000")),
        sizes=_whole_numbers(given.sizes or ("1000,10000" if given.quick else "1000,10000,100000")),
        many=_whole_numbers(given.many or ("10000" if given.quick else "10000,100000,1000000")),
        seconds=given.seconds or (3 if given.quick else 5),
        output=given.output or (QUICK_RESULTS if given.quick else RESULTS),
    )


def _whole_numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))
