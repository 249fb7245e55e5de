#!/usr/bin/env python3
"""A job's environment is made by codexd from a fixed list: of the daemon's own nothing gets in, also not
what a policy names, for those are names that a job may set, not names that are inherited."""
from harness import *

ALWAYS = {"PATH", "LANG", "TMPDIR", "HOME", "USER", "LOGNAME", "SHELL", "CODEX_HOME", "CODEX_SQLITE_HOME"}
os.environ["TZ"] = "Europe/Vienna"

with Codexd(rules=[RULE, {"workspace": BETA, "env": ["MARKER_OF_THE_HOST", "NO_SUCH_VARIABLE"]}]) as codexd:
    workspace()
    workspace(BETA, "site-beta")

    with case("nothing is inherited"):
        env = codexd.submit(turn("report")).report()["env"]
        equal(set(env), ALWAYS)
        equal((env["USER"], env["LOGNAME"], env["TMPDIR"]), ("site-alpha", "site-alpha", "/tmp"))
        equal(env["PATH"], "/usr/local/bin:/usr/bin:/bin")

    with case("a name in the policy's `env` opens no way for the daemon's own value"):
        env = codexd.submit(turn("report"), workspace=BETA).report()["env"]
        equal(set(env), ALWAYS)
        equal(env["USER"], "site-beta")

    with case("keeper and supervisor have no more of the launcher's environment than they need"):
        for pid in codexd.supervisors():
            with open(f"/proc/{pid}/environ", "rb") as file:
                if b"MARKER_OF_THE_HOST" in file.read():
                    raise AssertionError("the supervisor has the launcher's environment")
finish()
