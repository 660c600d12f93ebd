"""The bounds of the engine (law 10), each with the reason for its size."""

MAX_NAME_LENGTH = 200
"""Characters of a job's name."""

MAX_CRON_EXPRESSION_LENGTH = 256
"""Characters of a cron expression: croniter needs 0.3 s for one of 80 kB."""

MAX_REMEMBERED_CRON_EXPRESSIONS = 4_096
"""Cron expressions that are read once only: about 1 kB each."""

MIN_INTERVAL_SECONDS = 0.1
"""Below this, one job alone would keep the database busy with its rows."""

MAX_JITTER_SECONDS = 86_400.0
"""A day: a slot that is spread wider is better described by another schedule."""

MAX_RUNS = 1_000_000_000
"""The most that `max_runs` may say: what every database holds in an integer."""

MAX_TIMEZONE_LENGTH = 64
"""Characters of an IANA name; the longest has 32."""

MAX_CALENDAR_NAME_LENGTH = 64
"""Characters of a calendar's name."""

MAX_CALENDARS = 200
"""Calendars in all: they are listed in one answer."""

MAX_CALENDAR_DATES = 5_000
"""Single dates of one calendar: 13 years of nothing but days off."""

MAX_CALENDAR_DESCRIPTION_LENGTH = 500
"""Characters of a calendar's description."""

MAX_EXCLUDED_CALENDARS = 16
"""Calendars that one job may list."""

MAX_DAYS_OFF_IN_A_ROW = 31
"""A slot is moved to the next business day over so many days off at most; after a longer stretch it is only skipped."""

MAX_PREVIEWED_SLOTS = 1_000
DEFAULT_PREVIEWED_SLOTS = 10
"""Slots in one preview."""

MAX_METADATA_BYTES = 65_536
"""UTF-8 bytes of a job's metadata as JSON."""

MAX_METADATA_DEPTH = 32
"""Levels of nesting in a job's metadata: beyond some hundreds, JSON libraries run out of stack."""

MAX_ERROR_TYPE_LENGTH = 200
MAX_ERROR_MESSAGE_LENGTH = 8_192
MAX_TRACEBACK_LENGTH = 32_768
"""Characters kept of an exception's type, message and traceback (of the traceback, the last ones)."""

MAX_TRACEBACK_FRAMES = 64
"""Frames kept of each traceback, the innermost ones."""

MAX_LINE_LENGTH = 8_192
"""Characters of one printed line; a longer one is cut there and goes on as the next line."""

MAX_RESULT_BYTES = 65_536
"""UTF-8 bytes of a run's result as JSON; a larger one is not kept, and the run says so."""

MAX_RESULT_DEPTH = 32
"""Levels of nesting in a result: what reads it back has the stack of the interpreter, no more."""

MAX_COUNTED_SLOTS = 200
"""Slots of one missed stretch that are counted one by one, where a calendar moves some of them: 0.1 ms each."""

MAX_COUNTED_YEARS = 10
"""Years of a missed stretch over which a cron schedule is counted exactly: each may cost 0.4 ms."""

MAX_REMEMBERED_ZONE_MONTHS = 16_384
"""Months of time zones whose changes are remembered: about 0.4 kB each."""

MAX_FRUITLESS_YEARS = 50
"""Years for which the days that an expression names may have no slot, because gaps swallow its times: then it is taken
never to fire. Of the past, 43 are known (Cairo, 1 May). Each costs up to 0.1 ms."""

MAX_CLAIM_BATCH = 500
"""Slots claimed in one transaction, so that one claim does not hold the database for long."""

MAX_COLLECTED = 20_000
"""Hints that are moved from the heap to where they wait for room, before as many are claimed as there is room for."""

NEWEST_SHARE = 4
"""One in so many of the slots that are claimed while others wait is one of those that became due last."""

MAX_OUTCOME_BATCH = 500
"""Outcomes written in one transaction."""

CLAIM_AHEAD_SECONDS = 0.05
"""How long before its instant a slot is claimed, at the earliest: what a commit takes on a busy machine, with room to
spare. For as long an edit on another node may have to wait, and what is claimed then is lost with a node that dies."""

CLAIM_REST_SECONDS = 0.02
"""How long the timer collects slots between two claims ahead, so that one transaction holds many; well below
CLAIM_AHEAD_SECONDS, which has to cover this and the transaction."""

SHORT_RUN_SECONDS = 0.1
PACE_SECONDS = 0.5
MAX_READ_AHEAD = 500
"""Runs claimed beyond the permits of a lane, at most; the time within which as many must have come home, and how long
each of those may have taken."""

SHORT_CALL_SECONDS = 0.0005
SHORT_CALL_PATIENCE_SECONDS = 0.005
"""A function whose last call took no longer is expected to be short again: before another thread takes a run that one
in such a call could take next, it waits for the second of these. That is well above what a call takes to get its turn
on the interpreter while all the engine's threads are busy."""

GATHER_SECONDS = 0.02
"""How long the recorder collects outcomes between two transactions."""

MAX_WAITING_MANUAL_RUNS = 100
"""Manual runs that may wait for a thread while the pool is full; the next one is refused."""

