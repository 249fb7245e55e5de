#!/usr/bin/env python3
"""Whose identity a turn has is the rule's to say: the directory's owner, or a user by name; never one of
codexd's own. And a start that fails names its step and errno, to the client and in the journal."""
from harness import *

RULES = [
    RULE,
    {"workspace": BETA, "user": "site-beta", "user_pattern": None},
    {"workspace": "nobody.test", "user": "site-nobody", "user_pattern": None},
    {"workspace": "own.test", "user_pattern": None},
    {"workspace": "keeper.test", "user_pattern": None},
]

with Codexd(rules=RULES) as codexd:
    workspace()
    os.chmod(workspace(BETA, "site-alpha"), 0o755)  # alpha's directory, in which beta is to run
    workspace("nobody.test")
    workspace("own.test", "codexd")
    workspace("keeper.test", "codexd-keeper")

    with case("the owner of the directory"):
        equal(codexd.submit(turn("report")).report()["status"]["Uid"].split(), [str(uid_of("site-alpha"))] * 4)

    with case("a user by name, whoever owns the directory"):
        equal(codexd.submit(turn("report"), workspace=BETA).report()["status"]["Uid"].split(),
              [str(uid_of("site-beta"))] * 4)

    with case("a user that does not exist is named"):
        refused = codexd.refusal(workspace="nobody.test")
        equal(refused.name, "WorkspaceInvalid")
        contains(refused.message, "site-nobody")

    for name, user in (("own.test", "codexd"), ("keeper.test", "codexd-keeper")):
        with case(f"never {user}, although it owns the directory"):
            equal(codexd.refusal(workspace=name).name, "WorkspaceInvalid")

    with case("a start that fails names step and errno"):
        shutil.rmtree(f"{STATE}/homes/{ALPHA}")
        os.symlink("/etc", f"{STATE}/homes/{ALPHA}")
        job = codexd.submit(turn())
        error = job.finished()["error"]
        equal((error["error"], error["step"], error["errno"]), ("spawn-failed", "home", 40))  # ELOOP
        record = job_records(job)[-1]
        equal((record["CODEX_STEP"], record["ERRNO"], record["CODEX_ERROR"]), ("home", "40", "spawn-failed"))
        equal(os.listdir("/etc/codexd") != [], True, "what the link leads to is as it was")
        eventually(lambda: worker_cgroups() == [], "nothing is left of the start")

    with case("and without that obstacle it runs"):
        os.unlink(f"{STATE}/homes/{ALPHA}")
        equal(codexd.submit(turn()).finished()["result"], "ok")
finish()
