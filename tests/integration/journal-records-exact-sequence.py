#!/usr/bin/env python3
"""The journal tells the life of every job in fixed records: which, in which order, with which fields."""
from harness import *

OWN = "_COMM=codexd-supervis"
JOB = {"CODEX_JOB", "CODEX_WORKSPACE", "CODEX_UID", "CODEX_GID", "CODEX_CLASS"}
FIELDS = {  # what a record must have, beside JOB
    "job-queued": {"CODEX_OWNER", "CODEX_POLICY_DIGEST", "CODEX_SANDBOX_MODE"},
    "job-started": {"CODEX_WORKER", "CODEX_QUEUED_USEC", "CODEX_SPAWN_USEC", "CODEX_SANDBOX_MODE", "CODEX_NETWORK",
                    "CODEX_POLICY_DIGEST", "OBJECT_PID"},
    "thread-started": {"CODEX_THREAD"},
    "thread-resumed": {"CODEX_THREAD"},
    "turn-started": {"CODEX_THREAD"},
    "item-started": {"CODEX_THREAD"},
    "item-completed": {"CODEX_THREAD"},
    "turn-completed": {"CODEX_THREAD", "CODEX_TOKENS_INPUT", "CODEX_TOKENS_CACHED", "CODEX_TOKENS_OUTPUT"},
    "turn-failed": {"CODEX_THREAD"},
    "job-cancelling": {"CODEX_RESULT"},
    "job-finished": {"CODEX_RESULT"},
    "worker-spawned": {"CODEX_WORKER"},
    "worker-ready": {"CODEX_WORKER"},
    "worker-retired": {"CODEX_WORKER"},
    "worker-crashed": {"CODEX_WORKER"},
}


def story(job, worker=False):
    """The words of a job's records in the order they were made; those about its worker apart."""
    records = sorted(job_records(job), key=lambda r: int(r["__MONOTONIC_TIMESTAMP"]))
    words = [r["CODEX_EVENT"] for r in records]
    for record in records:
        missing = (JOB | FIELDS.get(record["CODEX_EVENT"], set())) - set(record)
        if missing:
            raise AssertionError(f"{record['CODEX_EVENT']} lacks {sorted(missing)}")
    return [w for w in words if w.startswith("worker-") == worker], records


def of(records, word):
    return next(r for r in records if r["CODEX_EVENT"] == word)