MAX_EDIT_TRIES = 20
"""Times an edit is tried again because a claim moved the job on between its read and its write."""

MAX_DELETION_TRIES = 5
"""The same of the deletion of all jobs, each with a row for the slots that it leaves; then it is made without."""

MAX_WAIT_SECONDS = 1.0
"""The longest the timer sleeps. A step of the wall clock is noticed after this long at the latest."""

FIRST_BACKOFF_SECONDS = 0.1
MAX_BACKOFF_SECONDS = 5.0
"""The pause after a failed database call: doubled from the first to the longest, then kept."""

FIRST_QUARANTINE_SECONDS = 1.0
MAX_QUARANTINE_SECONDS = 60.0
"""How long a job that cannot be read or claimed is put off: doubled from the first to the longest, then kept."""

MAX_QUARANTINED_JOBS = 1_000
"""Jobs whose quarantine is remembered; a deleted one is forgotten only by coming too far back in this line."""

LOST_CLAIM_RETRY_SECONDS = 0.05
"""After this long a job whose claim did not apply is looked at again."""

MAX_TICK_AGE_SECONDS = 15.0
"""A timer that has not come round for longer is not ready: it rests for MAX_WAIT_SECONDS or MAX_BACKOFF_SECONDS at
most, so it hangs in a database call, which is given up after 10 s on PostgreSQL (store.watchdog)."""

TIMER_SECONDS_AT_STOP = 5.0
"""How long a stop waits for the timer to come back from the claim it is in."""

RECORDING_SECONDS_AT_STOP = 5.0
"""How long a stop waits for the last outcomes to be written."""

OVERDUE_BATCH = 500
"""Overdue jobs read in one go: at start, where they are moved on, and when all jobs are deleted."""

MAX_REASON_LENGTH = 1_000
"""Characters of a reason that somebody outside gives: a function for its Cancel, a person for a pause."""

MAX_RETRY_DELAY_SECONDS = 7 * 86_400.0
"""A week: what is to be tried again later than that is a schedule of its own."""

MAX_CATCH_UP = 1_000
"""The most that `max_catch_up` may say: so many runs are queued in one transaction."""

MAX_INSTANCES = 1_000
"""The most that `max_instances` and `concurrency_limit` may say: as many as the largest pool has threads."""

MAX_QUEUED_RUNS = 100
"""Runs of one job that may wait because of overlaps; a slot beyond is skipped, as its row says."""

MAX_RETRIES = 100
"""The most that `max_retries` may say: each earlier attempt is kept with its run."""

MAX_RETRY_BACKOFF = 100.0
"""The most that `retry_backoff` may say; the delay itself is bounded by `retry_max_delay_seconds`."""

MAX_TIMEOUT_SECONDS = 30 * 86_400.0
"""A month: what runs longer has no time-out."""

MIN_MISFIRE_GRACE_SECONDS = 1.0
"""Below this a slot would be a misfire because the timer, or the database, took a moment."""

MAX_MISFIRE_GRACE_SECONDS = 366 * 86_400.0
"""A year: a slot that may be later than that may be as late as it likes."""

MAX_PRIORITY = 100
"""The most, and negated the least, that `priority` may say."""

MAX_CONCURRENCY_KEY_LENGTH = 100
"""Characters of a concurrency key."""

MAX_ATTEMPT_MESSAGE_LENGTH = 1_000
"""Characters kept of the message of an earlier attempt's error."""

PRIORITY_SECONDS = 60.0
"""What one level of `priority` is worth: so many seconds of waiting for room in a full pool."""

END_GRACE_SECONDS = 1.0
"""After its time-out a function gets so long to return; then its run is over without it, and it is stuck."""

CANCEL_ANSWER_SECONDS = 2.0
"""How long the answer to a cancellation waits to see whether the run ends."""

REMOTE_LOOK_SECONDS = 0.1
"""How often it is looked at meanwhile, if it is a run of another node."""

MAX_CRASHES = 3
"""Runs in a row that take their worker process with them, after which the job is paused."""
MAX_SHOWN_FAULTS = 3
"""Faults of a job's metadata that one sentence tells; the others are counted."""

MAX_JOBS_CHECKED_AT_START = 20_000
"""Jobs whose metadata is checked at start, for the log only: some two seconds. Before each call it is anyway."""
MAX_FRAME_BYTES = 4 * 1_048_576
"""Bytes of one message between the service and a worker process: a line with all its facts, or a run's end."""

MAX_FACTS_PER_LINE = 100
"""Values of one logged line that come from a worker process, those inside containers included."""

MAX_WORKER_START_SECONDS = 60.0
"""How long a worker process may import the modules it is to have ready; then it is started without them."""

WORKER_FAREWELL_SECONDS = 1.0
"""How long a worker process that has hung up may take to end; then it is killed."""

LOOP_BEAT_SECONDS = 0.5
"""How often the loop of coroutines shows that it comes round."""
MAX_LOG_LINES = 1_000
"""Lines kept of what one run printed and logged, the newest: what a person reads, and one answer holds."""

