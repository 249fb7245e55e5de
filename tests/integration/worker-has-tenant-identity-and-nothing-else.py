#!/usr/bin/env python3
"""What runs as a job has the tenant's uid and gid, and nothing of root's: no group, no capability, no
descriptor, no signal setting, no mount, no process to see that was not meant for it."""
from harness import *

HOST_TMP = "/tmp/a-file-of-the-host"
ZERO = "0" * 16

with Codexd(rules=[RULE, {"workspace": BETA, "groups": ["site-alpha", "users"]}]) as codexd:
    path, other = workspace(), workspace(BETA, "site-beta")
    os.makedirs(path + "/sub/dir")
    os.chown(path + "/sub", 987, 987)
    with open(HOST_TMP, "w", encoding="ascii") as file:
        file.write("x")
    for directory in (path, other):
        with open(directory + "/own", "w", encoding="ascii") as file:
            file.write("x")
        os.chmod(directory + "/own", 0o640)
        os.chown(directory + "/own", os.stat(directory).st_uid, os.stat(directory).st_gid)

    gate = fifo(path + "/gate")
    job = codexd.submit(turn("report", f"wait {gate}"))
    job.until("item.completed")
    record = codexd.get(job)
    host = {}
    with open(f"/proc/{record['pid']}/status", encoding="ascii") as file:
        host = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    host_namespaces = {n: os.readlink(f"/proc/self/ns/{n}") for n in os.listdir("/proc/self/ns")}
    stranger = codexd.submit(turn("report"), workspace=BETA)
    beta = stranger.report()
    open_fifo(gate)
    seen = job.report()
    status = seen["status"]

    with case("uid and gid are the workspace owner's, all four of each"):
        equal(status["Uid"].split(), ["987"] * 4)
        equal(status["Gid"].split(), ["987"] * 4)
        equal(beta["status"]["Uid"].split(), ["986"] * 4)

    with case("the pid that Get gives is that process, seen from outside as well"):
        equal(host["Uid"].split(), ["987"] * 4)
        equal(host["NSpid"].split()[-1], str(seen["pid"]))

    with case("supplementary groups are exactly those of the policy"):
        equal(status["Groups"].split(), [])
        equal(sorted(beta["status"]["Groups"].split()), ["100", "987"])

    with case("no capability in any set, and none can come back"):
        for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            equal((name, status[name]), (name, ZERO))
            equal((name, host[name]), (name, ZERO))
        equal(status["NoNewPrivs"], "1")
        # no root, no ambient raise, no fix-up to be switched off, no kept capabilities; all of it locked
        equal(oct(seen["securebits"]), "0o353")

    with case("signals are as after a boot: none blocked, none ignored"):
        equal((status["SigBlk"], status["SigIgn"]), (ZERO, ZERO))

    with case("scheduling, umask and core limit are reset"):
        equal((seen["nice"], seen["scheduler"]), (0, 0))
        equal(seen["limits"]["core"], [0, 0])
        equal(oct(seen["limits"]["umask"]), "0o22")

    with case("under memory pressure a job dies before any daemon does"):
        equal(seen["oom_score_adj"].strip(), "500")

    with case("a session of its own"):
        equal(seen["sid"], seen["pid"])

    with case("only stdin, stdout and stderr are open, each a pipe"):
        equal(sorted(seen["fds"]), ["0", "1", "2"])
        for target in seen["fds"].values():
            contains(target, "pipe:")

    with case("PID, IPC, UTS and mount namespaces are its own, the network's is the host's in this mode"):
        for name in ("pid", "ipc", "uts", "mnt"):
            if seen["namespaces"][name] in (host_namespaces[name], beta["namespaces"][name]):
                raise AssertionError(f"the {name} namespace is shared")
        equal(seen["namespaces"]["net"], host_namespaces["net"])
        equal(seen["ppid"], 1)

    with case("its cgroup is the job's leaf, beside the keeper's"):
        contains(seen["cgroup"], f"/w-{record['worker']}/job")

    with case("it starts in its workspace, or in `cwd` below it"):
        equal(seen["cwd"], path)
        equal(codexd.submit(turn("report"), cwd="sub/dir").report()["cwd"], path + "/sub/dir")

    with case("it can signal nobody and become nobody"):
        tried = codexd.submit(turn("kill parent", "kill 1", "setuid 0"))
        tried.finished()
        equal(tried.messages(), ["kill parent: EPERM", "kill 1: EPERM", "setuid 0: EPERM"])

    with case("it reads its own workspace, and not another tenant's; the other tenant does"):
        prompt = turn(f"read {path}/own", f"read {other}/own", "read /etc/shadow")
        mine = codexd.submit(prompt)
        mine.finished()
        equal(mine.messages(), [f"read {path}/own: ok", f"read {other}/own: EACCES", "read /etc/shadow: EACCES"])
        theirs = codexd.submit(turn(f"read {other}/own"), workspace=BETA)
        theirs.finished()
        equal(theirs.messages(), [f"read {other}/own: ok"])

    with case("/tmp and /dev/shm are private, codexd's own directories are out of sight"):
        tried = codexd.submit(turn(f"read {HOST_TMP}", "write /tmp/mine", "write /dev/shm/mine", "read /tmp/mine",
                                   f"read {STATE}/jobs", f"read {SOCKET}", f"read {CONFIG}/codexd.json"))
        tried.finished()
        said = tried.messages()
        equal(said[0], f"read {HOST_TMP}: ENOENT")
        equal(said[1:4], ["write /tmp/mine: ok", "write /dev/shm/mine: ok", "read /tmp/mine: ok"])
        for text in said[4:]:
            if not text.endswith(("ENOENT", "EACCES")):
                raise AssertionError(text)
        if os.path.exists("/tmp/mine") or os.path.exists("/dev/shm/mine"):
            raise AssertionError("a file of the job's /tmp is in ours")

    with case("CODEX_HOME is private to the tenant and keeps nothing but sessions from turn to turn"):
        first = codexd.submit(turn("run ls -ld $CODEX_HOME > out; touch $CODEX_HOME/AGENTS.md $CODEX_HOME/.env; "
                                   "touch $CODEX_HOME/sessions/kept; ls -A $CODEX_HOME >> out"))
        first.finished()
        with open(path + "/out", encoding="utf-8") as file:
            out = file.read()
        contains(out, "drwx------")
        second = codexd.submit(turn("run ls -A $CODEX_HOME $CODEX_HOME/sessions > out2"))
        second.finished()
        with open(path + "/out2", encoding="utf-8") as file:
            out = file.read().split()
        contains(out, "kept")
        for name in ("AGENTS.md", ".env"):
            if name in out:
                raise AssertionError(f"{name} of an earlier turn is in CODEX_HOME: {out}")

    with case("Codex's configuration is root's: a turn cannot change it"):
        tried = codexd.submit(turn("run echo x >> $CODEX_HOME/config.toml && touch writable; "
                                   "mv $CODEX_HOME/config.toml $CODEX_HOME/x && touch movable; cat $CODEX_HOME/config.toml > readable"))
        tried.finished()
        contains(os.listdir(path), "readable")
        for name in ("writable", "movable"):
            if name in os.listdir(path):
                raise AssertionError(f"config.toml is {name}")
finish()
