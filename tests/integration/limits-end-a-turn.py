#!/usr/bin/env python3
"""Wall clock, time without progress, the job's own deadline and the output quota each end a turn, with a word
of their own, and its whole tree."""
from harness import *

CONF = settings(kill_grace_s=1, classes={"chat": {"wall_clock_s": 3, "no_progress_s": 0},
                                         "automation": {"wall_clock_s": 0, "no_progress_s": 2}})

with Codexd(CONF) as codexd:
    path = workspace()

    def ended(job, result, word):
        equal(job.finished()["result"], result)
        record = codexd.get(job)
        equal((record["result"], record["failure"]["error"]), (result, word))
        equal(worker_pids(), [])
        return record

    with case("wall clock, of class chat"):
        job = codexd.submit(turn("ignore-signals", "tree 5", "say x", "hang"), **{"class": "chat"})
        record = ended(job, "timeout", "wall-clock")
        took = (record["finished_usec"] - record["started_usec"]) / 1e6
        if not 2.9 <= took <= 12:
            raise AssertionError(f"after {took:.1f} s")

    with case("no progress, of class automation"):
        job = codexd.submit(turn("say x", "hang"), **{"class": "automation"})
        record = ended(job, "stalled", "no-progress")
        wait_record("job-stalled", f"CODEX_JOB={job.id}")

    with case("an event now and then is progress: such a turn goes on"):
        gates = [fifo(f"{path}/gate{i}") for i in range(4)]
        job = codexd.submit(turn(*[c for g in gates for c in (f"wait {g}", "say x")]), **{"class": "automation"})
        job.until("turn.started")
        for gate in gates:
            time.sleep(1)  # this is what is tested: events a second apart, beyond 2 s in all
            open_fifo(gate)
        equal(job.finished()["result"], "ok")

    with case("the job's own deadline"):
        job = codexd.submit(turn("say x", "hang"), deadline_s=1, **{"class": "automation"})
        ended(job, "deadline", "deadline")

    with case("a turn that is faster than its limits is left alone"):
        equal(codexd.submit(turn(), deadline_s=60).finished()["result"], "ok")

    with case("no thread.started within start_timeout_s"):
        codexd.configure({**CONF, "start_timeout_s": 1})
        codexd.call("Reload")
        ended(codexd.submit(fake("hang")), "failed", "codex-hung")

    with case("the output quota: the turn is ended, what was written before is kept and can be read"):
        codexd.configure({**CONF, "job_output_max": "1M"})
        codexd.call("Reload")
        job = codexd.submit(turn("say first", "flood 20M", "ignore-signals", "hang"))
        record = ended(job, "quota", "output-quota")
        contains(job.messages(), "first")
        size = os.stat(f"{STATE}/workers/w-{record['worker']}/raw").st_size
        if size > (1 << 20) + 65536:
            raise AssertionError(f"{size} bytes were kept")
        stream = codexd.attach(job)
        equal([e["seq"] for e in stream], list(range(len(stream))))
        equal(stream[-1]["event"]["type"], FINAL)

    with case("below the quota a turn is left alone"):
        equal(codexd.submit(turn("flood 900k")).finished()["result"], "ok")

    with case("one line beyond the quota"):
        ended(codexd.submit(turn("long-line 5M", "hang")), "quota", "output-quota")
finish()
