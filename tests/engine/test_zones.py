"""Time zones: pieces of one offset against what zoneinfo and the tz database say, and which names there are."""

import io
import random
import zoneinfo
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo, _common, _tzpath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import InvalidSchedule
from engine.limits import MAX_TIMEZONE_LENGTH
from engine.zones import END_OF_TIME, NOT_ZONES, PROBING, Piece, local, piece_at, require_zone, zone_names
from tests.engine.listings import THE_END

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ONE_SECOND = timedelta(seconds=1)
FIRST_YEAR, LAST_YEAR = 1990, 2040
YEARS_OF_EACH_ZONE = 3
"""In the gate; the slow test looks at all of them. They differ from zone to zone."""


@dataclass(frozen=True)
class Written:
    """A zone as the tz database has it written: its names, and the instants at which its offset changes, with the new
    offset. They end where a rule for all years to come takes over, which is not read here."""

    names: tuple[str, ...]
    changes: tuple[tuple[datetime, timedelta], ...]


@cache
def written_zones() -> list[Written]:
    names: dict[bytes, list[str]] = {}
    for name in sorted(zone_names()):
        path = _tzpath.find_tzfile(name)
        with _common.load_tzdata(name) if path is None else open(path, "rb") as file:  # noqa: PTH123 - either opens
            names.setdefault(file.read(), []).append(name)
    return [Written(tuple(of_one), tuple(changes_in(data))) for data, of_one in names.items()]


def changes_in(data: bytes) -> Iterator[tuple[datetime, timedelta]]:
    indexes, instants, offsets, *_ = _common.load_data(io.BytesIO(data))
    offset = offsets[0]
    for index, instant in zip(indexes, instants, strict=True):
        # A TZif file also tells when only the abbreviation changes. Its first entry may be the Big Bang.
        if offsets[index] != offset and instant > -(10**11):
            yield EPOCH + timedelta(seconds=instant), timedelta(seconds=offsets[index])
        offset = offsets[index]


def pieces_of(zone: str, year: int) -> list[Piece]:
    """The pieces of the year, from one to the next."""
    pieces = [piece_at(zone, datetime(year, 1, 1, tzinfo=UTC))]
    while pieces[-1].end < datetime(year + 1, 1, 1, tzinfo=UTC):
        pieces.append(piece_at(zone, pieces[-1].end))
    return pieces


def assert_true(written: Written, year: int, chance: random.Random) -> None:
    """The pieces of the year tile it, tell zoneinfo's offsets everywhere, and meet where the offset changes."""
    zone = written.names[0]
    begin, end = datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC)
    pieces = pieces_of(zone, year)
    assert (max(pieces[0].start, begin), pieces[-1].end) == (begin, end)
    for piece in pieces:
        inside = [piece.start + chance.random() * (piece.end - piece.start) for _ in range(5)]
        for instant in [piece.start, piece.end - ONE_SECOND, *inside]:
            assert instant.astimezone(ZoneInfo(zone)).utcoffset() == piece.offset
            found = piece_at(zone, instant)
            assert found.start <= instant < found.end
            assert (found.offset, found.begins_with_overlap) == (piece.offset, piece.begins_with_overlap)
            assert piece.wall(instant) == instant.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
            assert piece.instant(piece.wall(instant)) == instant
        before = (piece.start - ONE_SECOND).astimezone(ZoneInfo(zone))
        assert before.utcoffset() == piece.offset_before
    for earlier, later in pairwise(pieces):
        # The later one begins before the end of the month if the clocks were changed then.
        assert later.start in (earlier.end, earlier.start)
    if written.changes and end <= written.changes[-1][0]:
        changed = [piece for piece in pieces if piece.offset != piece.offset_before and piece.start >= begin]
        changes = sorted({(piece.start, piece.offset) for piece in changed})
        assert changes == [change for change in written.changes if begin <= change[0] < end]


def test_the_pieces_of_every_zone_are_those_of_the_tz_database() -> None:
    chance = random.Random(20261123)
    for written in written_zones():
        for year in chance.sample(range(FIRST_YEAR, LAST_YEAR + 1), YEARS_OF_EACH_ZONE):
            assert_true(written, year, chance)


@pytest.mark.slow
def test_the_pieces_of_every_zone_in_every_year_are_those_of_the_tz_database() -> None:
    chance = random.Random(20261123)
    for written in written_zones():
        for year in range(FIRST_YEAR, LAST_YEAR + 1):
            assert_true(written, year, chance)


def test_no_two_changes_of_any_zone_are_so_near_that_probing_could_miss_both() -> None:
    nearest = min(
        later - earlier for written in written_zones() for (earlier, _), (later, _) in pairwise(written.changes)
    )

    assert len(written_zones()) > 300
    assert nearest > PROBING


