#!/usr/bin/env python3
"""Stopping codexd-workers.service lets running turns end, with nothing new admitted; what does not end in time
is killed; no process and no cgroup of a worker is left, and every job has its one end."""
from installed import *

codexd = configured(settings(kill_grace_s=1))
path = workspace()
UNITS = ("codexd.socket", "codexd.service", "codexd-workers.service")
systemctl("start", "codexd.socket", "codexd.service")
enable_controllers()


def states():
    return [unit(name, "ActiveState")["ActiveState"] for name in UNITS]


def ends(job):
    return [e["event"]["type"] for e in codexd.attach(job)].count(FINAL)


def all_gone(pids):
    """A task leaves its cgroup, which is all that systemd sees, a moment before it is a zombie."""
    eventually(lambda: not [pid for pid in pids if is_alive(pid)], f"the end of {pids}", timeout=5)


with case("a turn that runs is waited for, and nobody is let in meanwhile"):
    gate = fifo(path + "/gate")
    job = codexd.submit(turn("say before", f"wait {gate}", "say after"))
    job.until("item.completed")
    pids = unit_pids("codexd-workers.service")
    with subprocess.Popen(["systemctl", "stop", "codexd-workers.service"]) as stopping:
        eventually(lambda: states()[:2] == ["inactive", "inactive"], "socket and service are stopped")
        equal(states()[2], "deactivating")
        equal(ctl("ping")[0], 7, "codexctl's status")
        equal([pid for pid in pids if is_alive(pid)], pids, "the processes of the turn")
        open_fifo(gate)
        equal(stopping.wait(TIMEOUT_S), 0)
    equal(states(), ["inactive"] * 3)
    all_gone(pids)

with case("the turn had ended in order, and is told so afterwards"):
    systemctl("start", "codexd.socket", "codexd.service")
    equal(codexd.wait(job)["result"], "ok")
    equal(ends(job), 1)
    contains([e["event"].get("item", {}).get("text") for e in codexd.attach(job)], "after")

with case("a turn that does not end is killed when the time for it is over, and told once, with the reason"):
    exec_stop = unit("codexd-workers.service", "ExecStop")["ExecStop"]
    contains(exec_stop, "drain --wait --timeout=")
    drop_in("codexd-workers.service", "[Service]\nExecStop=\nExecStop=/usr/local/bin/codexctl drain --wait --timeout=2 --kill\n")
    job = codexd.submit(turn("say before", "ignore-signals", "tree 20", "hang"))
    job.until("item.completed")
    pids = unit_pids("codexd-workers.service")
    systemctl("stop", "codexd-workers.service")
    all_gone(pids)
    systemctl("start", "codexd.socket", "codexd.service")
    record = codexd.wait(job)
    contains(["lost", "failed", "cancelled"], record["result"])
    if not record["failure"]["message"]:
        raise AssertionError("it does not say why")
    equal(ends(job), 1)

with case("and where even that does not help, systemd's own kill leaves nothing"):
    drop_in("codexd-workers.service", "[Service]\nExecStop=\nTimeoutStopSec=2\n")
    job = codexd.submit(turn("say before", "ignore-signals", "tree 20", "hang"))
    job.until("item.completed")
    pids = unit_pids("codexd-workers.service")
    systemctl("stop", "codexd-workers.service")
    all_gone(pids)
    systemctl("reset-failed", "codexd-workers.service", check=False)
    systemctl("start", "codexd.socket", "codexd.service")
    equal(codexd.wait(job)["result"], "lost")
    equal(ends(job), 1)

with case("afterwards jobs run again and no process is left of the old ones"):
    equal(codexd.submit(turn()).finished()["result"], "ok")
    equal(pids_named("fake-codex"), [])
finish()
