#!/usr/bin/env python3
"""A full pool queues in order, up to a bound and a deadline, and each workspace has a bound of its own."""
from harness import *

CONF = settings(max_workers=2, queue_max=3, queue_deadline_s=600)

with Codexd(CONF, [{**RULE, "max_workers": 1}]) as codexd:
    path, other = workspace(), workspace(BETA, "site-beta")
    gates = 0

    def held(where=ALPHA, **parameters):
        """A job that runs until its gate is opened."""
        global gates
        gates += 1
        gate = fifo(f"{path if where == ALPHA else other}/gate{gates}", "site-alpha" if where == ALPHA else "site-beta")
        job = codexd.submit(turn("say ready", f"wait {gate}"), workspace=where, **parameters)
        job.gate = gate
        return job

    with case("a workspace's bound holds while another workspace runs"):
        first = held()
        first.until("item.completed")
        queued = [held() for _ in range(2)]
        for job in queued:
            job.until("job.queued")
        elsewhere = held(BETA)
        elsewhere.until("item.completed")
        equal([codexd.get(j)["state"] for j in [first, *queued, elsewhere]], ["running", "queued", "queued", "running"])

    with case("positions in the queue are told"):
        equal([codexd.get(j)["queue_position"] for j in queued], [1, 2])
        stats = codexd.call("Stats")
        equal((stats["running"], stats["queued"], stats["max_workers"]), (2, 2, 2))

    with case("beyond the bound a job is refused, saying when to come again"):
        third = held()
        third.until("job.queued")
        refused = codexd.refusal(turn())
        equal(refused.name, "QueueFull")
        if not refused.parameters.get("retry_after_s", 0) > 0:
            raise AssertionError(refused.parameters)
        contains(refused.message, "3", "the message, which names the bound")
        wait_record("job-rejected", "CODEX_ERROR=queue-full")

    with case("what waits runs in the order it came"):
        for job in (first, elsewhere, *queued, third):
            open_fifo(job.gate)
        starts = []
        for job in (first, *queued, third):
            equal(job.finished()["result"], "ok")
            starts.append(codexd.get(job)["started_usec"])
        elsewhere.finished()
        equal(starts, sorted(starts))
        queued_usec = codexd.get(third)
        if queued_usec["started_usec"] <= queued_usec["queued_usec"]:
            raise AssertionError("the time in the queue is not told")

    with case("a job whose deadline passes in the queue ends unstarted"):
        first = held()
        first.until("item.completed")
        late = codexd.submit(turn(), deadline_s=1)
        equal(late.finished()["result"], "deadline")
        equal(codexd.get(late)["failure"]["error"], "deadline")
        if "job.started" in late.types:
            raise AssertionError("it started")
        open_fifo(first.gate)
        first.finished()

    with case("the configured deadline of the queue holds as well"):
        codexd.configure({**CONF, "queue_deadline_s": 1})
        codexd.call("Reload")
        first = held()
        first.until("item.completed")
        late = codexd.submit(turn())
        equal(late.finished()["result"], "deadline")
        open_fifo(first.gate)
        equal(first.finished()["result"], "ok", "the running job, which the queue's deadline does not concern,")
finish()
