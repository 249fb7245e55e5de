#!/usr/bin/env python3
"""Whoever reads a job's stream slowly, or not at all, delays neither the job nor anybody else, and takes no
memory; whoever comes back later gets all of it."""
from harness import *


with Codexd() as codexd:
    path = workspace()
    codexd.submit(turn()).finished()
    supervisor = codexd.supervisor()
    before = rss_kib(supervisor)

    with case("a flood of 60 MB ends although those who follow it do not read"):
        gate = fifo(path + "/gate")
        job = codexd.submit(turn(f"wait {gate}", "flood 60M"))
        sleepers = []
        for _ in range(30):
            client = Client()
            client.send("Attach", {"job": job.id, "from_seq": 0}, more=True)
            sleepers.append(client)
        open_fifo(gate)
        record = codexd.wait(job)
        equal(record["result"], "ok")
        grown = rss_kib(supervisor) - before
        if grown > 48 << 10 and not SANITIZED:
            raise AssertionError(f"the supervisor grew by {grown >> 10} MiB")

    with case("other clients are answered and other turns run meanwhile"):
        start = time.monotonic()
        equal(codexd.submit(turn()).finished()["result"], "ok")
        if time.monotonic() - start > 10:
            raise AssertionError("that took more than 10 s")

    with case("one that wakes up gets every event, in order, to the end"):
        sleeper = sleepers[0]
        count, last = 0, None
        while True:
            reply = sleeper.receive()
            equal(reply["parameters"]["seq"], count)
            count += 1
            last = reply
            if not reply.get("continues"):
                break
        equal(last["parameters"]["event"]["type"], FINAL)
        equal(count, record["last_seq"] + 1)

    with case("those that never read may go"):
        for client in sleepers:
            client.close()
        codexd.call("Ping")

    with case("one line of 30 MB passes, whole"):
        job = codexd.submit(turn("long-line 30M", "say after"))
        equal(job.finished()["result"], "ok")
        longest = max(len(e.get("item", {}).get("text", "")) for e in job.events)
        equal(longest, 30 << 20)
        contains(job.messages(), "after")

    with case("while such a line is under way others are answered at once"):
        job = codexd.submit(turn("long-line 100M"))
        follower = threading.Thread(target=job.finished)
        follower.start()
        slowest = 0.0
        while follower.is_alive():
            start = time.monotonic()
            codexd.call("Ping")
            slowest = max(slowest, time.monotonic() - start)
        follower.join()
        equal(codexd.get(job)["result"], "ok")
        if slowest > 2.0:
            raise AssertionError(f"one Ping took {slowest:.2f} s")
finish()
