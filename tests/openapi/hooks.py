"""Which of Schemathesis' complaints are none, each with its reason.

OpenAPI describes one parameter at a time. A request whose parameters are well formed, and don't go together, is refused
all the same, and a deadline that is too short to be met is not met.
"""

import json
import re
from urllib.parse import parse_qs, urlsplit

import schemathesis


def code_of(response):
    """The code of an error."""
    return response.headers.get("quorate-error", [None])[0]


def query_of(response):
    """The query as it was sent."""
    return parse_qs(urlsplit(response.request.url).query, keep_blank_values=True)


def seconds(timeout):
    units = {"ms": 0.001, "s": 1, "m": 60}
    for unit, factor in units.items():
        if timeout.endswith(unit) and timeout[: -len(unit)].isdigit():
            return int(timeout[: -len(unit)]) * factor
    return 5


def is_in_a_hurry(response):
    """Whether less time was given than a leader may need: 503 and 504 say so then."""
    return seconds(query_of(response).get("timeout", ["5s"])[0]) < 3


MICROSECONDS = {"d": 86_400_000_000, "h": 3_600_000_000, "m": 60_000_000, "s": 1_000_000, "ms": 1_000, "us": 1}


def is_out_of_bounds(ttl, most_days=3650):
    """Whether a time to live, well formed, is less than a second or more than so many days: ten years, of a join token
    thirty days.
    """
    parts = re.findall(r"([0-9]+)(?:[.]([0-9]{1,6}))?(d|h|ms|m|us|s)", ttl)
    total = sum(
        int(whole) * MICROSECONDS[unit] + int(decimals.ljust(6, "0")) * MICROSECONDS[unit] // 1_000_000
        for whole, decimals, unit in parts
    )
    return not 1_000 <= total // 1_000 <= most_days * 86_400_000


def times_to_live(value):
    """Each that stands in a body."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name == "ttl" and isinstance(inner, str):
                yield inner
            yield from times_to_live(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from times_to_live(inner)


def body_of(response):
    """The body of JSON that was sent, if it was one."""
    try:
        return json.loads(response.request.body or "null")
    except ValueError:
        return None


def has_relations_that_do_not_hold(case, response):
    """Parameters, headers or fields of a body that are each as they should be, and are refused all the same."""
    query, code = query_of(response), code_of(response)
    path = case.operation.path
    headers = response.request.headers

    def is_said(words):
        # An answer to HEAD has no text.
        return case.method == "HEAD" or words in response.text

    return any(
        [
            # The key goes by one of them.
            code == "bad_query" and {"ttl", "lease"} <= query.keys(),
            code == "bad_json" and path == "/txn" and is_said("give one of them"),
            # No pattern adds up what stands in a time to live.
            code == "bad_query" and any(map(is_out_of_bounds, query.get("ttl", []))),
            code == "bad_json"
            and is_said("a time from 1s")
            and any(
                is_out_of_bounds(ttl, 30 if path == "/raft/join-tokens" else 3650)
                for ttl in times_to_live(body_of(response))
            ),
            # The number of an event has 32 bits.
            code == "malformed" and int((headers.get("last-event-id") or "0-0").partition("-")[2] or 0) >= 2**32,
            # A list is of a prefix, or of a range.
            code == "bad_query" and path == "/keys" and "prefix" in query and {"start", "end"} & query.keys(),
            # Only what was answered as "next" is a cursor.
            code == "bad_query" and path == "/keys" and "cursor" in query,
            # A watch is of a key, or of a prefix.
            code == "bad_query" and path == "/watch" and len({"key", "prefix"} & query.keys()) != 1,
            # A revision that the store has not reached.
            code == "bad_query" and "revision" in query and is_said("the store is at"),
            # Two operations of one list write one key.
            code == "duplicate_key",
            # What is base64 need not be UTF-8.
            code == "bad_json" and path == "/data.json" and is_said("not valid UTF-8"),
            # The limit of a key counts bytes, that of its schema characters.
            code == "key_too_long" or (code == "bad_json" and is_said("a key has at most 4096")),
            # HTTP takes away the space around a header's value, and all of it may be that.
            code == "malformed" and not (headers.get("idempotency-key") or "x").strip(),
            # The quotes of a tag get lost on the way when it is the only thing in the header.
            code == "malformed" and any((headers.get(name) or "").isdigit() for name in ("if-match", "if-none-match")),
        ]
    )


@schemathesis.hook
def filter_failure(context, failure, case, response):
    name = type(failure).__name__
    if name == "ServerError" and code_of(response) in ("no_leader", "outcome_unknown", "no_checkpoint"):
        return not is_in_a_hurry(response)
    if name == "AllowHeaderMismatch" and case.operation.path == "/key/{key}":
        # It does not read "additionalOperations", where methods of other names stand.
        return response.headers["allow"] != ["GET, HEAD, POST, PUT, DELETE, LOCK, UNLOCK"]
    if name == "RejectedPositiveData":
        if code_of(response) in ("no_leader", "outcome_unknown", "no_checkpoint"):
            return not is_in_a_hurry(response)
        return not has_relations_that_do_not_hold(case, response)
    return True
