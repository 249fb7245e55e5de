#!/usr/bin/env python3
"""A job's environment is made by codexd: of the daemon's own nothing gets in but what a policy names."""
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

    with case("what the policy names is handed on, where it is set; nothing else comes with it"):
        env = codexd.submit(turn("report"), workspace=BETA).report()["env"]
        equal(set(env), ALWAYS | {"MARKER_OF_THE_HOST"})
        equal(env["MARKER_OF_THE_HOST"], "host-environment-marker")

    with case("keeper and supervisor have no more of the launcher's environment than they need"):
        for pid in codexd.supervisors():
            with open(f"/proc/{pid}/environ", "rb") as file:
                if b"MARKER_OF_THE_HOST" in file.read():
                    raise AssertionError("the supervisor has the launcher's environment")
finish()
