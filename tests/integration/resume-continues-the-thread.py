#!/usr/bin/env python3
"""A job with a thread id continues that thread of Codex: it knows what was said, under the same id."""
from harness import *

with Model() as model, Codexd(settings(REAL_CODEX, model_port=model.port), [{**RULE, "model": "gpt-5.5"}]) as codexd:
    workspace()
    workspace(BETA, "site-beta")
    first = codexd.submit(Model.prompt({"say": "I am the first answer."}, text="first-question"))
    first.finished()
    thread = first.events[2]["thread_id"]

    with case("the thread id is the same and the model is shown what came before"):
        second = codexd.submit(Model.prompt({"say": "I am the second answer."}, text="second-question"), thread_id=thread)
        equal(second.finished()["result"], "ok")
        equal([e["thread_id"] for e in second.events if e["type"] == "thread.started"], [thread])
        requests = [r for r in model.records() if "items" in r]
        if not requests[-1]["items"] > requests[0]["items"]:
            raise AssertionError(f"the model saw no more than before: {requests}")
        equal(codexd.get(second)["thread_id"], thread)

    with case("usage is the thread's running total, as Codex reports it"):
        equal(codexd.get(first)["usage"]["input_tokens"], 1000)
        equal(codexd.get(second)["usage"]["input_tokens"], 2000)

    with case("the journal tells a resumed thread from a new one"):
        contains(record_events(job_records(first)), "thread-started")
        contains(record_events(job_records(second)), "thread-resumed")

    with case("a thread that Codex does not know has its own error word"):
        unknown = codexd.submit(Model.prompt({"say": "x"}), thread_id=UUID)
        equal(unknown.finished()["result"], "failed")
        equal(codexd.get(unknown)["failure"]["error"], "thread-unknown")

    with case("another workspace does not know the thread"):
        stranger = codexd.submit(Model.prompt({"say": "x"}), workspace=BETA, thread_id=thread)
        stranger.finished()
        equal(codexd.get(stranger)["failure"]["error"], "thread-unknown")

    with case("three times in a row, after a restart of codexd too"):
        codexd.restart()
        third = codexd.submit(Model.prompt({"say": "third"}), thread_id=thread)
        equal(third.finished()["result"], "ok")
        equal(codexd.get(third)["usage"]["input_tokens"], 3000)

with Codexd() as codexd:
    with case("an answer under another thread's id is no answer: thread-mismatch"):
        job = codexd.submit(fake(f"thread {UUID[:-1]}0", "turn", "say hello", "completed"), thread_id=UUID)
        equal(job.finished()["result"], "failed")
        equal(codexd.get(job)["failure"]["error"], "thread-mismatch")
finish()