@pytest.mark.parametrize(
    ("zone", "instant", "offset", "before"),
    [
        ("Europe/Berlin", "2027-03-28T01:00:00", 2, 1),
        ("Europe/Berlin", "2027-10-31T01:00:00", 1, 2),
        ("America/New_York", "2027-03-14T07:00:00", -4, -5),
        ("Australia/Lord_Howe", "2027-04-03T15:00:00", 10.5, 11),
        ("Pacific/Apia", "2011-12-30T10:00:00", 14, -10),
        ("Africa/Monrovia", "1972-01-07T00:44:30", 0, -(44 * 60 + 30) / 3_600),
        ("America/Caracas", "2007-12-09T07:00:00", -4.5, -4),
        ("Asia/Pyongyang", "2018-05-04T15:00:00", 9, 8.5),
        ("Antarctica/Troll", "2027-03-28T01:00:00", 2, 0),
        ("Europe/Dublin", "2027-10-31T01:00:00", 0, 1),
    ],
)
def test_a_piece_begins_at_the_second_of_the_change(zone: str, instant: str, offset: float, before: float) -> None:
    change = datetime.fromisoformat(instant).replace(tzinfo=UTC)

    piece = piece_at(zone, change)

    assert piece.start == change
    assert (piece.offset, piece.offset_before) == (timedelta(hours=offset), timedelta(hours=before))
    assert piece_at(zone, change - timedelta(microseconds=1)).end == change
    assert piece.begins_with_gap is (offset > before)
    assert piece.begins_with_overlap is (offset < before)
    assert piece.first_wall - piece.wall_before == timedelta(hours=offset - before)


def test_a_change_at_the_first_instant_of_a_year_of_utc_is_seen() -> None:
    changes = [
        (written.names[0], change, offset)
        for written in written_zones()
        for change, offset in written.changes
        if change == datetime(change.year, 1, 1, tzinfo=UTC)
    ]

    assert changes
    for zone, change, offset in changes:
        piece = piece_at(zone, change)
        assert (piece.start, piece.offset) == (change, offset)
        assert piece.offset_before != offset


@given(
    zone=st.sampled_from(["UTC", "Europe/Berlin", "Pacific/Kiritimati", "Etc/GMT+12", "America/New_York"]),
    year=st.sampled_from([1, 2, 9_998, 9_999]),
    seconds=st.integers(0, 365 * 86_400 - 2),
)
def test_the_first_and_the_last_years_have_pieces_too(zone: str, year: int, seconds: int) -> None:
    instant = datetime(year, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)

    piece = piece_at(zone, instant)

    assert piece.start <= instant < piece.end
    assert piece.first_wall <= piece.wall(instant) <= piece.end_wall


def test_the_last_instant_of_all_lies_in_the_last_piece() -> None:
    assert piece_at("Europe/Berlin", THE_END).end == END_OF_TIME


def test_an_instant_is_shown_in_its_zone_and_near_the_ends_of_time_in_utc() -> None:
    assert local(datetime(2027, 10, 31, 1, 30, tzinfo=UTC), "Europe/Berlin").isoformat() == "2027-10-31T02:30:00+01:00"
    assert local(datetime(2027, 10, 31, 1, 30, tzinfo=UTC), "Europe/Berlin").fold == 1
    assert local(THE_END, "Pacific/Kiritimati") == THE_END
    assert local(datetime.min.replace(tzinfo=UTC), "America/New_York").utcoffset() == timedelta(0)


@pytest.mark.parametrize("name", ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+12", "EST5EDT"])
def test_a_zone_of_the_tz_database_is_known(name: str) -> None:
    require_zone(name)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("europe/berlin", "Europe/Berlin"),
        ("EUROPE/BERLIN", "Europe/Berlin"),
        ("Europe/Belin", "Europe/Berlin"),
        ("Europe/Berlin ", "Europe/Berlin"),
        ("Amerca/New_York", "America/New_York"),
        ("America/New York", "America/New_York"),
        ("utc", "UTC"),
    ],
)
def test_an_unknown_zone_is_refused_with_the_one_that_may_be_meant(name: str, meant: str) -> None:
    with pytest.raises(InvalidSchedule) as refusal:
        require_zone(name)

    assert refusal.value.field == "timezone"
    assert str(refusal.value) == (
        f'timezone "{name}" is not known: an IANA name such as Europe/Berlin or UTC is wanted; did you mean {meant}?'
    )


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "../../etc/passwd",
        "/etc/passwd",
        "/usr/share/zoneinfo/Europe/Berlin",
        "Europe/../Europe/Berlin",
        "Europe",
        "zone.tab",
        "tzdata.zi",
        "x" * 10_000,
        "Europe/Berlin\x00",
        "Europe/Berl\u0131n",
        "\ud800",
        *sorted(NOT_ZONES),
    ],
    ids=lambda name: repr(name[:20]),
)
def test_what_is_no_zone_is_refused(name: str) -> None:
    with pytest.raises(InvalidSchedule) as refusal:
        require_zone(name)

    assert refusal.value.field == "timezone"
    assert len(str(refusal.value)) < MAX_TIMEZONE_LENGTH + 150


def test_what_a_machine_has_beside_the_zones_is_no_zone() -> None:
    assert zone_names().isdisjoint(NOT_ZONES)
    assert zone_names() >= zoneinfo.available_timezones() - NOT_ZONES
