"""`python -m tests.bench`: starts services and subjects, runs the scenarios in turn, prints the table.

The subject has one core for itself; load and services share the other. Within a scenario the subjects take turns
(A B A B), so that what the machine does meanwhile meets them alike. Every answer is compared with the expected one
before anything is timed. Ends with status 1 when an answer was wrong.
"""

import argparse
import http.client
import json
import os
import platform
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from tests.bench.load import Call, Job, Result
from tests.bench.processes import ROOT, Process, cpu_s, on_core, rss_mib, tree
from tests.bench.report import Sample, remarks, table
from tests.bench.scenarios import SCENARIOS, Scenario
from tests.bench.subjects import GATEWAY, PEERS, SPLICED, SUBJECTS, Subject

READY_WITHIN_S = 30.0


class BenchError(Exception):
    """The benchmark cannot go on: a process did not start, or an answer was wrong."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asks for."""

    subjects: tuple[Subject, ...]
    scenarios: tuple[Scenario, ...]
    requests: int
    warmup: int
    concurrency: int
    rounds: int
    python: str
    no_store: bool
    latency_ms: float


class Bench:
    """One benchmark: the cores, the services, and the subjects that run."""

    def __init__(self, options: Options, stack: ExitStack) -> None:
        self._options = options
        self._stack = stack
        cores = sorted(os.sched_getaffinity(0))
        self._core, self._other_core = cores[0], cores[-1]
        self.secret = secrets.token_urlsafe(48)
        self._upstream, self._ports = self._start_upstream()
        self._running = {subject.name: self._start(subject) for subject in options.subjects}

    def run(self, scenario: Scenario) -> dict[str, list[Sample]]:
        """All rounds of a scenario, by subject."""
        calls = [Call(r.body, r.token, r.expected) for r in scenario.requests(self.secret)]
        verified = {subject.name: self._verify(subject, scenario, calls) for subject in self._options.subjects}
        samples: dict[str, list[Sample]] = {subject.name: [] for subject in self._options.subjects}
        for number in range(1, self._options.rounds + 1):
            for subject in self._options.subjects:
                sample = self._sample(subject, scenario, verified[subject.name])
                samples[subject.name].append(sample)
                _say(
                    f"{scenario.name} {number}/{self._options.rounds} {subject.name}: "
                    f"{sample.cpu_ms:.3f} CPU ms/request, {sample.per_second:.0f}/s, calls {dict(sample.upstream_calls)}"
                )
        return samples

    def _verify(self, subject: Subject, scenario: Scenario, calls: list[Call]) -> list[Call]:
        """Compare every answer; the calls with their answers' lengths."""
        result = self.load(subject, scenario, calls, verify=True, concurrency=8)
        if result.failure:
            raise BenchError(f"{subject.name}, {scenario.name}: a wrong answer. {result.failure}")
        return [replace(call, expected=None, length=n) for call, n in zip(calls, result.lengths, strict=True)]

    def _sample(self, subject: Subject, scenario: Scenario, calls: list[Call]) -> Sample:
        concurrency = self._options.concurrency
        self.load(subject, scenario, calls, count=self._options.warmup * subject.weight, concurrency=concurrency)
        self._upstream_calls("POST")
        count = self._options.requests * subject.weight
        services_before = cpu_s([self._upstream.pid])
        result = self.load(subject, scenario, calls, count=count, concurrency=concurrency)
        services = cpu_s([self._upstream.pid]) - services_before
        if result.failure:
            _say(f"{subject.name}, {scenario.name}: {result.failures} failed, the first with {result.failure}")
        return Sample(
            requests=result.requests,
            failures=result.failures,
            cpu_s=result.cpu_s,
            seconds=result.seconds,
            p50_s=result.p50_s,
            p99_s=result.p99_s,
            upstream_calls=self._upstream_calls("GET"),
            rss_mib=rss_mib(tree(self._running[subject.name][0].pid)),
            busy_ratio=(services + result.own_cpu_s) / result.seconds,
        )

    def running(self, subject: Subject) -> int:
        """A subject's process id."""
        return self._running[subject.name][0].pid

    def load(
        self,
        subject: Subject,
        scenario: Scenario,
        calls: list[Call],
        *,
        concurrency: int,
        verify: bool = False,
        count: int = 0,
    ) -> Result:
        """Send requests: all of `calls` once, compared, or `count` of them in turn. Raises `BenchError`."""
        process, port = self._running[subject.name]
        job = Job(port, scenario.path, calls, process.pid, verify, count, concurrency)
        with on_core(self._other_core):
            done = subprocess.run(
                [sys.executable, "-m", "tests.bench.load"],
                input=json.dumps(asdict(job)),
                capture_output=True,
                text=True,
                cwd=ROOT,
                check=False,
            )
        if done.returncode:
            why = done.stderr.strip().splitlines()[-1:]
            raise BenchError(f"{subject.name}, {scenario.name}: the load broke off. {why}\n{process.log()}")
        return Result(**json.loads(done.stdout))

    def _upstream_calls(self, method: str) -> dict[str, int]:
        connection = http.client.HTTPConnection("127.0.0.1", self._ports["users"], timeout=5)
        try:
            connection.request(method, "/__calls")
            calls: dict[str, int] = json.load(connection.getresponse())
            return calls
        finally:
            connection.close()

    def _start_upstream(self) -> tuple[Process, dict[str, int]]:
        command = [sys.executable, "-m", "tests.bench.upstream", "--latency-ms", str(self._options.latency_ms)]
        command += ["--no-store"] if self._options.no_store else []
        process = self._stack.enter_context(Process("upstream", command, core=self._other_core, piped=True))
        line = process.line()
        if not line:
            raise BenchError(f"The services did not start: {process.log()}")
        return process, json.loads(line)

    def _start(self, subject: Subject) -> tuple[Process, int]:
        port = _free_port()
        env = {name: value for name, value in os.environ.items() if not name.startswith("BFF_")}
        env |= {f"{name.upper()}_SERVICE_URL": f"http://127.0.0.1:{port}" for name, port in self._ports.items()}
        env |= {"HOST": "127.0.0.1", "PORT": str(port), "JWT_SECRET": self.secret, "PYTHONPATH": str(ROOT)}
        command = subject.argv(self._options.python, port)
        process = Process(subject.name, command, core=self._core, env=env | dict(subject.env))
        self._stack.enter_context(process)
        deadline = time.monotonic() + READY_WITHIN_S
        while not _is_ready(port, subject.ready_path):
            if process.ended or time.monotonic() > deadline:
                raise BenchError(f"{subject.name} did not become ready: {' '.join(command)}\n{process.log()}")
            time.sleep(0.1)
        return process, port


