#!/usr/bin/env python3
"""On Debian 12's own kernel, where cgroup2 has its real controllers: codexd starts, a job is the tenant's and
nothing else, cancel empties its cgroup, a restart ends no turn, and stopping the workers leaves no process."""
# machine: vm
from installed import *

CONTROLLERS = ("memory", "pids")
ZERO = "0" * 16


def words(path):
    with open(path, encoding="ascii") as file:
        return file.read().split()


def cgroup_of(pid):
    """Where the pid is, as a directory; there is one hierarchy, so one line."""
    with open(f"/proc/{pid}/cgroup", encoding="ascii") as file:
        line, = file.read().splitlines()
    contains(line, "0::/")
    return "/sys/fs/cgroup" + line.removeprefix("0::")


def subtree():
    return words(f"/sys/fs/cgroup/{cgroup_chain()[-1]}/cgroup.subtree_control")


# What follows counts on this machine only.
proven = False
with case("this is Linux 6.1 with one cgroup2 hierarchy that owns memory and pids"):
    equal(os.uname().release.split(".")[:2], ["6", "1"])
    with open("/proc/mounts", encoding="utf-8") as file:
        mounts = [line.split()[1:3] for line in file]
    equal([m for m in mounts if m[1].startswith("cgroup")], [["/sys/fs/cgroup", "cgroup2"]])
    for controller in CONTROLLERS:
        contains(words("/sys/fs/cgroup/cgroup.controllers"), controller)
    proven = True
if not proven:
    finish()

codexd = configured(settings(kill_grace_s=1))
path = workspace()
systemctl("start", "codexd.socket")


started = []


def submit(prompt):
    started.append(codexd.submit(prompt))
    return started[-1]


@contextlib.contextmanager
def proof(name):
    """A case after which none of its jobs runs: where it fails, those that follow need their slots."""
    with case(name):
        try:
            yield
        finally:
            for job in started[proof.seen:]:
                with contextlib.suppress(OSError, VarlinkError):
                    codexd.call("Cancel", job=job.id)
            proof.seen = len(started)


proof.seen = 0


def held(*commands):
    """A turn that has carried these out and waits for its gate."""
    name = f"{path}/gate-{len(started)}"
    job = submit(turn(*commands, "say ready", f"wait {fifo(name)}", "say after"))
    while "ready" not in job.messages():
        next(job)
    return job, name


with proof("the first client starts codexd.service, and the workers' unit with it"):
    equal(unit("codexd.service", "ActiveState")["ActiveState"], "inactive")
    code, _, err = ctl("ping")
    equal((code, err), (0, ""))
    for name in ("codexd.service", "codexd-workers.service"):
        equal(unit(name, "ActiveState", "SubState"), {"ActiveState": "active", "SubState": "running"}, name)

with proof("a job is its workspace's owner, without a capability and without a way to one"):
    job, gate = held("report")
    pid = codexd.get(job)["pid"]
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        outside = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    cgroup = cgroup_of(pid)
    open_fifo(gate)
    for status in (outside, job.report()["status"]):
        equal(status["Uid"].split(), [str(uid_of("site-alpha"))] * 4)
        equal(status["Gid"].split(), [str(grp_of("site-alpha"))] * 4)
        equal(status["Groups"].split(), [])
        for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            equal((name, status[name]), (name, ZERO))
        equal(status["NoNewPrivs"], "1")
    equal(job.finished()["result"], "ok")

with proof("the real Codex runs a turn of several steps"):
    with Model() as model:
        codexd.configure(settings(REAL_CODEX, model_port=model.port), [{**RULE, "model": "gpt-5.5"}])
        systemctl("reload", "codexd.service")
        job = submit(Model.prompt({"run": "id -un; cat /proc/self/cgroup"}, {"say": "done"}))
        equal(job.finished()["result"], "ok")
        contains(str(job.events), "site-alpha\\n0::/")
        contains(job.messages(), "done")
    codexd.configure(settings(kill_grace_s=1), [RULE])
    systemctl("reload", "codexd.service")

with proof("the real controllers are enabled down to where workers are"):
    for controller in CONTROLLERS:
        contains(subtree(), controller)
    contains(cgroup, "/codexd-workers.service/")