with Codexd(settings(kill_grace_s=1)) as codexd:
    path = workspace()

    with case("start"):
        job = codexd.submit(turn("say one", 'line {"type":"item.started","item":{"id":"item_1","type":"command_execution",'
                                 '"command":"secret","status":"in_progress"}}'), owner="somebody", **{"class": "automation"})
        job.finished()
        words, records = story(job)
        equal(words, ["job-queued", "job-started", "thread-started", "turn-started", "item-completed", "item-started",
                      "turn-completed", "job-finished"])
        last = of(records, "job-finished")
        equal((last["CODEX_RESULT"], last["EXIT_CODE"], last["EXIT_STATUS"]), ("ok", "exited", "0"))
        contains(last, "CODEX_RUN_USEC")
        equal({r["CODEX_OWNER"] for r in records if "CODEX_OWNER" in r}, {"somebody"})
        equal({r["CODEX_CLASS"] for r in records}, {"automation"})
        equal({(r["CODEX_UID"], r["CODEX_GID"]) for r in records}, {("987", "987")})
        thread = codexd.get(job)["thread_id"]
        equal(of(records, "turn-completed")["CODEX_THREAD"], thread)
        equal(of(records, "turn-completed")["CODEX_TOKENS_INPUT"], "1000")
        started = of(records, "job-started")
        equal((started["CODEX_SANDBOX_MODE"], started["CODEX_POLICY_DIGEST"]),
              ("danger-full-access", codexd.get(job)["policy_digest"]))
        equal(story(job, worker=True)[0][-1], "worker-retired")

    with case("each kind of record has a MESSAGE_ID of its own, a MESSAGE, and a place in the count"):
        ids = {}
        for record in journal(OWN):
            if "CODEX_EVENT" in record:
                ids.setdefault(record["CODEX_EVENT"], set()).add(record["MESSAGE_ID"])
                if not record["MESSAGE"] or not record["CODEX_SEQ"].isdigit():
                    raise AssertionError(record)
        equal([i for i in ids.values() if len(i) != 1], [])
        equal(len({i for s in ids.values() for i in s}), len(ids))

    with case("a thread's records are found by CODEX_THREAD"):
        found = {r["CODEX_EVENT"] for r in journal(f"CODEX_THREAD={thread}")}
        if not {"thread-started", "turn-started", "turn-completed", "job-finished"} <= found:
            raise AssertionError(found)

    with case("resume"):
        job = codexd.submit(turn(), thread_id=UUID)
        job.finished()
        equal(story(job)[0], ["job-queued", "job-started", "thread-resumed", "turn-started", "turn-completed", "job-finished"])

    with case("failed turn"):
        job = codexd.submit(fake("thread", "turn", "failed the-text-of-it", "exit 1"))
        job.finished()
        words, records = story(job)
        equal(words, ["job-queued", "job-started", "thread-started", "turn-started", "turn-failed", "job-finished"])
        last = of(records, "job-finished")
        equal((last["CODEX_RESULT"], last["CODEX_ERROR"], last["EXIT_STATUS"]), ("failed", "turn-failed", "1"))

    with case("cancel"):
        job = codexd.submit(turn("say x", "hang"))
        job.until("item.completed")
        codexd.call("Cancel", job=job.id)
        job.finished()
        words, records = story(job)
        equal(words, ["job-queued", "job-started", "thread-started", "turn-started", "item-completed", "job-cancelling",
                      "job-finished"])
        equal(of(records, "job-finished")["CODEX_RESULT"], "cancelled")

    with case("cancel of what does not obey"):
        job = codexd.submit(turn("ignore-signals", "say x", "hang"))
        job.until("item.completed")
        codexd.call("Cancel", job=job.id)
        job.finished()
        equal(story(job)[0][-3:], ["job-cancelling", "kill-escalated", "job-finished"])

    with case("crash of Codex"):
        job = codexd.submit(fake("thread", "turn", "signal 11"))
        job.finished()
        words, records = story(job)
        equal(words, ["job-queued", "job-started", "thread-started", "turn-started", "job-finished"])
        last = of(records, "job-finished")
        equal((last["CODEX_RESULT"], last["CODEX_ERROR"], last["EXIT_CODE"], last["EXIT_STATUS"]),
              ("failed", "codex-exit", "killed", "11"))
        contains(story(job, worker=True)[0], "worker-crashed")

    with case("a failed start names the step and the errno"):
        before = codexd.get(job)["job"]
        gone = workspace("gone.test")
        gate = fifo(path + "/gate")
        codexd.configure({**codexd.conf, "max_workers": 1})
        codexd.call("Reload")
        holder = codexd.submit(turn("say x", f"wait {gate}"))
        holder.until("item.completed")
        job = codexd.submit(turn(), workspace="gone.test")
        job.until("job.queued")
        os.rmdir(gone)
        open_fifo(gate)
        job.finished()
        words, records = story(job)
        equal(words, ["job-queued", "job-finished"])
        equal(of(records, "job-finished")["CODEX_RESULT"], "spawn-failed")
        contains(of(records, "job-finished"), "CODEX_ERROR")

    with case("codexd itself: ready, configuration loaded and rejected"):
        wait_record("daemon-ready")
        wait_record("config-loaded")
        codexd.configure('{"nonsense": 1}')
        error_of(codexd.call, "Reload")
        contains(wait_record("config-rejected")["MESSAGE"], "nonsense")

    with case("CODEX_SEQ counts each process's records without a gap"):
        by_process = {}
        for record in journal():
            if "CODEX_SEQ" in record:
                by_process.setdefault(record["_PID"], []).append(int(record["CODEX_SEQ"]))
        for pid, numbers in by_process.items():
            equal(sorted(numbers), list(range(min(numbers), min(numbers) + len(numbers))), f"the numbers of {pid}")
finish()
