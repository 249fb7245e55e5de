#!/usr/bin/env python3
"""Kills supervisor, launcher and keepers at random under load. In the end every accepted job has exactly one
job.finished, as its last event, sequences have no gap, and nothing is left: no process, no cgroup.

CODEXD_SOAK_ROUNDS kills (200), CODEXD_SOAK_SEED the seed that an earlier run printed."""
import random
from harness import *

ROUNDS = int(os.environ.get("CODEXD_SOAK_ROUNDS", "200"))
SEED = int(os.environ.get("CODEXD_SOAK_SEED", str(time.time_ns() % 1000000)))
print(f"seed {SEED}, {ROUNDS} kills", flush=True)
dice = random.Random(SEED)
RESULTS = {"ok", "lost", "failed", "spawn-failed"}  # the last: its keeper was killed while it started


def submit(codexd):
    """A job, or None: a daemon that is killed in mid-answer may or may not have accepted it."""
    try:
        return codexd.call("Submit", workspace=dice.choice([ALPHA, BETA]),
                           prompt=turn("say one", f"run sleep 0.0{dice.randrange(10)}", "say two", "tree 2"))["job"]
    except (Closed, OSError, VarlinkError):
        return None


def kill(codexd, what):
    if what == "launcher":
        codexd.restart(signal.SIGKILL)
        return
    pids = pids_named("codexd-supervis" if what == "supervisor" else "codexd-keeper")
    if pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(dice.choice(pids), signal.SIGKILL)


with Codexd(settings(max_workers=4), [{**RULE, "max_workers": 4}]) as codexd:
    workspace()
    workspace(BETA, "site-beta")
    kills = {"supervisor": 0, "launcher": 0, "keeper": 0}
    for _ in range(ROUNDS):
        for _ in range(dice.randrange(1, 4)):
            submit(codexd)
        what = dice.choice(list(kills))
        kill(codexd, what)
        kills[what] += 1
    print(f"kills: {kills}", flush=True)

    with case(f"every accepted job ended once (seed {SEED})"):
        def listed():
            with contextlib.suppress(Closed, OSError, VarlinkError):
                return codexd.call("List", limit=1000)["jobs"]
        jobs = eventually(listed, "the list of jobs")
        results = {}
        for job in jobs:
            record = codexd.wait(job["job"])
            results[record["result"]] = results.get(record["result"], 0) + 1
            if record["result"] == "spawn-failed":
                equal(record["failure"]["error"], "spawn-failed", f"why job {job['job']} did not start")
                equal(record["failure"].get("step"), "killed", f"the step of job {job['job']}: {record}")
            stream = codexd.attach(job["job"])
            types = [e["event"]["type"] for e in stream]
            equal(types.count(FINAL), 1, f"final events of job {job['job']}")
            equal(types[-1], FINAL, f"the last event of job {job['job']}")
            equal([e["seq"] for e in stream], list(range(len(stream))), f"the sequence of job {job['job']}")
        print(f"{len(jobs)} jobs: {results}", flush=True)
        equal(set(results) <= RESULTS, True, f"results {results} within {RESULTS}")
        equal(results.get("ok", 0) > 0, True, "some went well")

    with case(f"nothing is left (seed {SEED})"):
        eventually(lambda: worker_cgroups() == [], "no worker's cgroup")
        equal(pids_named("codexd-keeper"), [])
        equal(os.listdir("/run/codexd/keepers"), [], "keepers' sockets")
finish()
