#!/usr/bin/env python3
"""After a reboot (every process, every cgroup and all of /run gone; /var/lib kept) queued jobs run, and
running ones end once, as lost, with what they wrote still to be read."""
from harness import *


def reboot(codexd):
    codexd.stop(signal.SIGKILL)
    for pid in codexd.supervisors() + pids_named("codexd-keeper"):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        wait_gone(pid)
    for name in worker_cgroups():
        with open(f"{WORKERS_CGROUP}/{name}/cgroup.kill", "w", encoding="ascii") as kill:
            kill.write("1")
        for leaf in ("/job", "/keeper", ""):
            eventually(lambda path=f"{WORKERS_CGROUP}/{name}{leaf}": not os.path.isdir(path) or removed(path), "an empty cgroup")
    shutil.rmtree("/run/codexd")
    os.mkdir("/run/codexd", 0o755)
    codexd.start()


def removed(path):
    with contextlib.suppress(OSError):
        os.rmdir(path)
        return True
    return False


with Codexd(settings(max_workers=1)) as codexd:
    workspace()
    running = codexd.submit(turn("say before", "hang"))
    running.until("item.completed")
    queued = [codexd.submit(turn(f"say from the queue {n}")) for n in range(3)]
    seen = list(running.envelopes)
    reboot(codexd)

    with case("the running job ends once, as lost, and its events are still there"):
        record = codexd.wait(running)
        equal((record["result"], record["failure"]["error"]), ("lost", "lost"))
        stream = codexd.attach(running)
        equal(stream[:len(seen)], seen, "what was seen before")
        equal([e["event"]["type"] for e in stream].count(FINAL), 1, "the number of final events")

    with case("queued jobs run, in their order"):
        records = [codexd.wait(job) for job in queued]
        equal([record["result"] for record in records], ["ok"] * 3, "the results")
        starts = [record["started_usec"] for record in records]
        equal(starts, sorted(starts), "the order of starts")

    with case("numbers go on"):
        equal(codexd.submit(turn()).id, queued[-1].id + 1, "the next job's id")

    with case("a second one finds nothing to end again"):
        before = codexd.attach(running)
        reboot(codexd)
        equal(codexd.attach(running), before, "its events")
finish()
