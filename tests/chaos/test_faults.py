"""The short version of faults of the database, the disk and the clock."""

from pathlib import Path

import pytest

from tests.chaos.conftest import NODES, WORKERS
from tests.chaos.places import postgres_place, sqlite_place
from tests.chaos.postgres import PostgresServer
from tests.chaos.scenarios.clocks import NoTool, clock_jumps, clocks_apart
from tests.chaos.scenarios.connections import cuts_and_silence, lost_commits
from tests.chaos.scenarios.disk import NotPermitted, full_disk
from tests.chaos.scenarios.restarts import restarts

pytestmark = [pytest.mark.real_time, pytest.mark.once, pytest.mark.chaos, pytest.mark.timeout(400)]


def test_lost_answers_to_commits_lose_no_slot_and_double_none(chaos_postgres: PostgresServer, tmp_path: Path) -> None:
    lost_commits(chaos_postgres, tmp_path, NODES, count=6).assert_correct("lost COMMITs")


def test_connections_that_are_cut_and_go_silent(chaos_postgres: PostgresServer, tmp_path: Path) -> None:
    cuts_and_silence(chaos_postgres, tmp_path, NODES, cuts=3, silences=[3.0]).assert_correct("cuts and silence")


def test_postgresql_restarts_and_all_is_well_again(chaos_postgres: PostgresServer, tmp_path: Path) -> None:
    place = postgres_place(chaos_postgres, tmp_path)

    restarts(chaos_postgres, place, NODES, count=2, away=(0.2, 1.5)).assert_correct("PostgreSQL restarts")


def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    try:
        full_disk(tmp_path, WORKERS, count=1, full_seconds=3).assert_correct("full disk")
    except NotPermitted as error:
        pytest.skip(f"needs to mount a small tmpfs: {error}")


def test_nodes_whose_clocks_are_apart_start_nothing_early(chaos_postgres: PostgresServer, tmp_path: Path) -> None:
    try:
        place = postgres_place(chaos_postgres, tmp_path)
        clocks_apart(place, ["-30", "+0", "+30"], seconds=3).assert_correct("clocks apart")
    except NoTool as error:
        pytest.skip(str(error))


def test_a_clock_that_is_set_forward_and_back_repeats_nothing(tmp_path: Path) -> None:
    try:
        clock_jumps(sqlite_place(tmp_path), ["+60", "-60"], folder=tmp_path).assert_correct("clock jumps")
    except NoTool as error:
        pytest.skip(str(error))