with proof("a process of a turn that runs out of memory is killed alone: turns and units go on"):
    beside, beside_gate = held()
    before = unit("codexd-workers.service", "ActiveState", "MainPID", "InvocationID", "NRestarts")
    gates = [fifo(f"{path}/memory-{n}") for n in range(2)]
    job = submit(turn("say ready", f"wait {gates[0]}", "run tail /dev/zero", f"wait {gates[1]}"))
    job.until("item.completed")
    limited = os.path.dirname(cgroup_of(codexd.get(job)["pid"]))  # the worker's, above the job's
    with open(limited + "/memory.max", "r+", encoding="ascii") as file:
        file.write(str(32 << 20))
    open_fifo(gates[0])
    while not any(text.startswith("run: ") for text in job.messages()):
        next(job)
    events = dict(zip(*[iter(words(limited + "/memory.events"))] * 2))
    open_fifo(gates[1])
    equal(job.finished()["result"], "ok")
    open_fifo(beside_gate)
    equal(beside.finished()["result"], "ok")
    equal(events["oom_kill"], "1")
    equal(unit("codexd-workers.service", "ActiveState", "MainPID", "InvocationID", "NRestarts"), before)

with proof("cancel of a tree that ignores signals leaves nobody in the cgroup"):
    job, _ = held("ignore-signals", "tree 20")
    directory = os.path.dirname(cgroup_of(codexd.get(job)["pid"]))  # the worker's, above the job's
    pids = [pid for found, _, _ in os.walk(directory) for pid in map(int, words(found + "/cgroup.procs"))]
    if len(pids) < 21:
        raise AssertionError(f"only {len(pids)} processes in {directory}")
    equal(codexd.call("Cancel", job=job.id)["state"], "cancelling")
    equal(job.finished()["result"], "cancelled")
    equal([pid for pid in pids if is_alive(pid)], [])
    if os.path.exists(directory + "/cgroup.events"):
        contains(words(directory + "/cgroup.events"), "populated")
        equal(words(directory + "/cgroup.events")[1], "0", "populated")

with proof("systemctl restart codexd with a running turn: healthy, and the turn ends well"):
    job, gate = held()
    before = unit("codexd-workers.service", "ActiveState", "MainPID", "InvocationID", "NRestarts")
    pids = unit_pids("codexd-workers.service")
    for verb in ("restart", "restart"):
        systemctl(verb, "codexd.service")
        equal(unit("codexd.service", "ActiveState", "Result", "NRestarts"),
              {"ActiveState": "active", "Result": "success", "NRestarts": "0"})
    equal(unit("codexd-workers.service", "ActiveState", "MainPID", "InvocationID", "NRestarts"), before)
    equal(unit_pids("codexd-workers.service"), pids)
    equal(codexd.get(job)["state"], "running")
    open_fifo(gate)
    equal(codexd.wait(job)["result"], "ok")
    contains([e["event"].get("item", {}).get("text") for e in codexd.attach(job)], "after")

with proof("a job after that runs as before"):
    equal(submit(turn()).finished()["result"], "ok")

with proof("stopping codexd-workers.service leaves no process of a turn that does not end"):
    drop_in("codexd-workers.service", "[Service]\nExecStop=\nExecStop=/usr/local/bin/codexctl drain --wait --timeout=2 --kill\n")
    job, _ = held("ignore-signals", "tree 20")
    pids = unit_pids("codexd-workers.service")
    systemctl("stop", "codexd-workers.service")
    equal(unit("codexd-workers.service", "ActiveState", "Result"), {"ActiveState": "inactive", "Result": "success"})
    equal([pid for pid in pids if is_alive(pid)], [])
    equal(pids_named("fake-codex"), [])

with proof("no unit has failed, and the job was told its one end"):
    systemctl("start", "codexd.socket")
    contains(["lost", "failed", "cancelled"], codexd.wait(job)["result"])
    equal([e["event"]["type"] for e in codexd.attach(job)].count(FINAL), 1)
    equal(systemctl("list-units", "--failed", "--no-legend", "codexd*"), "")
finish()
