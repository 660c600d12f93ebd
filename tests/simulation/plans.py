"""What one seed is to be: how many nodes, what goes wrong how often, for how long."""

from dataclasses import dataclass, field
from random import Random

from tests.simulation.faults import Rates
from tests.simulation.world import SECOND


@dataclass(slots=True)
class Plan:
    """Times in microseconds of true time."""

    seed: int
    shape: str = "random"
    nodes: int = 1
    threads: int = 3
    jobs: int = 4
    trouble: int = 30 * SECOND
    settling: int = 19 * SECOND
    watching: int = 5 * SECOND
    is_one_host: bool = True
    """As on SQLite: one wall clock, and the kernel tells which processes are gone. Else the database's clock counts."""
    tells_changes: bool = True
    """Whether the store tells what others change; else each node sees that only when it looks around."""
    brush_rate: float = 0.01
    request_every: float = 2.0
    intervals: tuple[float, ...] = (2.0, 2.5, 3.0, 4.0, 5.0, 7.0, 10.0)
    favoured: tuple[str, ...] = ()
    """Kinds of requests of which every second one is."""
    restart_seconds: float = 6.0
    """Within how long a process that died is there again, as another node."""
    has_retries: bool = False
    """Whether the functions take long, and what is lost is tried again at once."""
    has_queues: bool = False
    """Whether the jobs are of those whose runs wait: for their turn, a key, or another attempt."""
    rates: Rates = field(default_factory=Rates)
    crash_every: float | None = None
    freeze_every: float | None = None
    away_every: float | None = None
    step_every: float | None = None
    stop_every: float | None = None


def random_plan(seed: int, *, nodes: int | None = None) -> Plan:
    """A seed of chance: each kind of fault is in it or is not, so that none always hides another."""
    random = Random(f"plan {seed}")

    def maybe(value: float, likelihood: float = 0.5) -> float:
        return value * random.choice([0.3, 1.0, 2.0]) if random.random() < likelihood else 0.0

    def sometimes(seconds: float, likelihood: float = 0.4) -> float | None:
        return random.uniform(0.5, 1.5) * seconds if random.random() < likelihood else None

    rates = Rates(
        crash=maybe(0.003),
        freeze=maybe(0.003),
        lost_before=maybe(0.01),
        lost_after=maybe(0.02),
        slow=maybe(0.01),
    )
    return Plan(
        seed,
        nodes=nodes or random.choice([1, 2, 2, 2, 3, 3]),
        threads=random.choice([1, 2, 3, 6]),
        jobs=random.randint(2, 5),
        is_one_host=random.random() < 0.5,
        tells_changes=random.random() < 0.7,
        restart_seconds=random.choice([6.0, 6.0, 15.0]),
        brush_rate=random.choice([0.0, 0.01, 0.05]),
        request_every=random.choice([0.7, 2.0, 5.0]),
        rates=rates,
        crash_every=sometimes(15),
        freeze_every=sometimes(15),
        away_every=sometimes(15),
        step_every=sometimes(12),
        stop_every=sometimes(20, 0.3),
    )
