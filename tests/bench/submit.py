#!/usr/bin/env python3
"""Submit to the moment Codex has read the prompt (exec runner: a fresh worker each), over what any
implementation must pay in the same run: posix_spawn of the same program that reads the same prompt from a
pipe, and one fdatasync before it."""
from harness import *

ROUNDS = int(os.environ.get("CODEXD_BENCH_ROUNDS", "200"))
PROMPT = fake("time", "thread", "turn", "completed")


def baseline():
    begin = time.monotonic_ns()
    fd = os.open("/var/lib/codexd/bench-fsync", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.write(fd, PROMPT.encode())
    os.fdatasync(fd)
    os.close(fd)
    read_in, write_in = os.pipe()
    read_out, write_out = os.pipe()
    pid = os.posix_spawn(FAKE_CODEX, [FAKE_CODEX, "exec", "--json", "-"], {},
                         file_actions=[(os.POSIX_SPAWN_DUP2, read_in, 0), (os.POSIX_SPAWN_DUP2, write_out, 1)])
    os.close(read_in)
    os.close(write_out)
    os.write(write_in, PROMPT.encode())
    os.close(write_in)
    with os.fdopen(read_out, "rb") as out:
        at = json.loads(out.readline())["item"]["monotonic_ns"]
        out.read()
    os.waitpid(pid, 0)
    return (at - begin) / 1e3


def through_codexd(codexd):
    begin = time.monotonic_ns()
    job = codexd.submit(PROMPT)
    events = job.rest()
    at = next(e["item"]["monotonic_ns"] for e in events
              if e["type"] == "item.completed" and e["item"]["type"] == "time")
    return (at - begin) / 1e3


def quantile(values, q):
    return sorted(values)[min(len(values) - 1, int(len(values) * q))]


workspace()
with case("submit to prompt delivered"):
    with Codexd(conf=settings(model_port=9, max_workers=8)) as codexd:
        direct, ours = [], []
        for _ in range(ROUNDS):
            direct.append(baseline())
            ours.append(through_codexd(codexd))
    for name, values in (("posix_spawn + pipe + fdatasync", direct), ("Submit -> prompt read (exec)", ours)):
        print(f"bench: {name:<36} p50 {quantile(values, .5):8.0f} us  p99 {quantile(values, .99):8.0f} us")
    print(f"bench: {'added by codexd':<36} p50 {quantile(ours, .5) - quantile(direct, .5):8.0f} us"
          f"  {quantile(ours, .5) / quantile(direct, .5):5.2f} x")
finish()
