"""The bounds of the door (law 10), each with the reason for its size. Those of the rules are in engine.limits."""

from engine.limits import MAX_METADATA_DEPTH

MAX_BODY_BYTES = 262_144
"""Bytes of a request body: the largest metadata, written with escapes like `\\u00e9`, is three times as long."""

MAX_JSON_DEPTH = MAX_METADATA_DEPTH + 1
"""Objects and arrays that are open at once in a body: the deepest metadata, and the job around it."""

MAX_URL_BYTES = 8_192
"""Of path and query: the longest that means anything here has some 600."""

MAX_HEADER_BYTES = 32_768
"""Of all headers of a request together. The server has read them by then."""

MAX_RATED_KEYS = 1_000
"""Keys of which it is known how fast their requests come; there are no more than that."""

MAX_INTERVAL_SECONDS = 10**11
"""About 3,170 years, a bound for the documentation. The engine refuses an interval whose first slot is after 9999."""

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 500
"""Runs in one answer."""

MAX_IF_MATCH_LENGTH = 1_000
"""Characters of an If-Match: a tag of ours has 15."""

MAX_JOB_CURSOR_LENGTH = 3_600
"""Characters of a cursor of jobs, which may hold a name of 200 characters, each of them an escape of twelve."""

JOBS_PER_READ = 500
"""Jobs read and written at once while all are listed: some 250 kB, whatever the number of jobs."""

MAX_CURSOR_LENGTH = 64
"""Characters of a cursor; ours have 32."""

MAX_ERROR_ENTRIES = 20
"""Faults of one request that are told; the client has enough to mend with these."""

MAX_SHOWN_INPUT_BYTES = 1_024
"""Bytes of a refused value that are sent back."""

MAX_ERROR_TEXT_LENGTH = 500
"""Characters of one text in an answer that refuses."""

MAX_EVENT_DAYS = 366
"""Days that one event of an iCalendar text may last: no holiday is longer than a year."""

EXPANDED_YEARS_BEFORE = 1
EXPANDED_YEARS_AFTER = 10
"""Years around today in which the events of a recurrence rule are looked for: a rule without end has days for ever."""

MAX_RULE_VALUES = 62
"""Values in all lists of a recurrence rule: what it takes to name each day of a month from both ends."""

MAX_RECURRENCE_EFFORT = 500_000
"""What the rules of one text may cost, in about microseconds: 200 holidays since 1970, by weekday, cost 450,000."""

MAX_IGNORED_EVENTS_TOLD = 50
"""Events of an iCalendar text of which it is told why they were left out; the others are counted."""

MAX_SHOWN_EVENT_TEXT_LENGTH = 80
"""Characters of a value from an iCalendar text, where it is shown."""

MAX_COMPARED_LENGTH = 64
"""Characters of an unknown field's name that are compared with those of known ones."""

MAX_OPEN_LOG_STREAMS = 100
"""Logs that may be followed at once: each keeps a connection, and wakes the event loop up to ten times a second."""

LINES_PER_CHUNK = 100
"""Lines of a log that are written in one go: others get their turn in between."""

SECONDS_BETWEEN_READS = 0.1
"""The pause after lines were sent: what is written meanwhile is sent together, or dropped where it is too much."""

KEEP_ALIVE_SECONDS = 15.0
"""After this long without a line a stream sends a comment, as proxies close what is silent for a minute or so."""

LOOK_UP_SECONDS = 2.0
"""How often it is looked up whether a run that is not going on in this process has ended."""

MAX_EVENT_ID_LENGTH = 15
"""Digits of a Last-Event-ID; no run writes more lines than that."""

MAX_FAILED_ATTEMPTS = 20
"""Wrong keys from one address, within the window, after which further ones are told to wait for its end."""

ATTEMPTS_WINDOW_SECONDS = 60.0

MAX_WATCHED_ADDRESSES = 10_000
"""Addresses that wrong keys came from and that are remembered; with more, the one seen longest ago is forgotten."""
