#!/usr/bin/env python3
"""While journald hangs, turns run and clients are answered; when it goes on, what was kept is told, and
what was not is counted."""
from harness import *

JOURNALD = pids_named("systemd-journal")[0]


def numbers_of(pid):
    return sorted(int(r["CODEX_SEQ"]) for r in journal(f"_PID={pid}") if "CODEX_SEQ" in r)


with Codexd(settings(journal_queue_max=64)) as codexd:
    workspace()
    codexd.submit(turn()).finished()
    supervisor = codexd.supervisor()
    wait_record("job-finished")

    with case("a stalled journal delays no turn"):
        os.kill(JOURNALD, signal.SIGSTOP)
        try:
            start = time.monotonic()
            jobs = [codexd.submit(turn(*["say x"] * 300)) for _ in range(6)]
            for job in jobs:
                equal(job.finished()["result"], "ok")
            codexd.call("Ping")
            if time.monotonic() - start > 20:
                raise AssertionError(f"six turns took {time.monotonic() - start:.0f} s")
            stats = codexd.call("Stats")
            if not stats["journal_dropped"] > 0:
                raise AssertionError(f"nothing was dropped: {stats}")
        finally:
            os.kill(JOURNALD, signal.SIGCONT)

    with case("afterwards a record says how many were lost"):
        lost = wait_record("events-lost")
        after = codexd.submit(turn())
        after.finished()
        wait_record("job-finished", f"CODEX_JOB={after.id}")
        if not any(c.isdigit() for c in lost["MESSAGE"]):
            raise AssertionError(lost["MESSAGE"])

    with case("the gap shows by CODEX_SEQ, and is as large as was said"):
        numbers = numbers_of(supervisor)
        equal(len(numbers), len(set(numbers)))
        missing = numbers[-1] - numbers[0] + 1 - len(numbers)
        equal(missing, codexd.call("Stats")["journal_dropped"])

    with case("every event is in the jobs' streams all the same"):
        for job in jobs:
            equal(len(codexd.attach(job)), 300 + 6)

    with case("without any journald the next turns run"):
        os.kill(JOURNALD, signal.SIGKILL)
        wait_gone(JOURNALD)
        for _ in range(3):
            equal(codexd.submit(turn()).finished()["result"], "ok")
finish()
