#!/usr/bin/env python3
"""A thread has one live turn: a second one is refused, whoever asks, until the first has ended."""
from harness import *

OTHER = UUID[:-1] + "0"

with Codexd() as codexd:
    path = workspace()

    def held(number, **parameters):
        gate = fifo(f"{path}/gate{number}")
        job = codexd.submit(turn("say ready", f"wait {gate}"), **parameters)
        job.until("item.completed")
        job.gate = gate
        return job

    with case("a thread that is resumed is busy; another one is not"):
        first = held(1, thread_id=UUID)
        refused = codexd.refusal(thread_id=UUID)
        equal(refused.name, "ThreadBusy")
        equal(codexd.submit(turn(), thread_id=OTHER).finished()["result"], "ok")
        wait_record("job-rejected", "CODEX_ERROR=thread-busy")

    with case("upper-case letters do not make another thread of it"):
        equal(codexd.refusal(thread_id=UUID.upper()).name, "ThreadBusy")

    with case("a thread that a job started is busy from then on"):
        second = held(2)
        thread = codexd.get(second)["thread_id"]
        equal(codexd.refusal(thread_id=thread).name, "ThreadBusy")
        open_fifo(second.gate)
        equal(second.finished()["result"], "ok")

    with case("when the turn has ended the thread is free"):
        open_fifo(first.gate)
        equal(first.finished()["result"], "ok")
        equal(codexd.submit(turn(), thread_id=UUID).finished()["result"], "ok")

    with case("what is no UUID is refused: Codex would start a new thread for it"):
        for bad in ("", "latest", "--last", UUID[:-1], UUID + "0", UUID.replace("-", ""), "g" + UUID[1:], "../" + UUID):
            refused = codexd.refusal(thread_id=bad)
            equal((refused.name, refused.parameters.get("key")), ("BadRequest", "thread_id"), f"the answer to {bad!r}")
finish()
