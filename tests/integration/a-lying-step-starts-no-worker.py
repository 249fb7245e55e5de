#!/usr/bin/env python3
"""A privilege step that says it was done, and was not, is caught: by the runner's self-test, and where
that lies too, by the launcher's read-back from /proc. Either way no byte of the prompt is read, and the
honest build runs the same job."""
from harness import *

LAUNCHER = BUILD + "/daemon/priv/launcher/codexd"
TOUCH = "/srv/touched"  # what the prompt would do

LIES = [
    # which build, the error's word, who says so
    ("identity", "spawn-failed", "self-test"),
    ("identity-unseen", "privilege-verify-failed", "Uid"),
    ("bounding-set-unseen", "privilege-verify-failed", "CapBnd"),
    ("no-new-privs-unseen", "privilege-verify-failed", "NoNewPrivs"),
]


class Lying(Codexd):
    def __init__(self, lie):
        super().__init__(conf=settings(model_port=9))
        self.lie = lie

    def launcher(self):
        return LAUNCHER + (f"-lying-{self.lie}" if self.lie else "")


workspace()

with Lying(None) as codexd:
    with case("the honest build runs the job"):
        equal(codexd.submit(turn()).finished()["result"], "ok", "the result")

for lie, word, sign in LIES:
    with Lying(lie) as codexd:
        with case(f"{lie}: the job fails as {word}"):
            finished = codexd.submit(turn("report")).finished()
            equal(finished["result"], "spawn-failed", "the result")
            equal(finished["error"]["error"], word, "the error's word")
            contains(finished["error"]["message"], sign, "the message")
        with case(f"{lie}: no process and no cgroup is left"):
            eventually(lambda: worker_cgroups() == [], "no worker")
            equal(worker_pids(), [], "processes of workers")
        if word == "privilege-verify-failed":
            with case(f"{lie}: the journal says so, with the difference"):
                record = wait_record("privilege-verify-failed", f"CODEX_JOB={finished.get('job', '')}" if finished.get("job") else "CODEX_WORKSPACE=" + ALPHA)
                contains(record["CODEX_REASON"], sign, "CODEX_REASON")
                equal(record["PRIORITY"], "2", "PRIORITY")
finish()
