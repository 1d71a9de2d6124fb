"""A client that writes and reads without pause, until SIGTERM, and then tells whether anything was lost or done twice.

Each writer has a key of its own and counts up in it. A write whose outcome is unknown is repeated under its idempotency
key, at one node after the other, until it is acknowledged. So whenever a writer reads its key it sees its last number,
whichever node answers; and at the end the version of each key, which counts its writes, is that number as well.
"""

import argparse
import base64
import http.client
import itertools
import json
import signal
import ssl
import sys
import threading
import time
from urllib.parse import urlsplit

# How long a node may look for a leader, and how long it may take to answer at all.
NODE_TIMEOUT = "1s"
ANSWER_TIMEOUT_SECONDS = 2.5
# How long it may take until any node answers.
PATIENCE_SECONDS = 60
# Nothing was done, or nobody knows.
TRY_AGAIN = {503, 504}


class Wrong(Exception):
    """What must not happen."""


class Nodes:
    """Connections of one writer to all nodes."""

    def __init__(self, options, tls):
        self.urls = [urlsplit(url) for url in options.endpoints.split(",")]
        self.tls = tls
        self.headers = {"Authorization": "Bearer " + open(options.token_file).read().strip()}
        self.connections = [None] * len(self.urls)

    def ask(self, number, method, target, body=None, headers=()):
        """The answer of a node, or nothing when there is none, or it has to be asked again."""
        if self.connections[number] is None:
            url = self.urls[number]
            self.connections[number] = http.client.HTTPSConnection(
                url.hostname, url.port, timeout=ANSWER_TIMEOUT_SECONDS, context=self.tls
            )
        connection = self.connections[number]
        try:
            connection.request(method, target, body, {**self.headers, **dict(headers)})
            response = connection.getresponse()
            answer = response.status, response.headers, response.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            self.connections[number] = None
            time.sleep(0.02)  # A node that is down would be knocked at without a pause.
            return None
        if answer[0] in TRY_AGAIN:
            return None
        if answer[0] != 200:
            raise Wrong(f"{method} {target}: {answer[0]} {answer[2]!r}")
        return answer


class Writer:
    def __init__(self, options, tls, number, ledger):
        self.nodes = Nodes(options, tls)
        self.key = f"{options.prefix}{number}"
        self.preferred = number % len(self.nodes.urls)
        self.ledger = ledger
        self.written = 0
        self.revision = 0

    def ask(self, method, target, body=None, headers=()):
        """The answer of any node."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (answer := self.nodes.ask(self.preferred, method, target, body, headers)) is None:
            self.preferred = (self.preferred + 1) % len(self.nodes.urls)
            if time.monotonic() > deadline:
                raise Wrong(f"{method} {target}: nobody has answered for {PATIENCE_SECONDS} s")
        return answer

    def write(self):
        """Writes the next number, and returns when it is acknowledged."""
        value = str(self.written + 1)
        named = {"Idempotency-Key": f"{self.key}-{value}"}
        answer = self.ask("PUT", f"/key/{self.key}?timeout={NODE_TIMEOUT}", value, named)
        revision = int(answer[1]["ETag"].strip('"'))
        if revision <= self.revision:
            raise Wrong(f"{self.key}: revision {revision} was given after {self.revision}")
        self.written, self.revision = self.written + 1, revision
        self.ledger.note(f"{self.key} {value} {revision}")

    def read(self, node):
        """A linearizable read at this node, if it can answer one."""
        answer = self.nodes.ask(node, "GET", f"/key/{self.key}?timeout={NODE_TIMEOUT}")
        if answer and answer[2] != str(self.written).encode():
            raise Wrong(f"{self.key}: {answer[2]!r} was read at node {node}, and {self.written} is written")

    def work(self, stop):
        for node in itertools.cycle(range(len(self.nodes.urls))):
            if stop.is_set():
                return
            self.write()
            self.read(node)

    def check(self):
        """Whether the store has what is in the ledger, each write once."""
        (_, _, body) = self.ask("GET", f"/keys?prefix={self.key}&timeout={NODE_TIMEOUT}")
        (entry,) = [entry for entry in json.loads(body)["keys"] if entry["key"] == self.key]
        if (entry["version"], entry["mod_revision"]) != (self.written, self.revision):
            raise Wrong(f"{entry}: {self.written} writes were acknowledged, the last at revision {self.revision}")
        if base64.b64decode(entry["value"]) != str(self.written).encode():
            raise Wrong(f"{entry}: {self.written} was written last")


class Ledger:
    """A line for each acknowledged write."""

    def __init__(self, path):
        self.file = open(path, "w")
        self.lock = threading.Lock()
        self.writes = 0
        self.latest = time.monotonic()
        self.longest_pause_seconds = 0.0

    def note(self, line):
        with self.lock:
            now = time.monotonic()
            self.longest_pause_seconds = max(self.longest_pause_seconds, now - self.latest)
            self.latest = now
            self.writes += 1
            print(line, file=self.file, flush=True)


def options():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ["endpoints", "cacert", "cert", "key", "token-file", "prefix", "ledger"]:
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--writers", type=int, default=4)
    return parser.parse_args()


def main():
    chosen = options()
    tls = ssl.create_default_context(cafile=chosen.cacert)
    tls.load_cert_chain(chosen.cert, chosen.key)
    ledger, stop, wrongs = Ledger(chosen.ledger), threading.Event(), []
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    writers = [Writer(chosen, tls, number, ledger) for number in range(chosen.writers)]

    def work(writer):
        try:
            writer.work(stop)
            writer.check()
        except BaseException as wrong:
            wrongs.append(f"{type(wrong).__name__}: {wrong}")
            stop.set()

    threads = [threading.Thread(target=work, args=[writer]) for writer in writers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for wrong in wrongs:
        print(wrong, file=sys.stderr)
    pause = f"{ledger.longest_pause_seconds:.1f} s"
    print(f"{ledger.writes} writes were acknowledged, with {pause} between two of them at most")
    return 1 if wrongs else 0


sys.exit(main())
