#!/usr/bin/env python3
"""The launcher may be killed, stopped or restarted: keepers and their turns live on, and the next one
takes them over."""
from harness import *

with Codexd(settings(kill_grace_s=1)) as codexd:
    path = workspace()

    def through(name, number):
        gate = fifo(f"{path}/gate-{name}")
        job = codexd.submit(turn("say before", f"wait {gate}", "say after"))
        job.until("item.completed")
        seen, record = list(job.envelopes), codexd.get(job)
        pids = worker_pids()
        codexd.restart(number)
        equal(worker_pids(), pids, "the worker's processes after the restart")
        again = codexd.get(job)
        equal((again["state"], again["worker"], again["pid"]), ("running", record["worker"], record["pid"]))
        open_fifo(gate)
        equal(codexd.wait(job)["result"], "ok")
        stream = codexd.attach(job)
        equal(stream[:len(seen)], seen, "the beginning of the stream")
        equal([e["event"]["type"] for e in stream].count(FINAL), 1)
        contains([e["event"].get("item", {}).get("text") for e in stream], "after")
        equal(codexd.get(job)["exit_code"], 0)
        return job

    with case("SIGKILL: the turn goes on under the next launcher"):
        through("kill", signal.SIGKILL)

    with case("SIGTERM, as `systemctl restart` sends it, ends no turn"):
        through("term", signal.SIGTERM)

    with case("a supervisor whose launcher is gone ends"):
        supervisor = codexd.supervisor()
        os.kill(codexd.process.pid, signal.SIGKILL)
        codexd.process.wait()
        wait_gone(supervisor, "the supervisor")
        codexd.start()

    with case("a turn that ended while there was no launcher is told, with its exit status, and cleaned up"):
        gate = fifo(f"{path}/gate-away")
        job = codexd.submit(turn("say before", f"wait {gate}", "tree 5", "exit 3"))
        job.until("item.completed")
        pid = codexd.get(job)["pid"]
        os.kill(codexd.process.pid, signal.SIGKILL)
        codexd.process.wait()
        open_fifo(gate)
        wait_gone(pid, "Codex")
        codexd.start()
        record = codexd.wait(job)
        equal((record["result"], record["exit_code"], record["failure"]["error"]), ("failed", 3, "codex-exit"))
        equal(worker_pids(), [])

    with case("a worker whose keeper was killed meanwhile ends its job as lost, and is killed"):
        job = codexd.submit(turn("say before", "ignore-signals", "tree 4", "hang"))
        job.until("item.completed")
        codexd.stop(signal.SIGKILL)
        for pid in pids_named("codexd-keeper"):
            os.kill(pid, signal.SIGKILL)
        codexd.start()
        record = codexd.wait(job)
        equal((record["result"], record["failure"]["error"]), ("lost", "lost"))
        equal(worker_pids(), [])
        contains(record_events(job_records(job)), "job-lost")

    with case("a keeper killed while all else lives ends its job as lost"):
        job = codexd.submit(turn("say before", "ignore-signals", "tree 4", "hang"))
        job.until("item.completed")
        for pid in pids_named("codexd-keeper"):
            os.kill(pid, signal.SIGKILL)
        equal(codexd.wait(job)["result"], "lost")
        equal(worker_pids(), [])

    with case("a second launcher on the same state is refused, and the first goes on"):
        second = subprocess.run(
            [BUILD + "/daemon/priv/launcher/codexd", "--listen=/run/codexd/second.sock", "--libexec-dir=" + libexec(),
             "--workers-cgroup=" + WORKERS_CGROUP], capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        if second.returncode == 0:
            raise AssertionError("it ran")
        equal(codexd.submit(turn()).finished()["result"], "ok")

    with case("the next job runs after all this"):
        equal(codexd.submit(turn()).finished()["result"], "ok")
finish()
