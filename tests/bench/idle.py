#!/usr/bin/env python3
"""What codexd costs while nothing happens: proportional memory of launcher and supervisor, private memory
of one of two keepers beside an idle Codex, and wake-ups."""
from harness import *

WINDOW_S = int(os.environ.get("CODEXD_BENCH_WINDOW_S", "120"))


def rollup(pid, key):
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        return sum(int(line.split()[1]) for line in file if line.startswith(key))


def switches(pids):
    total = 0
    for pid in pids:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/status", encoding="ascii", errors="replace") as file:
                total += sum(int(line.split()[1]) for line in file if line.startswith("voluntary_ctxt_switches"))
    return total


workspace()
with case("idle memory and wake-ups"):
    with Codexd(conf=settings(model_port=9)) as codexd:
        equal(codexd.submit(turn()).finished()["result"], "ok", "a job before the measurement")
        daemons = [codexd.process.pid, codexd.supervisor()]
        codexd.wait_notified("STATUS=0 running")
        pss = sum(rollup(pid, "Pss:") for pid in daemons) / 1024
        before = switches(daemons)
        # A figure per time needs time to pass: nothing is waited for here but the clock.
        select.select([], [], [], WINDOW_S)
        wakeups = (switches(daemons) - before) / WINDOW_S
        # Two, so that what they share is counted as shared.
        jobs = [codexd.submit(fake("thread", "turn", "hang")) for _ in range(2)]
        for job in jobs:
            job.until("turn.started")
        private = max(rollup(keeper, "Private_") for keeper in pids_named("codexd-keeper"))
        for job in jobs:
            codexd.call("Cancel", job=job.id)
            job.finished()
    print(f"bench: launcher + supervisor, PSS            {pss:8.1f} MB  target <= 12: {'met' if pss <= 12 else 'MISSED'}")
    print(f"bench: a keeper, private                     {private:8d} kB  target <= 150: {'met' if private <= 150 else 'MISSED'}")
    print(f"bench: wake-ups while idle                   {wakeups:8.2f} /s  target <= 0.1: {'met' if wakeups <= .1 else 'MISSED'}")
finish()
