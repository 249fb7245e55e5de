"""The suites of tests/run: what each of them runs, and the count of every case.

Tests that print lines "ok - NAME", "not ok - NAME: WHY" and "skip - NAME: REASON" count by those lines
(cmocka's TAP lines count too); any other counts as one case by its exit status, where 77 is a skip."""
import concurrent.futures
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
BUILD = os.environ.get("CODEXD_BUILD", ROOT + "/build")
ASAN = BUILD + "-asan"
PARALLEL = 2
TIMEOUT_S = 240
SANITIZERS = {
    "ASAN_OPTIONS": "abort_on_error=1:detect_stack_use_after_return=1",
    "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
}
COLOURS = sys.stdout.isatty()


class Counts:
    def __init__(self):
        self.passed, self.failed, self.skips, self.failures = 0, 0, [], []
        self.lock = threading.Lock()

    def add(self, name, output, status, seconds=None, timed_out=False):
        """Counts one program's cases, says how it went, and shows what a failing one said."""
        cases = count_cases(name, output)
        with self.lock:
            passed, failed, skips = cases
            if timed_out:
                failed.append(f"{name}: not done within {TIMEOUT_S} s")
            elif status == 77 and not skips:
                skips.append(f"{name}: {last_line(output)}")
            elif status not in (0, 77) and not failed:
                failed.append(f"{name}: exit status {status}")
            elif status == 0 and not passed and not failed and not skips:
                passed = 1
            self.passed += passed
            self.failed += len(failed)
            self.skips += skips
            self.failures += failed
            if failed:
                print(f"---- {name}: its output", flush=True)
                print("\n".join(output.rstrip().splitlines()[-200:]), flush=True)
                print("----", flush=True)
            word = "FAIL" if failed else "skip" if skips and not passed else "ok"
            if COLOURS:
                word = {"FAIL": "\033[31mFAIL\033[0m", "skip": "\033[33mskip\033[0m", "ok": "\033[32mok\033[0m"}[word]
            spent = f" {seconds:.1f} s" if seconds is not None else ""
            print(f"{word:4} {name}: {passed} passed" + (f", {len(failed)} failed" if failed else "") +
                  (f", {len(skips)} skipped" if skips else "") + spent, flush=True)


def last_line(output):
    lines = [line for line in output.splitlines() if line.strip()]
    return re.sub(r"^(skip|SKIP)[ :-]*", "", lines[-1]) if lines else "no reason given"


def count_cases(name, output):
    passed, failed, skips = 0, [], []
    for line in output.splitlines():
        if found := re.match(r"skip - (.*)", line):
            skips.append(f"{name}: {found[1]}")
        elif found := re.match(r"(?:not )?ok \d+\s.*# SKIP\s*(.*)", line):  # cmocka's are "not ok"
            skips.append(f"{name}: {found[1]}")
        elif found := re.match(r"not ok \d*\s*-?\s*(.*)", line):
            failed.append(f"{name}: {found[1]}")
        elif re.match(r"ok (\d+ )?- ", line):
            passed += 1
    return passed, failed, skips


