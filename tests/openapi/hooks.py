"""Which of Schemathesis' complaints are none, each with its reason.

OpenAPI describes one parameter at a time. A request whose parameters are well formed, and don't go together, is refused
all the same, and a deadline that is too short to be met is not met.
"""

import json
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
