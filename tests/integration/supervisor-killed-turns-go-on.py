#!/usr/bin/env python3
"""The supervisor may be killed by any signal, or stop answering: another one takes over, running turns
go on, queued ones run, and every stream is the same as if nothing had happened."""
from harness import *

with Codexd(settings(max_workers=2), [{**RULE, "max_workers": 1}], watchdog_s=6) as codexd:
    path, other = workspace(), workspace(BETA, "site-beta")

    def killed(name, number):
        gate = fifo(f"{path}/gate-{name}")
        job = codexd.submit(turn("say before", f"wait {gate}", "say after", "tree 3"))
        job.until("item.completed")
        queued = codexd.submit(turn("say from the queue"))
        queued.until("job.queued")
        seen, worker = list(job.envelopes), codexd.get(job)["worker"]
        before = codexd.supervisor()

        os.kill(before, number)
        wait_gone(before, "the supervisor")
        after = eventually(lambda: [p for p in codexd.supervisors() if p != before], "another supervisor runs")[-1]

        equal(codexd.get(job)["state"], "running")
        equal(codexd.get(job)["worker"], worker)
        equal(codexd.process.poll(), None, "the launcher's status")
        open_fifo(gate)
        equal(codexd.wait(job)["result"], "ok")
        stream = codexd.attach(job)
        equal(stream[:len(seen)], seen, "the beginning of the stream")
        equal([e["seq"] for e in stream], list(range(len(stream))))
        types = [e["event"]["type"] for e in stream]
        equal(types.count(FINAL), 1, "the number of final events")
        equal(types[-1], FINAL)
        equal(types.count("job.started"), 1)
        contains([e["event"].get("item", {}).get("text") for e in stream], "after")
        equal(codexd.wait(queued)["result"], "ok", "the queued job's result")
        equal(codexd.attach(job), stream, "the stream, read again,")
        equal(codexd.supervisors(), [after])
        return job

    for name in ("SIGKILL", "SIGSEGV", "SIGTERM") if not SANITIZED else ("SIGKILL", "SIGTERM"):
        with case(f"{name}: the turn goes on, the stream is whole, the queue is kept"):
            job = killed(name, getattr(signal, name))

    with case("SIGSTOP: a supervisor that does not answer is replaced within the watchdog's time"):
        job = killed("SIGSTOP", signal.SIGSTOP)

    with case("the journal tells of each death, and of the worker that was taken over"):
        died = [r for r in journal("CODEX_EVENT=supervisor-died")]
        if len(died) < 3:
            raise AssertionError(f"{len(died)} records of it")
        contains(record_events(job_records(job)), "worker-adopted")
        equal(record_events(job_records(job)).count("job-finished"), 1)

    with case("a client that followed the job sees its connection end, no false event"):
        gate = fifo(f"{path}/gate-follower")
        job = codexd.submit(turn("say before", f"wait {gate}"))
        job.until("item.completed")
        os.kill(codexd.supervisor(), signal.SIGKILL)
        try:
            job.rest()
            raise AssertionError(f"the stream ended in order: {job.types}")
        except (Closed, ConnectionError):
            pass
        open_fifo(gate)
        equal(codexd.wait(job)["result"], "ok")

    with case("a job that ends while there is no supervisor is told to have ended once there is"):
        gate = fifo(f"{path}/gate-away")
        job = codexd.submit(turn("say before", f"wait {gate}"))
        job.until("item.completed")
        pid = codexd.get(job)["pid"]
        before = codexd.supervisor()
        os.kill(before, signal.SIGSTOP)
        open_fifo(gate)
        wait_gone(pid, "Codex")
        os.kill(before, signal.SIGKILL)
        equal(codexd.wait(job)["result"], "ok")
        equal([e["event"]["type"] for e in codexd.attach(job)].count(FINAL), 1)

    with case("cancelling survives as well"):
        job = codexd.submit(turn("ignore-signals", "say before", "hang"))
        job.until("item.completed")
        codexd.call("Cancel", job=job.id)
        os.kill(codexd.supervisor(), signal.SIGKILL)
        equal(codexd.wait(job)["result"], "cancelled")

    with case("ended jobs are remembered"):
        equal([j["state"] for j in codexd.call("List")["jobs"]], ["finished"] * len(codexd.call("List")["jobs"]))
        number = codexd.submit(turn())
        number.finished()
        if number.id <= job.id:
            raise AssertionError("a job's number was used again")
finish()
