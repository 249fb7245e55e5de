#!/usr/bin/env python3
"""Spawn of a trivial program through launcher, runner and keeper, over posix_spawn of the same program in
the same run; and a hostile tree of 60 processes: from cgroup.kill to the free slot."""
from harness import *

ROUNDS = int(os.environ.get("CODEXD_BENCH_ROUNDS", "300"))
TREES = int(os.environ.get("CODEXD_BENCH_TREES", "50"))


def libexec_with_bench():
    directory = "/run/libexec-bench"
    shutil.copytree(libexec(), directory)
    shutil.copy(BUILD + "/tests/bench/bench-supervisor", directory + "/codexd-supervisor")
    return directory


def measure(codex, rounds, trees):
    os.makedirs(STATE + "/jobs", exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(STATE + "/jobs/results")
    with open(STATE + "/jobs/bench", "w", encoding="ascii") as file:
        file.write(f"{codex} {rounds} {trees}\n")

    def done():
        with contextlib.suppress(OSError):
            with open(STATE + "/jobs/results", encoding="ascii") as file:
                lines = file.read().splitlines()
                if lines and lines[-1] == "done":
                    return lines[:-1]
        return None

    with Codexd(conf=settings(codex=codex, version=None, model_port=9, max_workers=8),
                options=["--libexec-dir=" + libexec_dir], ready=False):
        lines = eventually(done, "the measurements", 300)
    found = {}
    for line in lines:
        what, *figures = line.split()
        if what == "broken":
            raise AssertionError(line)
        found[what] = [float(figure) for figure in figures]
    return found


workspace()
libexec_dir = libexec_with_bench()
with case("spawn of a trivial program, verified and gone"):
    m = measure("/bin/true", ROUNDS, 0)
    direct = m["spawn-direct"][0]
    print(f"bench: posix_spawn + wait of /bin/true      p50 {direct:8.0f} us  p99 {m['spawn-direct'][1]:8.0f} us")
    for what, name, target in (("spawn-started", "worker: START -> verified", None),
                               ("spawn-gone", "worker: START -> tree gone", 4.0)):
        p50, p99, _ = m[what]
        verdict = "" if target is None else f"  target <= {target}: {'met' if p50 / direct <= target else 'MISSED'}"
        print(f"bench: {name:<36} p50 {p50:8.0f} us  p99 {p99:8.0f} us  {p50 / direct:5.2f} x{verdict}")
with case("hostile tree of 60: cgroup.kill to free slot"):
    m = measure(FAKE_CODEX, 0, TREES)
    p50, p99, _ = m["tree-freed"]
    print(f"bench: tree of 60: kill -> slot free         p50 {p50:8.0f} us  p99 {p99:8.0f} us"
          f"  target <= 10 ms: {'met' if p50 <= 10000 else 'MISSED'}")
finish()
