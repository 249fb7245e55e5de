#!/usr/bin/env python3
"""The units load without a complaint, and what runs has the identity and the capabilities that they and the
launcher promise, no more."""
from installed import *

UNITS = ["codexd.socket", "codexd.service", "codexd-workers.service"]


def status_of(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


codexd = configured()
workspace()

with case("systemd-analyze verify has nothing to say"):
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", *UNITS], capture_output=True, text=True, check=False)
    equal((done.returncode, [line for line in done.stderr.splitlines() if "codexd" in line]), (0, []))

with case("the users are there, without a shell or a home"):
    for name in ("codexd", "codexd-keeper"):
        entry = pwd.getpwnam(name)
        if entry.pw_uid == 0 or not entry.pw_shell.endswith(("nologin", "false")):
            raise AssertionError(entry)

systemctl("start", "codexd.socket", "codexd.service")
gate = fifo(f"{SITES}/{ALPHA}/user/gate")
job = codexd.submit(turn("say x", f"wait {gate}"))
job.until("item.completed")

with case("the launcher holds the capabilities it names, not all"):
    status = status_of(unit("codexd.service", "MainPID")["MainPID"])
    effective = int(status["CapEff"], 16)
    equal(status["CapEff"], status["CapPrm"])
    for number, name in ((12, "NET_ADMIN"), (21, "SYS_ADMIN"), (7, "SETUID"), (5, "KILL")):
        if not effective >> number & 1:
            raise AssertionError(f"it lacks {name}")
    for number, name in ((16, "SYS_MODULE"), (17, "SYS_RAWIO"), (22, "SYS_BOOT"), (25, "SYS_TIME"), (13, "NET_RAW"),
                         (27, "MKNOD"), (30, "AUDIT_CONTROL"), (39, "BPF"), (32, "MAC_OVERRIDE")):
        if int(status["CapBnd"], 16) >> number & 1:
            raise AssertionError(f"it has {name}")

with case("the supervisor is codexd and holds none"):
    status = status_of(codexd.supervisor())
    equal(status["Uid"].split(), [str(uid_of("codexd"))] * 4)
    for name in ("CapInh", "CapPrm", "CapEff", "CapAmb", "CapBnd"):
        equal((name, status[name]), (name, "0" * 16))
    equal(status["NoNewPrivs"], "1")

with case("the keeper is codexd-keeper and holds none"):
    status = status_of(pids_named("codexd-keeper")[0])
    equal(status["Uid"].split(), [str(uid_of("codexd-keeper"))] * 4)
    for name in ("CapInh", "CapPrm", "CapEff", "CapAmb", "CapBnd"):
        equal((name, status[name]), (name, "0" * 16))

with case("workers inherit nothing of codexd.service's own hardening that would break tenants"):
    status = status_of(codexd.get(job)["pid"])
    equal((status["Uid"].split()[0], status["CapBnd"]), ("987", "0" * 16))

with case("directories have the owners and modes that keep tenants out"):
    for path, mode, owner in ((STATE, 0o750, "root"), (STATE + "/jobs", 0o700, "codexd"), (STATE + "/homes", 0o700, "root"),
                              ("/run/codexd/keepers", 0o700, "root"), (CONFIG, 0o755, "root")):
        found = os.stat(path)
        equal((path, oct(found.st_mode & 0o7777), pwd.getpwuid(found.st_uid).pw_name), (path, oct(mode), owner))
open_fifo(gate)
equal(job.finished()["result"], "ok")

with case("stopping everything leaves no process and no failed unit"):
    systemctl("stop", "codexd.socket", "codexd.service", "codexd-workers.service")
    equal(pids_named("codexd") + pids_named("codexd-supervis") + pids_named("codexd-keeper") + pids_named("codexd-anchor"), [])
    equal(systemctl("list-units", "--failed", "--no-legend", "codexd*"), "")
finish()