MAX_LOG_BYTES = 262_144
"""Bytes kept of them, as UTF-8: with 16 runs at once 4 MB of memory, and a row that a database does not notice."""

LOG_LINE_COST = 100
"""Bytes that a kept line counts for beyond its text: its instant, its names, and what holds them."""

MAX_LINE_NAME_LENGTH = 256
"""Characters of a kept line's level and logger."""

MAX_LINE_FACTS_BYTES = 8_192
"""Bytes of the facts of one kept line as JSON, as much as its text may have; those beyond are left out and counted."""

LANE_SECONDS_AT_STOP = 2.0
"""How long a stop waits for the worker processes, and for the loop of coroutines, to end."""

MAX_LOOP_HELD_SECONDS = 10.0
"""When one coroutine has held the loop for longer, no other gets its turn: that is not ready."""

MAX_BACKFILL_SLOTS = 1_000
"""Slots that one backfill runs: so many runs are queued in one transaction."""

MAX_BACKFILL_SLOTS_SEEN = 2_000
"""Slots that are looked at for it, those on days off included: with jitter each costs some 0.4 ms."""

MAX_BACKFILL_CONCURRENCY = 20
"""Runs of one backfill that may go at once."""

MAX_UNFINISHED_BACKFILLS = 20
"""Backfills of one job that are not over."""

MAX_LISTED_BACKFILLS = 100
"""Backfills of one job in one answer, the newest."""

BACKFILL_PRIORITY = -10_000
"""Added to the priority of a job whose backfill waits for room: a week behind all slots, whatever they say."""

LINES_PER_BREATH = 32
BREATH_SECONDS = 0.001
"""A run that has written more than is kept rests so long after so many lines: some 20,000 lines a second are left."""
HEARTBEAT_SECONDS = 3.0
"""How often a node writes down that it is there: by so much the end of one that was killed may be wrong."""

MAX_HEARTBEAT_BACKOFF_SECONDS = 1.0
"""The longest pause after a heartbeat that failed. With the 10 s after which a hanging call is given up it must stay
below a lease: whoever has the database back first would take the others for dead."""

SLOW_ANSWER_SECONDS = 1.0
"""A database that takes longer to tell the time tells it too vaguely to set a clock by that may be right."""

TRUST_BEATS = 3
LEASE_BEATS = 4
GAP_BEATS = 2
"""For how many heartbeats a node that wrote nothing may still start what it has claimed, and after how many of them
others declare it lost: 9 s and 12 s. One heartbeat lies between them, for what a call takes to begin. Who could not
look at the others for longer than the third begins to count anew."""

TAKE_OVER_SECONDS = 0.3
MAX_TAKE_OVER_SECONDS = 0.9
"""How much later than the node before it each node looks at a slot of which it is not the home, and at most."""

MISSING_FUNCTION_SECONDS = 2.0
"""How much later a node looks that does not have the function: another one may, while a new release comes in."""

MISSING_FUNCTION_RUN_SECONDS = 600.0
"""For how long a run that waits is left to the other nodes by one that does not have its function, where there are any:
as long as a new release may take to come in. Then it is skipped."""

WINDOW_SECONDS = 60.0
"""How far ahead a node's heap reaches; what is due later is read in time."""

LOOK_AROUND_SECONDS = 1.0
"""How often a node looks for what others have changed though nobody told it: the net behind the telling."""

LOOK_AROUND_ALONE_SECONDS = 5.0
"""The same of due times while no other node is on record; one that comes is seen with the next heartbeat."""

NEAR_SECONDS = 2.0
MAX_NEAR_JOBS = 1_000
"""How far ahead, and for how many jobs at most, it then looks for new due times."""

WAITING_RECHECK_SECONDS = 30.0
MAX_WAITING_RECHECKED = 1_000
"""How often, and how many at once, runs that wait are looked at though nobody called them: a call that was lost must
not leave them waiting for ever."""

HEARTBEAT_SECONDS_AT_STOP = 1.0
"""How long a stop waits for the node's last heartbeat, and for retention to come back from its batch."""

FIRST_RETENTION_SECONDS = 60.0
RETENTION_SECONDS = 3_600.0
"""When after a start, and how often then, old history is deleted: not while a start has all else to do."""

RETENTION_BATCH = 100
"""Runs looked at, and deleted, in one transaction: 5 to 12 ms of the one connection that writes to SQLite, for which a
claim may have to wait; 500 would be up to 60 ms."""

RETENTION_PAUSE_SECONDS = 0.1
"""Between two batches, so that claims and outcomes come first: a backlog goes at 900 runs a second."""

RETENTION_JOBS = 20
"""Jobs whose runs are counted in one read: with 10,000 each, 200,000 entries of an index, some 30 ms."""

MIN_NODES_KEPT = 10
"""Nodes that stay on record, however old."""

MAX_RUNS_EXPLAINED = 20
MAX_SLOTS_BEFORE = 3
MAX_PAUSES_READ = 10
"""What is read of a job's history to say what became of one slot."""

MAX_KEYS = 1_000
"""Keys of the API that are kept; with more, the oldest that opens nothing any more is forgotten."""
