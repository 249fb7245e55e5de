#!/usr/bin/env python3
"""Cancel is answered at once, escalates, and the slot is free exactly when no process of the job is left."""
from harness import *

with Codexd(settings(max_workers=1, kill_grace_s=1)) as codexd:
    path = workspace()

    def running(*commands):
        job = codexd.submit(turn(*commands))
        job.until("item.completed")
        return job

    def ended(job, result="cancelled"):
        end = job.finished()
        equal(end["result"], result)
        equal(worker_pids(), [], "what is left of the worker")
        equal(codexd.get(job)["result"], result)
        return end

    with case("a job that obeys ends without being killed"):
        job = running("say ready", "hang")
        equal(codexd.call("Cancel", job=job.id)["state"], "cancelling")
        ended(job)
        equal(job.types[-2:], ["job.cancelling", FINAL])
        equal([r for r in job_records(job) if r.get("CODEX_EVENT") == "kill-escalated"], [])

    with case("a hostile tree of 60 processes is gone before the job is told to have ended"):
        job = running("ignore-signals", "tree 60", "hang")
        if len(worker_pids()) < 61:
            raise AssertionError(f"only {len(worker_pids())} processes")
        start = time.monotonic()
        equal(codexd.call("Cancel", job=job.id)["state"], "cancelling")
        answered = time.monotonic() - start
        if answered > 0.5:
            raise AssertionError(f"the answer took {answered:.3f} s: it waited for the kill")
        ended(job)
        contains(record_events(job_records(job)), "kill-escalated")

    with case("the slot is free again: the next job runs"):
        equal(codexd.submit(turn()).finished()["result"], "ok")

    with case("a job waiting for that slot starts only when the tree is gone"):
        job = running("ignore-signals", "tree 20", "hang")
        waiting = codexd.submit(turn("report"))
        waiting.until("job.queued")
        equal(codexd.get(waiting)["state"], "queued")
        codexd.call("Cancel", job=job.id)
        equal(waiting.finished()["result"], "ok")
        first, second = codexd.get(job), codexd.get(waiting)
        if second["started_usec"] < first["finished_usec"]:
            raise AssertionError("it started before the first one's tree was gone")

    with case("processes that outlive a turn which ended well are killed too, and the result stays ok"):
        job = codexd.submit(turn("tree 9", "say left behind"))
        ended(job, "ok")

    with case("a queued job is cancelled without ever having run"):
        job = running("say ready", "hang")
        waiting = codexd.submit(turn("write " + path + "/ran"))
        waiting.until("job.queued")
        codexd.call("Cancel", job=waiting.id)
        equal(waiting.finished()["result"], "cancelled")
        if "job.started" in waiting.types or os.path.exists(path + "/ran"):
            raise AssertionError("it ran")
        codexd.call("Cancel", job=job.id)
        ended(job)

    with case("cancelling twice is no error and ends once"):
        job = running("ignore-signals", "say ready", "hang")
        codexd.call("Cancel", job=job.id)
        codexd.call("Cancel", job=job.id)
        ended(job)
        equal(job.types.count("job.cancelling"), 1)

    with case("cancelling an ended job changes nothing"):
        equal(codexd.call("Cancel", job=job.id)["state"], "finished")
        equal(codexd.get(job)["result"], "cancelled")

    with case("an unknown job is an error"):
        equal(error_of(codexd.call, "Cancel", job=999999).name, "NoSuchJob")
finish()