def run(command, timeout=TIMEOUT_S, env=None, cwd=ROOT):
    """(output, exit status, seconds, whether it was stopped)."""
    start = time.monotonic()
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          env={**os.environ, **(env or {})}, cwd=cwd, start_new_session=True) as process:
        try:
            output, _ = process.communicate(timeout=timeout)
            late = False
        except subprocess.TimeoutExpired:
            late = True
            process.send_signal(signal.SIGTERM)  # lib/enter and lib/lab clean up on it
            try:
                output, _ = process.communicate(timeout=20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                output, _ = process.communicate()
    return output.decode(errors="replace"), process.returncode, time.monotonic() - start, late


def tool(counts, name, command, **more):
    """A command that is one case."""
    output, status, seconds, late = run(command, timeout=900, **more)
    output = re.sub(r"^(not )?ok ", r" \1ok ", output, flags=re.M)
    counts.add(name, output, status, seconds, late)
    return status == 0


def tracked(*patterns):
    out = subprocess.run(["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard", *patterns],
                         check=True, capture_output=True).stdout.decode()
    return [path for path in out.split("\0") if path and os.path.exists(os.path.join(ROOT, path))]


def interpreter(path):
    with open(os.path.join(ROOT, path), "rb") as file:
        first = file.readline(200)
    return first.decode(errors="replace").strip() if first.startswith(b"#!") else ""


# ---- lint ----

# Which folder may include from which; a folder may always include itself. (README, how it is built)
ARROWS = {
    "common": [],
    "daemon/core": ["common"],
    "daemon/supervisor": ["daemon/core", "common"],
    "daemon/priv/runner": ["common"],
    "daemon/priv/launcher": ["daemon/core", "daemon/priv/runner", "common"],
    "daemon/keeper": ["common"],
    "daemon/ctl": ["daemon/core", "common"],
}
CORE_FOR_LAUNCHER = {"config.h", "policy.h"}


def arrows():
    """Every #include of our own that points where it must not."""
    where, wrong = {}, []
    for path in tracked("*.h"):
        where.setdefault(os.path.basename(path), []).append(os.path.dirname(path))
    for path in tracked("common/*.[ch]", "daemon/*.[ch]"):
        folder = os.path.dirname(path)
        with open(os.path.join(ROOT, path), encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                found = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
                if not found or found[1] not in where:
                    continue
                homes = where[found[1]]
                if folder in homes:
                    continue
                if folder not in ARROWS or not set(homes) & set(ARROWS[folder]):
                    wrong.append(f"{path}:{number}: {folder} must not include {found[1]} of {homes[0]}")
                elif folder.startswith("daemon/priv") and "daemon/core" in homes and found[1] not in CORE_FOR_LAUNCHER:
                    wrong.append(f"{path}:{number}: of core, priv may use {sorted(CORE_FOR_LAUNCHER)} only")
    return wrong


def build_command(directory, compiler, *options):
    """Sets up where need be, and builds; one at a time, as another run may be at it."""
    path = shlex.quote(directory)
    setup = f"CC={compiler} meson setup {shlex.join(options)} {path} {shlex.quote(ROOT)}"
    return ["flock", ROOT + "/.cache/build.lock", "sh", "-c", f"[ -f {path}/build.ninja ] || {setup} && ninja -C {path}"]


def clean_build(compiler):
    return build_command(f"{BUILD}-{compiler}", compiler, "-Dwerror=true")


def lint(counts):
    sources = tracked("*.c", "*.h")
    tool(counts, "lint: clang-format", ["clang-format", "--dry-run", "-Werror", *sources])
    shells = [path for path in tracked() if re.search(r"\b(ba|da)?sh$", interpreter(path).split(" ")[0])]
    tool(counts, "lint: shellcheck", ["shellcheck", "-x", *shells])
    pythons = [path for path in tracked() if path.endswith(".py") or "python3" in interpreter(path)]
    tool(counts, "lint: python compiles",
         ["python3", "-c", "import sys\nfor p in sys.argv[1:]: compile(open(p).read(), p, 'exec')", *pythons])
    wrong = arrows()
    counts.add("lint: arrows between folders", "\n".join(wrong), 1 if wrong else 0)
    includes = [f"-I{folder}" for folder in ARROWS]
    tool(counts, "lint: cppcheck",
         ["cppcheck", "--quiet", f"-j{PARALLEL}", "--std=c11", "--enable=warning,performance,portability",
          "--inline-suppr", "--suppressions-list=tests/lib/cppcheck.suppressions", "--error-exitcode=1",
          "--library=posix,gnu", "-D_GNU_SOURCE", '-DCODEXD_VERSION=""', *includes,
          *(path for path in sources if path.startswith(("common/", "daemon/")) and path.endswith(".c"))])
    for compiler in ("gcc", "clang"):
        tool(counts, f"lint: {compiler} without a warning", clean_build(compiler))
    tool(counts, "lint: scan-build", ["tests/lib/analyze", f"{BUILD}-clang"])


# ---- builds and meson's own tests ----

def sanitized(counts):
    """The build with sanitizers, made once; False if there is none."""
    if not hasattr(sanitized, "made"):
        print("building with sanitizers", flush=True)
        output, status, _, _ = run(build_command(ASAN, "gcc", "-Db_sanitize=address,undefined"), timeout=900)
        sanitized.made = status == 0
        if status != 0:
            counts.add("the build with sanitizers", output, status)
    return sanitized.made


def meson_suite(counts, suite):
    for name, directory in ((suite, BUILD), (suite + " (asan)", ASAN)):
        if directory == ASAN and not sanitized(counts):
            continue
        base = f"testlog-{os.getpid()}"  # another run may be at it
        log = f"{directory}/meson-logs/{base}.json"
        settings = {"CMOCKA_MESSAGE_OUTPUT": "TAP", **SANITIZERS}
        # On a machine of its own, for the journald that is there; what meson noted are the host's paths.
        output, status, _, _ = run(
            [f"{ROOT}/tests/lib/enter", "--bind", ROOT, "--bind", directory, "--",
             "env", *(f"{key}={value}" for key, value in settings.items()),
             "meson", "test", "-C", directory, "--no-rebuild", "--suite", suite,
             "--num-processes", str(PARALLEL), "--logbase", base],
            timeout=1200, env={"CODEXD_BUILD": directory})
        if not os.path.exists(log):
            counts.add(name, output, status or 1)
            continue
        with open(log, encoding="utf-8") as file:
            tests = [json.loads(line) for line in file]
        for left in (".json", ".txt", ".junit.xml"):
            if os.path.exists(log.removesuffix(".json") + left):
                os.unlink(log.removesuffix(".json") + left)
        if not tests:
            counts.add(name, output, status or 1)
        for test in tests:
            status = {"OK": 0, "SKIP": 77}.get(test["result"], test.get("returncode") or 1)
            counts.add(f"{name}: {test['name'].rpartition('/')[2].strip()}",
                       test.get("stdout", "") + "\n" + test.get("stderr", ""), status, test.get("duration"))


# ---- integration, system, bench, soak: a program a test ----

def programs(suite):
    directory = f"{ROOT}/tests/{suite}"
    if not os.path.isdir(directory):
        return []
    return sorted(name for name in os.listdir(directory)
                  if os.access(f"{directory}/{name}", os.X_OK) and os.path.isfile(f"{directory}/{name}")
                  and interpreter(f"tests/{suite}/{name}"))


def machine(suite, name, build):
    test = f"/mnt/checkout/tests/{suite}/{name}"
    env = {"CODEXD_BUILD": build, **({"CODEXD_SANITIZED": "1"} if build == ASAN else {})}
    if suite == "system":
        with open(f"{ROOT}/tests/system/{name}", encoding="utf-8") as file:
            kind = "vm" if "\n# machine: vm\n" in file.read() else "lab"
        return [f"{ROOT}/tests/lib/{kind}", "run", "--", test], env
    return [f"{ROOT}/tests/lib/enter", "--", test], env


def program_suite(counts, suite, names=None, build=BUILD, parallel=PARALLEL, timeout=TIMEOUT_S):
    label = suite + (" (asan)" if build == ASAN else "")

    def one(name):
        command, env = machine(suite, name, build)
        output, status, seconds, late = run(command, timeout, env)
        counts.add(f"{label}: {name}", output, status, seconds, late)

    with concurrent.futures.ThreadPoolExecutor(parallel) as pool:
        list(pool.map(one, names if names is not None else programs(suite)))


def integration(counts):
    program_suite(counts, "integration")
    if sanitized(counts):
        program_suite(counts, "integration", build=ASAN)


def bench(counts):
    for name in programs("bench"):
        command, env = machine("bench", name, BUILD)
        output, status, seconds, late = run(command, 1200, env)
        print(output, flush=True)
        counts.add(f"bench: {name}", "", status, seconds, late)


SUITES = {
    "lint": lint,
    "unit": lambda counts: meson_suite(counts, "unit"),
    "integration": integration,
    "system": lambda counts: program_suite(counts, "system"),
    "fuzz": lambda counts: meson_suite(counts, "fuzz"),
    "bench": bench,
    "soak": lambda counts: program_suite(counts, "soak", parallel=1, timeout=7200),
}
DEFAULT = ["lint", "unit", "integration", "system", "fuzz"]


def main(arguments):
    counts = Counts()
    start = time.monotonic()
    build = BUILD
    if arguments[:1] == ["--asan"]:
        build, arguments = ASAN, arguments[1:]
        sanitized(counts)
    files = {}
    for argument in arguments or DEFAULT:
        path = os.path.realpath(argument)
        folder, name = os.path.split(path)
        if argument in SUITES:
            print(f"== {argument}", flush=True)
            SUITES[argument](counts)
        elif os.path.isfile(path) and os.access(path, os.X_OK) and os.path.dirname(folder) == ROOT + "/tests":
            files.setdefault(os.path.basename(folder), []).append(name)
        else:
            sys.exit(f"tests/run: {argument} is no suite ({' '.join(SUITES)}) and no test")
    for suite, names in files.items():
        program_suite(counts, suite, names, build)

    for title, lines in (("failed", counts.failures), ("skipped", counts.skips)):
        if lines:
            print(f"== {title}")
            for line in lines:
                print(f"  {line[:400]}")
    print(f"== {time.monotonic() - start:.0f} s")
    print(f"{counts.passed} passed, {counts.failed} failed, {len(counts.skips)} skipped", flush=True)
    return 1 if counts.failed or (not counts.passed and not counts.skips) else 0


sys.exit(main(sys.argv[1:]))
