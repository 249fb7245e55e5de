#!/usr/bin/env python3
"""A launcher or a supervisor that hangs is found out by the watchdog and replaced; running turns end as if
nothing had been, or are told to have ended, once."""
from installed import *

codexd = configured()
path = workspace()
drop_in("codexd.service", "[Service]\nWatchdogSec=6\n")  # else this test takes minutes
systemctl("start", "codexd.socket", "codexd.service")


def through(name, victim, gone):
    gate = fifo(f"{path}/gate-{name}")
    job = codexd.submit(turn("say before", f"wait {gate}", "say after"))
    job.until("item.completed")
    pid = victim()
    os.kill(pid, signal.SIGSTOP)
    gone(pid)
    record = eventually(lambda: answered("Get", job=job.id), "codexd answers again")["job"]
    equal(record["state"], "running")
    open_fifo(gate)
    equal(codexd.wait(job)["result"], "ok")
    stream = codexd.attach(job)
    equal([e["event"]["type"] for e in stream].count(FINAL), 1)
    contains([e["event"].get("item", {}).get("text") for e in stream], "after")


def answered(method, **parameters):
    try:
        return codexd.call(method, **parameters)
    except (OSError, Closed, VarlinkError):
        return None


def main_pid():
    return int(unit("codexd.service", "MainPID")["MainPID"])


with case("the launcher hangs: systemd kills and restarts it, the turn goes on"):
    through("launcher", main_pid, lambda pid: wait_gone(pid, "the launcher"))
    eventually(lambda: unit("codexd.service", "ActiveState")["ActiveState"] == "active", "the service is active")
    contains(unit("codexd.service", "NRestarts")["NRestarts"], "1")

with case("the supervisor hangs: the launcher replaces it, the service is not restarted"):
    restarts, main = unit("codexd.service", "NRestarts"), main_pid()
    through("supervisor", codexd.supervisor, lambda pid: wait_gone(pid, "the supervisor"))
    equal((unit("codexd.service", "NRestarts"), main_pid()), (restarts, main))
    wait_record("supervisor-died", OWN_RECORDS)

with case("with nothing wrong, no watchdog fires"):
    invocation = unit("codexd.service", "InvocationID")
    wait_until = time.monotonic() + 8  # this is what is tested: more than the watchdog's time passes
    while time.monotonic() < wait_until:
        codexd.call("Ping")
        time.sleep(0.5)
    equal(unit("codexd.service", "InvocationID"), invocation)
finish()
