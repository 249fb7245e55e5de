#!/usr/bin/env python3
"""A job is a real turn of the real Codex, as the tenant's own user, streamed as Codex wrote it."""
from harness import *

PATCH = "*** Begin Patch\n*** Add File: made-by-codex.txt\n+hello\n*** End Patch\n"
SCRIPT = Model.prompt(
    [{"think": "Looking around."}, {"say": "I run a command."}, {"run": "id; pwd; grep -E 'Cap|NoNewPrivs' /proc/self/status"}],
    {"patch": PATCH},
    {"say": "All done."})

with Model() as model, Codexd(settings(REAL_CODEX, model_port=model.port), [{**RULE, "model": "gpt-5.5"}]) as codexd:
    path = workspace()
    job = codexd.submit(SCRIPT)
    end = job.finished()

    with case("the stream begins with codexd's events and ends with one job.finished"):
        equal(job.types[:4], ["job.queued", "job.started", "thread.started", "turn.started"])
        equal(end["result"], "ok")
        equal([e["seq"] for e in job.envelopes], list(range(len(job.envelopes))))
        equal(job.types[-2], "turn.completed")

    with case("a shell command ran as the workspace's user, in the workspace, without capabilities"):
        command = [e["item"] for e in job.events if e["type"] == "item.completed" and e["item"]["type"] == "command_execution"][0]
        output = command["aggregated_output"]
        contains(output, "uid=987(site-alpha) gid=987(site-alpha) groups=987(site-alpha)")
        contains(output, path + "\n")
        contains(output, "NoNewPrivs:\t1")
        for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            contains(output, name + ":\t0000000000000000")

    with case("a patch was applied as that user"):
        made = os.stat(path + "/made-by-codex.txt")
        equal((made.st_uid, made.st_gid), (987, 987))

    with case("Get tells who ran, how it ended and what it cost"):
        record = codexd.get(job)
        equal((record["state"], record["result"], record["uid"], record["gid"]), ("finished", "ok", 987, 987))
        equal(record["usage"], {"input_tokens": 3000, "cached_input_tokens": 1200, "output_tokens": 150})
        equal(record["exit_code"], 0)
        equal(record["thread_id"], job.events[2]["thread_id"])
        equal(record["last_seq"], job.envelopes[-1]["seq"])

    with case("Attach replays the same envelopes, byte for byte, with either terminator"):
        def frames(terminator):
            with Client(terminator) as client:
                client.send("Attach", {"job": job.id, "from_seq": 0}, more=True)
                found = []
                while True:
                    found.append(client.receive_frame())
                    if not json.loads(found[-1]).get("continues"):
                        return found
        replay = frames(b"\0")
        equal([json.loads(f)["parameters"] for f in replay], job.envelopes)
        equal(frames(b"\n"), replay, "the replay with LF")

    with case("each event of Codex is in its envelope as Codex wrote it, and last"):
        with open(f"{STATE}/workers/w-{record['worker']}/raw", "rb") as file:
            lines = file.read().splitlines()
        equal(len(lines), len([t for t in job.types if not t.startswith("job.")]), "the number of lines")
        parameters = [f[f.index(b'"parameters":'):] for f in replay]
        for line in lines:
            if not any(b'"event":' + line + b"}" in p for p in parameters):
                raise AssertionError(f"not in any envelope: {line[:200]}")

    with case("Attach from the middle gives the rest"):
        equal([e["seq"] for e in codexd.attach(job, 4)], [e["seq"] for e in job.envelopes[4:]])

    with case("Wait and List know the job"):
        equal(codexd.wait(job)["result"], "ok")
        equal([j["job"] for j in codexd.call("List", workspace=ALPHA)["jobs"]], [job.id])
        equal(codexd.call("List", workspace=BETA)["jobs"], [])

    with case("the tenant may submit for itself"):
        os.chmod(SOCKET, 0o666)  # tenants are let in where an administrator widens this
        mine = codexd.submit(Model.prompt({"say": "hi"}), who={"uid": 987, "gid": 987})
        equal(mine.finished()["result"], "ok")

    with case("a turn that the model refuses ends as failed, with Codex's own events"):
        failed = codexd.submit(Model.prompt({"http": 400, "message": "no"}))
        equal(failed.finished()["result"], "failed")
        contains(failed.types, "turn.failed")
        equal(codexd.get(failed)["failure"]["error"], "turn-failed")

    with case("nothing of the worker is left"):
        equal(worker_pids(), [])
        eventually(lambda: not worker_cgroups(), "the workers' cgroups are gone")

    with case("the prompt is not kept"):
        for directory, _, files in os.walk(STATE):
            for name in files:
                if "/homes/" in directory + "/":
                    continue  # Codex's own transcript, the tenant's
                with open(os.path.join(directory, name), "rb") as file:
                    if b"@@[" in file.read():
                        raise AssertionError(f"the prompt is in {directory}/{name}")
finish()
