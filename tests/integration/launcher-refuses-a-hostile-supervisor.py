#!/usr/bin/env python3
"""A supervisor that was taken over gets no other uid, path or policy, and is replaced when it says what
an honest one could not. Beside each refusal stands the same request, honest, and granted.

tests/fixtures/hostile-supervisor.c has the attacks; it runs in the supervisor's place, as its user."""
from harness import *

GRANTED = {"honest_resolve": "granted", "honest_start": "granted:987", "signal_unknown_worker": "granted"}
REFUSED = {
    "unknown_workspace": "refused:no-such-workspace",
    "dot_dot_workspace": "refused:bad-request",
    "dot_dot_name": "refused:bad-request",
    "root_workspace": "refused:workspace-invalid",
    "cwd_dot_dot": "refused:bad-request",
    "cwd_absolute": "refused:bad-request",
    "cwd_symlink": "refused:bad-request",
    "wish_out_of_range": "refused:bad-request",
    "wish_external_sandbox": "refused:policy-refused",
    "wish_network_out_of_range": "refused:bad-request",
    "stale_generation": "refused:stale-generation",
    "other_digest": "refused:stale-generation",
    "other_directory": "refused:workspace-invalid",
    "other_owner": "refused:workspace-invalid",
    "uid_zero": "refused:workspace-invalid",
    "thread_id_option": "refused:bad-request",
    "model_option": "refused:bad-request",
    "job_zero": "refused:bad-request",
    "prompt_is_a_directory": "refused:bad-request",
    "prompt_is_a_socket": "refused:bad-request",
    "prompt_is_huge": "refused:bad-request",
    "start_for_a_busy_job": "refused:bad-request",
}
KILLED = [
    "message_before_hello", "truncated", "one_byte", "too_long", "wrong_magic", "wrong_version", "unknown_type",
    "launchers_type", "wrong_size", "replayed", "reordered", "unterminated_name", "bytes_after_a_name",
    "descriptor_with_resolve", "start_without_descriptor", "too_many_descriptors", "second_hello",
    "release_a_running_worker", "forget_a_running_worker", "signal_with_unknown_how",
]


def hostile_libexec():
    directory = "/run/libexec-hostile"
    shutil.copytree(libexec(), directory)
    shutil.copy(BUILD + "/tests/fixtures/hostile-supervisor", directory + "/codexd-supervisor")
    return directory


def results():
    with contextlib.suppress(OSError):
        with open(STATE + "/jobs/results", encoding="utf-8") as file:
            lines = file.read().splitlines()
            if lines and lines[-1] == "done":
                return dict(line.split(" ", 1) for line in lines[:-1])
    return None


alpha = workspace()
os.symlink(os.path.dirname(workspace(BETA, "site-beta")), alpha + "/to-beta")
os.makedirs(SITES + "/rooted.test/user")  # root's own

with Codexd(conf=settings(model_port=9, max_workers=64), options=["--libexec-dir=" + hostile_libexec()],
            ready=False) as codexd:
    found = eventually(results, "the hostile supervisor has tried everything", 120)
    for name, wanted in {**GRANTED, **REFUSED}.items():
        with case(f"{name}: {wanted}"):
            equal(found.pop(name, "not tried"), wanted, "the outcome")
    for name in KILLED:
        with case(f"{name}: the supervisor is killed and replaced"):
            equal(found.pop(name, "not tried"), "killed", "the outcome")
    with case("every case is accounted for"):
        equal(found, {}, "what is left")
    with case("no process of a worker has another uid than the tenant's or the keeper's"):
        allowed = {uid_of("site-alpha"), uid_of("codexd-keeper")}
        uids = {int(line.split()[1]) for pid in worker_pids() if is_alive(pid)
                for line in open(f"/proc/{pid}/status", encoding="utf-8") if line.startswith("Uid:")}
        equal(uids <= allowed and bool(uids), True, f"uids {uids} within {allowed}")
finish()
