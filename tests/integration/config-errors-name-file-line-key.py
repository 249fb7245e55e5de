#!/usr/bin/env python3
"""A mistake in the configuration is refused by file, line and key, at the start and by Reload; after a Reload
that failed the old configuration is in force."""
from harness import *

GOOD = json.dumps(settings(), indent=2)
BASE = settings()
CASES = [  # what, codexd.json, rule, and the parts the message must have
    ("a misspelt key", '{\n  "codex": {"path": "/x"},\n  "max_wokers": 3\n}', None, ["codexd.json:3", "max_wokers"]),
    ("a misspelt key inside", '{\n "codex": {\n  "pat": "/x"}}', None, ["codexd.json:3", "codex.pat"]),
    ("a wrong type", '{\n\n"max_workers": "many"}', None, ["codexd.json:3", "max_workers"]),
    ("out of range", '{"max_workers": 0}', None, ["codexd.json:1", "max_workers"]),
    ("out of range, large", '{"max_workers": 100000}', None, ["codexd.json:1", "max_workers"]),
    ("a relative path", '{"codex": {"path": "codex"}}', None, ["codexd.json:1", "codex.path"]),
    ("no JSON", '{"max_workers": 1,\n\n}', None, ["codexd.json:3"]),
    ("a key twice", '{"max_workers": 1,\n"max_workers": 2}', None, ["codexd.json:2", "max_workers"]),
    ("an API key", '{"model": {"api_key": "x"}}', None, ["codexd.json:1", "model.api_key", "needs the model gateway"]),
    ("an API key at the top", '{"openai_api_key": "x"}', None, ["codexd.json:1", "openai_api_key", "needs the model gateway"]),
    ("a password in the URL", '{"model": {"base_url": "http://a:b@c/v1"}}', None, ["codexd.json:1", "model.base_url"]),
    ("an empty file", "", None, ["codexd.json"]),
    ("a list", "[]", None, ["codexd.json:1"]),
    ("a misspelt key of a rule", None, {**RULE, "sandbox": "x"}, ["workspaces.d/00.json:", "sandbox"]),
    ("an unknown mode", None, {**RULE, "sandbox_mode": "none"}, ["workspaces.d/00.json:", "sandbox_mode", "danger-full-access"]),
    ("external-sandbox in a rule", None, {**RULE, "sandbox_mode": "external-sandbox"}, ["workspaces.d/00.json:", "sandbox_mode"]),
    ("a match without {workspace}", None, {**RULE, "match": "/srv/x"}, ["workspaces.d/00.json:", "match"]),
    ("a match with ..", None, {**RULE, "match": "/srv/../{workspace}"}, ["workspaces.d/00.json:", "match"]),
    ("root as the user", None, {**RULE, "user": "root"}, ["workspaces.d/00.json:", "user"]),
    ("a dangerous variable", None, {**RULE, "env": ["LD_PRELOAD"]}, ["workspaces.d/00.json:", "env"]),
    ("an impossible size", None, {**RULE, "limits": {"memory_max": "2X"}}, ["workspaces.d/00.json:", "limits.memory_max"]),
]

with Codexd() as codexd:
    path = workspace()
    generation = codexd.call("Ping")["generation"]
    for name, conf, rule, parts in CASES:
        with case(f"Reload: {name}"):
            codexd.configure(GOOD if conf is None else conf, [RULE if rule is None else rule])
            refused = error_of(codexd.call, "Reload")
            equal(refused.name, "ConfigInvalid")
            for part in parts:
                contains(refused.message, part)

    with case("files that others may write, of another owner, or links are refused"):
        codexd.configure(BASE, [RULE])
        for spoil, mend in (
                (lambda: os.chmod(CONFIG + "/codexd.json", 0o666), lambda: os.chmod(CONFIG + "/codexd.json", 0o644)),
                (lambda: os.chown(CONFIG + "/codexd.json", 987, 0), lambda: os.chown(CONFIG + "/codexd.json", 0, 0)),
                (lambda: os.chmod(CONFIG + "/workspaces.d", 0o777), lambda: os.chmod(CONFIG + "/workspaces.d", 0o755)),
                (lambda: os.chown(CONFIG + "/workspaces.d/00.json", 987, 0), lambda: os.chown(CONFIG + "/workspaces.d/00.json", 0, 0)),
                (lambda: os.chmod(CONFIG, 0o777), lambda: os.chmod(CONFIG, 0o755)),
                (lambda: os.symlink("/etc/passwd", CONFIG + "/workspaces.d/link.json"),
                 lambda: os.unlink(CONFIG + "/workspaces.d/link.json")),
        ):
            spoil()
            try:
                equal(error_of(codexd.call, "Reload").name, "ConfigInvalid")
            finally:
                mend()

    with case("after all that the first configuration is in force, and jobs run"):
        equal(codexd.call("Ping")["generation"], generation)
        equal(codexd.submit(turn()).finished()["result"], "ok")
        rejected = journal("CODEX_EVENT=config-rejected")
        if len(rejected) < len(CASES):
            raise AssertionError(f"{len(rejected)} records of {len(CASES)} rejections")

    with case("a good Reload is taken, with a new generation"):
        codexd.configure({**BASE, "max_workers": 5}, [RULE])
        answer = codexd.call("Reload")["generation"]
        if answer <= generation:
            raise AssertionError(f"{answer} after {generation}")
        equal(codexd.call("Stats")["max_workers"], 5)

    with case("SIGHUP reloads as well"):
        codexd.configure({**BASE, "max_workers": 6}, [RULE])
        codexd.process.send_signal(signal.SIGHUP)
        eventually(lambda: codexd.call("Stats")["max_workers"] == 6, "the new bound is in force")

    with case("a job that was admitted under the old policy and waits is not run under a weaker one unasked"):
        codexd.configure({**BASE, "max_workers": 1}, [RULE])
        codexd.call("Reload")
        gate = fifo(path + "/gate")
        first = codexd.submit(turn("say x", f"wait {gate}"))
        first.until("item.completed")
        second = codexd.submit(turn("report"))
        second.until("job.queued")
        codexd.configure({**BASE, "max_workers": 1}, [{**RULE, "groups": ["site-beta"]}])
        codexd.call("Reload")
        open_fifo(gate)
        second.finished()
        record = codexd.get(second)
        if record["result"] == "ok":
            equal(second.report()["status"]["Groups"].split(), ["986"], "the groups under the policy in force")

for name, conf, rule, parts in CASES[:4] + CASES[13:15]:
    with case(f"at the start: {name}"):
        codexd = Codexd(GOOD if conf is None else conf, [RULE if rule is None else rule], ready=False)
        codexd.configure()
        codexd.start()
        code = codexd.process.wait(TIMEOUT_S)
        if code == 0:
            raise AssertionError("it exited with 0")
        for part in parts:
            contains(codexd.log_tail(20), part)
finish()
