#!/usr/bin/env python3
"""`systemctl restart codexd` is no event for running turns, and leaves every unit healthy, with controllers
enabled down the tree and a worker running in it."""
from installed import *

codexd = configured()
path = workspace()
systemctl("start", "codexd.socket", "codexd.service")
enable_controllers()


def workers():
    return unit("codexd-workers.service", "ActiveState", "MainPID", "InvocationID", "NRestarts")


with case("the trap is set: a controller is enabled in the workers' unit"):
    with open(f"/sys/fs/cgroup/{cgroup_chain()[-1]}/cgroup.subtree_control", encoding="ascii") as file:
        if "hugetlb" not in file.read():
            raise Skip("no controller can be enabled in the workers' cgroup here")

gate = fifo(path + "/gate")
job = codexd.submit(turn("say before", f"wait {gate}", "say after", "tree 3"))
job.until("item.completed")
before, pids = workers(), unit_pids("codexd-workers.service")

for verb in ("restart", "restart", "try-restart", "reload-or-restart"):
    with case(f"systemctl {verb} codexd.service: the service is back, the workers' unit never noticed"):
        systemctl(verb, "codexd.service")
        equal(unit("codexd.service", "ActiveState", "Result"), {"ActiveState": "active", "Result": "success"})
        equal(workers(), before)
        equal(unit_pids("codexd-workers.service"), pids)
        equal(codexd.get(job)["state"], "running")

with case("stop and start, with time in between, is the same"):
    systemctl("stop", "codexd.service")
    equal(unit_pids("codexd-workers.service"), pids)
    systemctl("start", "codexd.service")
    equal(workers(), before)

with case("killing all of codexd.service is the same"):
    main = unit("codexd.service", "MainPID")["MainPID"]
    systemctl("kill", "--kill-whom=all", "--signal=KILL", "codexd.service")
    wait_gone(int(main))
    eventually(lambda: unit("codexd.service", "ActiveState", "MainPID")["MainPID"] not in (main, "0"), "another main process")
    equal(codexd.get(job)["state"], "running")
    equal(workers(), before)

with case("the turn ends as if nothing had been, told once"):
    open_fifo(gate)
    equal(codexd.wait(job)["result"], "ok")
    stream = codexd.attach(job)
    equal([e["seq"] for e in stream], list(range(len(stream))))
    equal([e["event"]["type"] for e in stream].count(FINAL), 1)
    contains([e["event"].get("item", {}).get("text") for e in stream], "after")

with case("a new job runs, and no unit has failed"):
    equal(codexd.submit(turn()).finished()["result"], "ok")
    equal(systemctl("list-units", "--failed", "--no-legend", "codexd*"), "")

with case("`systemctl reload codexd` reads the configuration"):
    codexd.configure(settings(max_workers=3))
    systemctl("reload", "codexd.service")
    eventually(lambda: codexd.call("Stats")["max_workers"] == 3, "the new bound is in force")
finish()
