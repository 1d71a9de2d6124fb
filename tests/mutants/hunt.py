"""Runs each mutant of a crate against the tests that reach it, the quickest first.

    hunt.py PACKAGE [--workers N] [--shard K/N] [--seeds N]

Each mutant meets the tests that take no time first; those that are left meet simulated clusters, as many as `--seeds`
says; and what is left then the tests that take long. Constants, and functions that return `impl …`, are built one by one.

Goes on where it stopped: what is known stands in `PACKAGE.jsonl`, by the mutant's name.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import threading
import time

import switch

ROOT = pathlib.Path(__file__).resolve().parents[2]
# A test that takes longer is asked last.
QUICK_SECONDS = 0.25
# What is simulated: nodes that go through everything, and nodes whose disks are hurt.
SCENARIOS = ("swarm", "disk")
# Tests that take no longer together are asked in one process.
TOGETHER_SECONDS = 0.3


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("package")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--shard", default="0/1")
    parser.add_argument("--seeds", type=int, default=0)
    return parser.parse_args()


def copied(place):
    """The tree as it is, in a place where it may be changed; what did not change keeps its time."""
    place.mkdir(parents=True, exist_ok=True)
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    files = {file for file in names if (ROOT / file).is_file()}
    for file in files:
        to = place / file
        if not (to.exists() and to.read_bytes() == (ROOT / file).read_bytes()):
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / file, to)
    # Cargo would take a test that is no more for one.
    for left in [path for path in place.rglob("*") if path.is_file() and str(path.relative_to(place)) not in files]:
        left.unlink()
    return place


class Tests:
    """The tests of a package: how long each takes, and which mutants it reaches."""

    def __init__(self, programs, folder, environment):
        self.folder, self.environment = folder, environment
        self.seconds, self.reached = {}, {}
        for program in programs:
            for name in self.names(program):
                self.measure(program, name)

    def names(self, program):
        done = subprocess.run([program, "--list", "--format", "terse"], cwd=self.folder, capture_output=True, text=True)
        return [line.removesuffix(": test") for line in done.stdout.splitlines() if line.endswith(": test")]

    def measure(self, program, name):
        with tempfile.NamedTemporaryFile() as file:
            begun = time.monotonic()
            outcome = self.run(program, [name], 600, {"MUTANTS_REACHED": file.name})
            if outcome != "passed":
                raise SystemExit(f"{name} {outcome} without a mutant")
            self.seconds[program, name] = time.monotonic() - begun
            self.reached[program, name] = {int(line) for line in pathlib.Path(file.name).read_text().split()}

    def run(self, program, names, seconds, more):
        command = [program, "--exact", "--test-threads", "1", *names]
        with tempfile.TemporaryDirectory() as scratch:
            environment = self.environment | more | {"TMPDIR": scratch}
            try:
                done = subprocess.run(
                    command, cwd=self.folder, env=environment, timeout=seconds,
                    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                )
            except subprocess.TimeoutExpired:
                return "did not end"
        return "passed" if done.returncode == 0 else "failed"

    def rounds(self, number, are_quick):
        """What to ask of a mutant, in order: a few tests at a time, the quickest first."""
        reach = [test for test in self.seconds if number in self.reached[test]]
        reach = [test for test in reach if (self.seconds[test] <= QUICK_SECONDS) == are_quick]
        rounds, open_rounds = [], {}
        for program, name in sorted(reach, key=self.seconds.get):
            names, seconds = open_rounds.get(program, ([], 0))
            if not names or seconds + self.seconds[program, name] > TOGETHER_SECONDS:
                names, seconds = [], 0
                rounds.append((program, names))
            names.append(name)
            open_rounds[program] = (names, seconds + self.seconds[program, name])
        return rounds

    def judge(self, number, are_quick):
        for program, names in self.rounds(number, are_quick):
            usual = sum(self.seconds[program, name] for name in names)
            outcome = self.run(program, names, 4 + 5 * usual, {"MUTANT": str(number)})
            if outcome != "passed":
                return outcome, names
        return "missed", None


class Seeds:
    """Simulated clusters of cores and their storage."""

    def __init__(self, tree, environment, count):
        command = ["cargo", "build", "--release", "--locked", "--package", "quorate-sim", "--bin", "sim"]
        subprocess.run(command, cwd=tree, env=environment, check=True)
        self.program = pathlib.Path(environment["CARGO_TARGET_DIR"]) / "release/sim"
        self.environment, self.count = environment, count
        with tempfile.NamedTemporaryFile() as file:
            failed = self.first_failure({"MUTANTS_REACHED": file.name})
            if failed is not None:
                raise SystemExit(f"without a mutant too: {failed}")
            self.reached = {int(line) for line in pathlib.Path(file.name).read_text().split()}

    def first_failure(self, more):
        for scenario in SCENARIOS:
            failed = self.first_of(scenario, more)
            if failed is not None:
                return failed
        return None

    def first_of(self, scenario, more):
        command = [self.program, "-o", "json", "--stack", "core", "--jobs", "1", "--scenario", scenario]
        simulator = subprocess.Popen(
            [*command, "--seeds", str(self.count // len(SCENARIOS))],
            env=self.environment | more, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )
        # One that never ends is cut off, and looked at.
        watchdog = threading.Timer(300, simulator.kill)
        watchdog.start()
        for line in simulator.stdout:
            seed = json.loads(line)
            if seed["verdict"] != "passed":
                simulator.kill()
                break
        else:
            seed = None
        status = simulator.wait()
        watchdog.cancel()
        if seed is not None:
            return f"{scenario}, seed {seed['seed']}, {seed.get('checker') or seed['verdict']}"
        # 13: a kind of fault that was promised did not strike in so few.
        return None if status in (0, 13) else f"{scenario}, exit {status}"

    def judge(self, number):
        if number not in self.reached:
            return "missed", None
        failed = self.first_failure({"MUTANT": str(number)})
        return ("missed", None) if failed is None else ("failed", failed)


class Alone:
    """Those that no switch can stand before: each is built by itself, as the code would be with it."""

    def __init__(self, package, environment, tree, slow):
        self.environment, self.tree = environment, tree
        self.command = ["cargo", "test", "--locked", "--package", package]
        # All but those that take long; then all.
        self.rounds = [["--", *(word for name in slow for word in ("--skip", name))], []]
        if self.run(["--no-run"], None) != 0:
            raise SystemExit("it does not compile without a mutant")
        self.seconds = [60 + 5 * self.usual(more) for more in self.rounds]

    def usual(self, more):
        begun = time.monotonic()
        if self.run(more, None) != 0:
            raise SystemExit("the tests fail without a mutant")
        return time.monotonic() - begun

    def run(self, more, seconds):
        """The exit code, or none when it did not end."""
        command = subprocess.Popen(
            [*self.command, *more], cwd=self.tree, env=self.environment, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        try:
            return command.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(command.pid, signal.SIGKILL)
            command.wait()
            return None

    def judge(self, mutant):
        file = self.tree / mutant.file
        text = file.read_bytes()
        file.write_bytes(text[: mutant.start] + mutant.replacement.encode() + text[mutant.end :])
        try:
            if self.run(["--no-run"], None) != 0:
                return "does not compile", None
            for more, seconds in zip(self.rounds, self.seconds):
                outcome = self.run(more, seconds)
                if outcome != 0:
                    return "did not end" if outcome is None else "failed", None
        finally:
            file.write_bytes(text)
        return "missed", None


def known(path):
    if not path.exists():
        return {}
    return {(entry := json.loads(line))["name"]: entry for line in path.read_text().splitlines()}


def hunt(stage, judge, mutants, workers, results):
    """Judges those that nothing has noticed and that were not here yet; writes down what came of each at once."""
    before, lock = known(results), threading.Lock()

    def is_left(mutant):
        found = before.get(mutant.name, {"outcome": "missed", "asked": []})
        return found["outcome"] == "missed" and stage not in found["asked"]

    def one(mutant):
        outcome, by = judge(mutant)
        asked = [*before.get(mutant.name, {"asked": []})["asked"], stage]
        found = {"name": mutant.name, "number": mutant.number, "outcome": outcome, "by": by, "asked": asked}
        with lock, results.open("a") as file:
            file.write(json.dumps(found) + "\n")

    left = [mutant for mutant in mutants if is_left(mutant)]
    print(f"{stage}: {len(left)} mutants", flush=True)
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        list(pool.map(one, left))


def main():
    asked = arguments()
    place = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "mutants"
    # Optimised, as tests run far more often than they are built; with all that a debug build checks.
    profile = {"CARGO_PROFILE_TEST_OPT_LEVEL": "1", "CARGO_PROFILE_DEV_OPT_LEVEL": "1"}
    places = {"CARGO_TARGET_DIR": str(place / "target"), "RUSTFLAGS": "--cfg madsim -Awarnings"}
    environment = os.environ | profile | places
    tree = copied(place / "tree")
    mutants, programs = switch.build(ROOT, tree, asked.package, environment)
    package = tree / mutants[0].file.split("/src/")[0]
    table = place / f"{asked.package}.json"
    table.write_text(json.dumps([vars(mutant) for mutant in mutants]))
    tests = Tests(programs, package, environment)
    quick = [seconds for seconds in tests.seconds.values() if seconds <= QUICK_SECONDS]
    all_seconds = sum(tests.seconds.values())
    print(f"{len(tests.seconds)} tests in {all_seconds:.0f} s, {len(quick)} of them in {sum(quick):.0f} s", flush=True)

    results = place / f"{asked.package}.jsonl"
    shard, of = map(int, asked.shard.split("/"))
    switched = [mutant for mutant in mutants if mutant.apart is None and mutant.number % of == shard]
    hunt("quick", lambda mutant: tests.judge(mutant.number, True), switched, asked.workers, results)
    if asked.seeds:
        seeds = Seeds(tree, environment, asked.seeds)
        hunt("seeds", lambda mutant: seeds.judge(mutant.number), switched, asked.workers, results)
    hunt("slow", lambda mutant: tests.judge(mutant.number, False), switched, asked.workers, results)
    by_themselves = [mutant for mutant in mutants if mutant.apart == "one by one" and mutant.number % of == shard]
    if by_themselves:
        slow = [name for (_, name), seconds in tests.seconds.items() if seconds > QUICK_SECONDS]
        places = environment | {"CARGO_TARGET_DIR": str(place / "alone")}
        alone = Alone(asked.package, places, copied(place / "plain"), slow)
        hunt("alone", alone.judge, by_themselves, 1, results)
    outcomes = [entry["outcome"] for entry in known(results).values()]
    outcomes += [mutant.apart for mutant in mutants if mutant.apart == "does not compile"]
    for outcome in sorted(set(outcomes)):
        print(f"{outcomes.count(outcome):6} {outcome}")
    for entry in known(results).values():
        if entry["outcome"] != "failed":
            print(f"{entry['outcome']}: {entry['name']}")


if __name__ == "__main__":
    main()
