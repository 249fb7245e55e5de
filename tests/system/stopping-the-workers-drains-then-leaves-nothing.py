#!/usr/bin/env python3
"""Stopping codexd-workers.service lets running turns end; what does not end in time is killed; no process
and no cgroup of a worker is left, and every job has its one end."""
from installed import *

codexd = configured(settings(kill_grace_s=1))
path = workspace()
systemctl("start", "codexd.socket", "codexd.service")
enable_controllers()

with case("it drains: a turn that ends is waited for, nothing new is admitted"):
    gate = fifo(path + "/gate")
    job = codexd.submit(turn("say before", f"wait {gate}", "say after"))
    job.until("item.completed")
    stopping = subprocess.Popen(["systemctl", "stop", "codexd-workers.service"])
    eventually(lambda: codexd.call("Stats")["draining"], "codexd drains")
    equal(codexd.refusal(turn()).name, "Draining")
    equal(stopping.poll(), None, "the state of `systemctl stop`")
    open_fifo(gate)
    equal(stopping.wait(TIMEOUT_S), 0)
    equal(unit("codexd-workers.service", "ActiveState")["ActiveState"], "inactive")
    equal(unit_pids("codexd-workers.service"), [])

with case("the turn had ended in order"):
    systemctl("start", "codexd.service")
    equal(codexd.get(job)["result"], "ok")
    equal([e["event"]["type"] for e in codexd.attach(job)].count(FINAL), 1)

with case("a turn that does not end is killed when the time for stopping is over, and told once"):
    drop_in("codexd-workers.service", "[Service]\nTimeoutStopSec=3\n")
    enable_controllers()
    job = codexd.submit(turn("say before", "ignore-signals", "tree 20", "hang"))
    job.until("item.completed")
    systemctl("stop", "codexd-workers.service")
    equal(unit_pids("codexd-workers.service"), [])
    systemctl("start", "codexd.service")
    record = codexd.wait(job)
    equal(record["state"], "finished")
    contains(["lost", "cancelled", "failed"], record["result"])
    if not record["failure"]["message"]:
        raise AssertionError("it does not say why")
    equal([e["event"]["type"] for e in codexd.attach(job)].count(FINAL), 1)

with case("afterwards jobs run again and no process is left of the old ones"):
    equal(codexd.submit(turn()).finished()["result"], "ok")
    equal(pids_named("fake-codex"), [])
finish()
