#!/usr/bin/env python3
"""What this build cannot enforce is refused by the name of its key, never run weaker than asked; and a job
may ask for less than its workspace's policy, never for more."""
from harness import *

UNSUPPORTED, REFUSED, BAD = "PolicyUnsupported", "PolicyRefused", "BadRequest"

WISHES = [  # what a job asks for, in a workspace of danger-full-access; the error and key
    ({"sandbox_mode": "read-only"}, UNSUPPORTED, "sandbox_mode"),
    ({"sandbox_mode": "workspace-write"}, UNSUPPORTED, "sandbox_mode"),
    ({"sandbox_mode": "external-sandbox"}, REFUSED, "sandbox_mode"),
    ({"sandbox_mode": "none"}, BAD, "sandbox_mode"),
    ({"network_access": False}, UNSUPPORTED, "network_access"),
    ({"approval_policy": "on-request"}, UNSUPPORTED, "approval_policy"),
    ({"approval_policy": "untrusted"}, UNSUPPORTED, "approval_policy"),
    ({"approval_policy": "on-failure"}, UNSUPPORTED, "approval_policy"),
    ({"idempotency_key": "x"}, UNSUPPORTED, "idempotency_key"),
    ({"output_schema": {}}, UNSUPPORTED, "output_schema"),
    ({"images": []}, UNSUPPORTED, "images"),
    ({"env": {}}, UNSUPPORTED, "env"),
    ({"additional_directories": ["/srv"]}, UNSUPPORTED, "additional_directories"),
    ({"on_disconnect": "cancel"}, UNSUPPORTED, "on_disconnect"),
    ({"class": "urgent"}, BAD, "class"),
    ({"model": "--config=x"}, BAD, "model"),
    ({"misspelt": 1}, BAD, "misspelt"),
    ({"deadline_s": -1}, BAD, "deadline_s"),
    ({"deadline_s": "1"}, BAD, "deadline_s"),
]
SAME = [{"sandbox_mode": "danger-full-access"}, {"network_access": True}, {"approval_policy": "never"},
        {"skip_git_repo_check": True}, {"on_disconnect": "detach"}, {"class": "automation"}, {"class": "chat"},
        {"owner": "somebody"}, {"deadline_s": 60}, {"model": "gpt-5.5"}, {"cwd": ""}]
RULES = [  # what a workspace's rule says; the error and key
    ({"sandbox_mode": "read-only"}, UNSUPPORTED, "sandbox_mode"),
    ({"sandbox_mode": "workspace-write"}, UNSUPPORTED, "sandbox_mode"),
    ({"network_access": False}, UNSUPPORTED, "network_access"),
    ({"network": {"enabled": True}}, UNSUPPORTED, "network.enabled"),
    ({"approval_policy": "on-request"}, UNSUPPORTED, "approval_policy"),
    ({"mcp_servers": {"a": {"command": "true"}}}, UNSUPPORTED, "mcp_servers"),
    ({"developer_instructions": "be nice"}, UNSUPPORTED, "developer_instructions"),
    ({"limits": {"memory_max": "1G"}}, UNSUPPORTED, "limits.memory_max"),
]

with Codexd() as codexd:
    path = workspace()
    with case("a job that asks for what the policy says anyway runs"):
        for wish in SAME:
            equal(codexd.submit(turn(), **wish).finished()["result"], "ok", f"the result with {wish}")

    for wish, error, key in WISHES:
        with case(f"a job with {json.dumps(wish)} is refused"):
            refused = codexd.refusal(turn(), **wish)
            equal((refused.name, refused.parameters.get("key")), (error, key))
            contains(refused.message, key)

    with case("outside a git repository a job needs skip_git_repo_check; inside one it does not"):
        refused = codexd.refusal(turn(), skip_git_repo_check=False)
        equal((refused.name, refused.parameters.get("key")), (REFUSED, "skip_git_repo_check"))
        subprocess.run(["git", "init", "-q", path], check=True)
        subprocess.run(["chown", "-R", "site-alpha:site-alpha", path], check=True)
        equal(codexd.submit(turn(), skip_git_repo_check=False).finished()["result"], "ok")

    with case("refusals are in the journal, by error word"):
        wait_record("job-rejected", "CODEX_ERROR=policy-unsupported")
        wait_record("job-rejected", "CODEX_ERROR=policy-refused")

    for more, error, key in RULES:
        with case(f"a workspace with {json.dumps(more)} is refused"):
            codexd.configure(rules=[{**RULE, **more}])
            codexd.call("Reload")
            refused = codexd.refusal(turn())
            equal((refused.name, refused.parameters.get("key")), (error, key))

    with case("a job cannot widen what its workspace narrows: it is refused by the same key"):
        codexd.configure(rules=[{**RULE, "sandbox_mode": "read-only"}])
        codexd.call("Reload")
        refused = codexd.refusal(turn(), sandbox_mode="danger-full-access")
        equal((refused.name, refused.parameters.get("key")), (REFUSED, "sandbox_mode"))

    with case("external-sandbox is for root, where codexd.json allows it, and still not enforced"):
        codexd.configure({**codexd.conf, "allow_external_sandbox": True}, [RULE])
        codexd.call("Reload")
        refused = codexd.refusal(turn(), sandbox_mode="external-sandbox")
        equal((refused.name, refused.parameters.get("key")), (UNSUPPORTED, "sandbox_mode"))

    with case("back to the first policy, jobs run again"):
        equal(codexd.submit(turn()).finished()["result"], "ok")
finish()
