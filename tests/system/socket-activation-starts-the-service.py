#!/usr/bin/env python3
"""After an installation `systemctl start codexd.socket` is enough: the first client starts the service, a
job runs as its tenant, and journalctl tells of it."""
from installed import *

with Model() as model:
    codexd = configured(settings(REAL_CODEX, model_port=model.port), [{**RULE, "model": "gpt-5.5"}])
    workspace()
    systemctl("start", "codexd.socket")

    with case("only the socket is there at first, for root and its group"):
        equal(unit("codexd.service", "ActiveState")["ActiveState"], "inactive")
        found = os.stat(SOCKET)
        equal((oct(found.st_mode & 0o777), found.st_uid, found.st_gid), ("0o660", 0, grp_of("codexd")))

    with case("the first call starts codexd.service, and the workers' unit with it"):
        code, out, err = ctl("ping")
        equal((code, err), (0, ""))
        for name in ("codexd.service", "codexd-workers.service"):
            equal(unit(name, "ActiveState", "SubState"), {"ActiveState": "active", "SubState": "running"}, name)

    with case("a job of the real Codex runs as the tenant, through codexctl"):
        code, out, err = ctl("run", "--json", ALPHA, input=Model.prompt({"run": "id -un; id -Gn"}, {"say": "done"}))
        equal(code, 0, f"codexctl's exit status ({err})")
        contains(out, "site-alpha\\nsite-alpha\\n")

    with case("`journalctl CODEX_WORKSPACE=...` tells the job's life, each record from codexd.service"):
        wait_record("job-finished", OWN_RECORDS)
        records = journal("CODEX_WORKSPACE=" + ALPHA)
        words = record_events(records)
        for word in ("job-queued", "job-started", "thread-started", "turn-completed", "job-finished"):
            contains(words, word)
        equal({r["_SYSTEMD_UNIT"] for r in records}, {"codexd.service"})

    with case("`journalctl -x` explains the record"):
        out = subprocess.run(["journalctl", "-x", "--no-pager", "CODEX_EVENT=job-finished"], capture_output=True, text=True,
                             check=True).stdout
        contains(out, "Subject:")

    with case("every MESSAGE_ID that was used has its page in the catalog"):
        ids = {r["MESSAGE_ID"] for r in journal(OWN_RECORDS) if "CODEX_EVENT" in r}
        catalog = subprocess.run(["journalctl", "--list-catalog", *ids], capture_output=True, text=True, check=False).stdout
        for number in ids:
            contains(catalog.replace("-", ""), number)

    with case("systemctl status shows live figures"):
        status = eventually(lambda: unit("codexd.service", "StatusText")["StatusText"], "a status text")
        if not any(c.isdigit() for c in status):
            raise AssertionError(status)

    with case("the worker is in the workers' unit, none of it in codexd.service"):
        codexd.configure(settings())
        codexd.call("Reload")
        gate = fifo(f"{SITES}/{ALPHA}/user/gate")
        job = codexd.submit(turn("say x", f"wait {gate}"))
        job.until("item.completed")
        pid = codexd.get(job)["pid"]
        contains(unit_pids("codexd-workers.service"), pid)
        names = set()
        for other in unit_pids("codexd.service"):
            with open(f"/proc/{other}/comm", encoding="ascii") as file:
                names.add(file.read().strip())
        equal(names, {"codexd", "codexd-supervis"})
        open_fifo(gate)
        equal(job.finished()["result"], "ok")

    with case("nothing has failed"):
        equal(systemctl("list-units", "--failed", "--no-legend", "codexd*"), "")

    with case("stopping the service leaves the socket, and the next client starts it again"):
        systemctl("stop", "codexd.service")
        equal(unit("codexd.service", "ActiveState")["ActiveState"], "inactive")
        equal(ctl("ping")[0], 0)
finish()