def _is_ready(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")


def _machine(options: Options) -> str:
    """One line on when, where and how: date, processor, interpreter, load."""
    info = Path("/proc/cpuinfo").read_text()
    model = next((line.partition(":")[2].strip() for line in info.splitlines() if "model name" in line), "?")
    asked = [options.python, "-c", "import sys; print(sys.version.replace(chr(10), ' '))"]
    python = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    caching = "no-store" if options.no_store else "as the contract says"
    return (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC; {model}, {os.cpu_count()} cores, {platform.system()} "
        f"{platform.release()}; Python {python}; {options.rounds} rounds of {options.requests} requests "
        f"(times {'/'.join(str(subject.weight) for subject in options.subjects)}), concurrency {options.concurrency}, "
        f"services {options.latency_ms:g} ms slow, caching {caching}; machine's load before {os.getloadavg()[0]:.1f}"
    )


def _options(arguments: Sequence[str] | None) -> Options:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    subjects = {subject.name: subject for subject in (*SUBJECTS, *PEERS, *SPLICED)}
    scenarios = {scenario.name: scenario for scenario in SCENARIOS}
    parser.add_argument(
        "--subjects",
        default=",".join(subject.name for subject in SUBJECTS),
        help="names with commas between (default: %(default)s)",
    )
    parser.add_argument("--scenarios", default=",".join(scenarios), help="the same (default: %(default)s)")
    parser.add_argument("--requests", type=int, help="in a round, times the subject's weight (default: 1000)")
    parser.add_argument("--concurrency", type=int, default=50, help="connections (default: %(default)s)")
    parser.add_argument("--rounds", type=int, help="turns that each subject takes (default: 3)")
    parser.add_argument("--python", default=sys.executable, help="the interpreter of the subjects")
    parser.add_argument("--env", action="append", default=[], metavar="NAME=VALUE", help="for the gateway; repeatable")
    parser.add_argument("--no-store", action="store_true", help="the services let nothing be cached")
    parser.add_argument("--latency-ms", type=float, default=0.0, help="the services wait so long (default: 0)")
    parser.add_argument("--quick", action="store_true", help="a smoke run: 100 requests, one round")
    given = parser.parse_args(arguments)
    extra = dict(pair.partition("=")[::2] for pair in given.env)
    subjects[GATEWAY.name] = replace(GATEWAY, env=dict(GATEWAY.env) | extra)
    try:
        chosen_subjects = tuple(subjects[name] for name in given.subjects.split(","))
        chosen_scenarios = tuple(scenarios[name] for name in given.scenarios.split(","))
    except KeyError as error:
        parser.error(f"there is no {error}; subjects: {', '.join(subjects)}; scenarios: {', '.join(scenarios)}")
    requests = given.requests or (100 if given.quick else 1000)
    return Options(
        subjects=tuple(replace(subject, weight=1) for subject in chosen_subjects) if given.quick else chosen_subjects,
        scenarios=chosen_scenarios,
        requests=requests,
        warmup=min(requests, 200),
        concurrency=given.concurrency,
        rounds=given.rounds or (1 if given.quick else 3),
        python=given.python,
        no_store=given.no_store,
        latency_ms=given.latency_ms,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; 0 when every answer was right."""
    options = _options(arguments)
    if not hasattr(os, "sched_setaffinity"):
        _say("bench: needs Linux: it pins processes to cores and reads their CPU clocks.")
        return 1
    machine = _machine(options)
    try:
        with ExitStack() as stack:
            bench = Bench(options, stack)
            rows = {scenario.title: bench.run(scenario) for scenario in options.scenarios}
    except BenchError as error:
        _say(f"bench: {error}")
        return 1
    found = remarks(rows)
    names = [subject.name for subject in options.subjects]
    lines = [machine, "", table(rows, names), *([""] if found else []), *(f"- {remark}" for remark in found)]
    sys.stdout.write("\n".join(lines) + "\n")
    failed = any(sample.failures for samples in rows.values() for rounds in samples.values() for sample in rounds)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
