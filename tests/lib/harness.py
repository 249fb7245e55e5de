"""What integration tests share: a codexd of their own, a Varlink client, the journal, the model server.

Runs inside tests/lib/enter, so every path, user and port is the default one. A test file reads

        from harness import *

        with Codexd() as codexd:
            with case("what is promised"):
                ...
        finish()

Nothing here sleeps to let something happen: it waits for a reply, a notification, a descriptor or a
record, each for at most TIMEOUT_S. Where the kernel tells nobody (a process in another PID namespace,
a directory that goes), eventually() looks again and again.
"""
import contextlib
import grp
import json
import os
import pwd
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
import urllib.request

TIMEOUT_S = 40
SANITIZED = bool(os.environ.get("CODEXD_SANITIZED"))  # freed memory is kept: bounds on it say nothing

CHECKOUT = "/mnt/checkout"
BUILD = "/mnt/build"
REAL_CODEX = "/mnt/codex/bin/codex"
FAKE_CODEX = BUILD + "/tests/fixtures/fake-codex"
CTL = BUILD + "/daemon/ctl/codexctl"
SOCKET = "/run/codexd/codexd.sock"
STATE = "/var/lib/codexd"
CONFIG = "/etc/codexd"
WORKERS_CGROUP = "/sys/fs/cgroup/workers"
SITES = "/srv/webalive/sites"
UUID = "01234567-89ab-7def-8123-456789abcdef"

ALPHA, BETA = "alpha.test", "beta.test"  # workspaces of site-alpha and site-beta
FINAL = "job.finished"


# ---- cases ----

_counts = {"ok": 0, "failed": 0, "skipped": 0}
_logs = []  # shown once something failed


class Skip(Exception):
    """Raised inside a case: what this machine lacks."""


@contextlib.contextmanager
def case(name):
    try:
        yield
    except Skip as reason:
        _counts["skipped"] += 1
        print(f"skip - {name}: {reason}", flush=True)
    except Exception as error:  # pylint: disable=broad-except
        _counts["failed"] += 1
        text = "; ".join(str(error).strip().splitlines()) or "no reason given"
        print(f"not ok - {name}: {type(error).__name__}: {text}"[:2000], flush=True)
        traceback.print_exc()
    else:
        _counts["ok"] += 1
        print(f"ok - {name}", flush=True)


def finish():
    for path in _logs:
        with case("no sanitizer complained") if SANITIZED else contextlib.nullcontext():
            with open(path, errors="replace", encoding="utf-8") as log:
                complaints = [line.strip() for line in log if "Sanitizer" in line or "runtime error" in line]
            equal(complaints, [], "what stands in the log")
    if _counts["failed"]:
        for path in _logs:
            print(f"---- the end of {path}", file=sys.stderr)
            with open(path, errors="replace", encoding="utf-8") as log:
                sys.stderr.writelines(log.readlines()[-60:])
    sys.exit(1 if _counts["failed"] else 77 if _counts["skipped"] and not _counts["ok"] else 0)


def equal(got, want, what="it"):
    if got != want:
        raise AssertionError(f"{what} is {got!r}, not {want!r}")


def contains(got, part, what="it"):
    if part not in got:
        raise AssertionError(f"{what} lacks {part!r}: {got!r}"[:1500])


def eventually(look, what, timeout=TIMEOUT_S):
    """Looks until it finds something true, and returns that."""
    end = time.monotonic() + timeout
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {timeout} s")
        time.sleep(0.01)


# ---- users and workspaces ----

def uid_of(user):
    return pwd.getpwnam(user).pw_uid


def grp_of(group):
    return grp.getgrnam(group).gr_gid


def workspace(name=ALPHA, user="site-alpha"):
    """Makes the workspace's directory as the hosts have it, and returns its path."""
    path = f"{SITES}/{name}/user"
    os.makedirs(path, exist_ok=True)
    os.chmod(path, 0o750)
    entry = pwd.getpwnam(user)
    os.chown(path, entry.pw_uid, entry.pw_gid)
    return path


def fifo(path, user="site-alpha"):
    """Where a fake Codex can be made to wait: released by open_fifo()."""
    os.mkfifo(path, 0o660)
    entry = pwd.getpwnam(user)
    os.chown(path, entry.pw_uid, entry.pw_gid)
    return path


def open_fifo(path):
    """Lets whoever waits for this FIFO go on; waits for it to wait."""
    def attempt():
        try:
            return os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:  # ENXIO: nobody reads it yet
            return None
    os.close(eventually(attempt, f"somebody waits for {path}"))


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
            return stat.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def wait_gone(pid, what="the process", timeout=TIMEOUT_S):
    """By pidfd, which also works for processes that are not our children."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if not select.select([pidfd], [], [], timeout)[0]:
            raise TimeoutError(f"{what} ({pid}) has not ended within {timeout} s")
    finally:
        os.close(pidfd)


# ---- Varlink ----

class VarlinkError(Exception):
    def __init__(self, name, parameters):
        super().__init__(f"{name}: {parameters.get('message')} {parameters}")
        self.name = name.rpartition(".")[2]
        self.parameters = parameters
        self.message = parameters.get("message", "")


class Closed(Exception):
    """The daemon closed the connection."""


class PeerSocket(socket.socket):
    """A connection that another process made, as another user, and which lives as long as this: codexd
    looks it up in /proc, and refuses whom it does not find."""
    process, line = 0, None

    def close(self):
        super().close()
        if self.process:
            self.line.close()
            os.waitpid(self.process, 0)
            self.process = 0


def connect(path=SOCKET, uid=0, gid=0, groups=()):
    """A connection whose SO_PEERCRED says this uid: the kernel takes it from whoever connects."""
    if uid == 0 and gid == 0 and not groups:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(TIMEOUT_S)
        connection.connect(path)
        return connection
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    child = os.fork()
    if child == 0:
        try:
            os.closerange(3, theirs.fileno())  # others' lines too: each must end with its own connection
            os.closerange(theirs.fileno() + 1, 65536)
            os.setgroups(list(groups))
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
            made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                made.connect(path)
                socket.send_fds(theirs, [b"0"], [made.fileno()])
                made.close()
                theirs.recv(1)
            except OSError as error:
                theirs.send(str(error.errno).encode())
        finally:
            os._exit(0)
    theirs.close()
    message, fds, _, _ = socket.recv_fds(ours, 64, 1)
    if not fds:
        ours.close()
        os.waitpid(child, 0)
        raise OSError(int(message), os.strerror(int(message)), path)
    connection = PeerSocket(fileno=fds[0])
    connection.process, connection.line = child, ours
    connection.settimeout(TIMEOUT_S)
    return connection


class Client:
    """One connection. call() answers, stream() gives replies until there is no more."""

    def __init__(self, terminator=b"\0", connection=None, **who):
        self.terminator = terminator
        self.socket = connection or connect(**who)
        self.pending = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def close(self):
        self.socket.close()

    def send_bytes(self, data):
        self.socket.sendall(data)

    def send(self, method, parameters, **flags):
        if "." not in method:
            method = "io.codexd." + method
        message = {"method": method, "parameters": parameters, **flags}
        self.send_bytes(json.dumps(message).encode() + self.terminator)

    def receive_frame(self):
        while self.terminator not in self.pending:
            data = self.socket.recv(1 << 20)
            if not data:
                raise Closed("the daemon closed the connection" + (f" after {self.pending[:200]!r}" if self.pending else ""))
            self.pending += data
        frame, _, self.pending = self.pending.partition(self.terminator)
        return frame

    def receive(self):
        reply = json.loads(self.receive_frame())
        if "error" in reply:
            raise VarlinkError(reply["error"], reply.get("parameters") or {})
        return reply

    def call(self, method, **parameters):
        self.send(method, parameters)
        return self.receive()["parameters"]

    def stream(self, method, **parameters):
        self.send(method, parameters, more=True)
        while True:
            reply = self.receive()
            yield reply["parameters"]
            if not reply.get("continues"):
                return

    def closed_by_peer(self, timeout=TIMEOUT_S):
        """Waits for the end of file, and returns what came before it."""
        self.socket.settimeout(timeout)
        while True:
            try:
                data = self.socket.recv(1 << 20)
            except ConnectionResetError:
                return self.pending
            if not data:
                return self.pending
            self.pending += data


def error_of(call, *args, **kwargs):
    """The error that a call ends with; that it succeeds is a failure."""
    try:
        result = call(*args, **kwargs)
    except VarlinkError as error:
        return error
    raise AssertionError(f"no error but {result}")


class Job:
    """A submitted turn and the stream of its events, on a connection of its own."""

    def __init__(self, replies, client):
        self.client, self.replies = client, replies
        self.envelopes = []
        self.id = next(replies)["job"]

    def __iter__(self):
        return self

    def __next__(self):
        envelope = next(self.replies)
        self.envelopes.append(envelope)
        return envelope["event"]

    def until(self, kind):
        """The next event of this type."""
        seen = []
        for event in self:
            seen.append(event["type"])
            if event["type"] == kind:
                return event
        raise AssertionError(f"job {self.id} ended without {kind}: {seen}")

    def rest(self):
        """All events to the end; the last one is job.finished."""
        for _ in self:
            pass
        self.client.close()
        return self.events

    @property
    def events(self):
        return [envelope["event"] for envelope in self.envelopes]

    @property
    def types(self):
        return [event["type"] for event in self.events]

    def finished(self):
        """The final event, once it is there."""
        if not self.envelopes or self.events[-1]["type"] != FINAL:
            self.rest()
        equal(self.types.count(FINAL), 1, "the number of final events")
        equal(self.types[-1], FINAL, "the last event")
        return self.events[-1]

    def messages(self):
        """The texts of agent messages so far."""
        return [event["item"]["text"] for event in self.events
                if event["type"] == "item.completed" and event["item"]["type"] == "agent_message"]

    def report(self):
        """What fake Codex's `report` told, after the end."""
        self.finished()
        found = [event["item"] for event in self.events
                 if event["type"] == "item.completed" and event["item"]["type"] == "report"]
        if not found:
            raise AssertionError(f"no report among {self.types}: {self.events[-1]}")
        return found[0]


def fake(*commands):
    """A prompt for fake Codex: these commands and nothing else."""
    return "\n".join("FAKE " + command for command in commands) + "\n"


def turn(*commands):
    """The same within a turn that goes well."""
    return fake("thread", "turn", *commands, "completed")


# ---- the daemon ----

RULE = {
    "match": SITES + "/{workspace}/user", "user": "owner", "user_pattern": "site-*",
    "sandbox_mode": "danger-full-access", "approval_policy": "never",
    "skip_git_repo_check": True, "network_access": True,
}


def settings(codex=FAKE_CODEX, version="0.169.0", model_port=None, **more):
    """codexd.json for tests; None takes a key out."""
    made = {"codex": {"path": codex, "version": version}, "model": {"base_url": f"http://127.0.0.1:{model_port or 9}/v1"}}
    made.update(more)
    return {key: value for key, value in made.items() if value is not None}


class Codexd:
    """A codexd with everything below it, run as systemd would run it."""

    def __init__(self, conf=None, rules=(RULE,), options=(), watchdog_s=None, ready=True):
        self.conf = settings() if conf is None else conf
        self.rules, self.options, self.watchdog_s, self.ready = list(rules), list(options), watchdog_s, ready
        self.process = None
        self.notified = []  # every sd_notify message
        self.told = threading.Condition()
        self.log = "/tmp/codexd.log"
        if self.log not in _logs:
            _logs.append(self.log)

    def __enter__(self):
        self.configure()
        os.makedirs(WORKERS_CGROUP, exist_ok=True)
        self.start()
        return self

    def __exit__(self, *_):
        if self.process and self.process.poll() is None:
            self.stop()
        with contextlib.suppress(OSError):
            with open(WORKERS_CGROUP + "/cgroup.kill", "w", encoding="ascii") as kill:
                kill.write("1")

    def configure(self, conf=None, rules=None):
        """Writes the configuration; strings are written as they are."""
        def write(path, value):
            with open(path, "w", encoding="utf-8") as file:
                file.write(value if isinstance(value, str) else json.dumps(value, indent=2) + "\n")
            os.chmod(path, 0o644)
        self.conf = self.conf if conf is None else conf
        self.rules = self.rules if rules is None else list(rules)
        write(CONFIG + "/codexd.json", self.conf)
        shutil.rmtree(CONFIG + "/workspaces.d", ignore_errors=True)
        os.mkdir(CONFIG + "/workspaces.d", 0o755)
        for number, rule in enumerate(self.rules):
            write(f"{CONFIG}/workspaces.d/{number:02}.json", rule)

    def start(self):
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        name = f"codexd-test-{os.getpid()}-{time.monotonic_ns()}"
        notify.bind("\0" + name)
        environment = {"PATH": os.environ["PATH"], "NOTIFY_SOCKET": "@" + name,
                       "MARKER_OF_THE_HOST": "host-environment-marker"}
        if self.watchdog_s:
            environment["WATCHDOG_USEC"] = str(int(self.watchdog_s * 1e6))
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [self.launcher(), "--listen=" + SOCKET, "--libexec-dir=" + libexec(),
                 "--workers-cgroup=" + WORKERS_CGROUP, *self.options],
                env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        with self.told:
            self.notified = []
        threading.Thread(target=self._listen, args=(notify, self.process), daemon=True).start()
        if self.ready:
            self.wait_notified("READY=1")

    def launcher(self):
        return BUILD + "/daemon/priv/launcher/codexd"

    def _listen(self, notify, process):
        """Reads what the launcher tells systemd, its descriptors too, for as long as it lives."""
        pidfd = os.pidfd_open(process.pid)
        with notify:
            while True:
                readable, _, _ = select.select([notify, pidfd], [], [])
                if notify in readable:
                    data, fds, _, _ = socket.recv_fds(notify, 8192, 8)
                    for fd in fds:
                        os.close(fd)
                    with self.told:
                        self.notified += data.decode(errors="replace").split("\n")
                        self.told.notify_all()
                elif pidfd in readable:
                    break
        os.close(pidfd)
        with self.told:
            self.told.notify_all()

    def wait_notified(self, start, count=1):
        """Waits for the launcher to have told systemd this line (its start) `count` times."""
        end = time.monotonic() + TIMEOUT_S
        with self.told:
            while sum(line.startswith(start) for line in self.notified) < count:
                if self.process.poll() is not None:
                    raise AssertionError(f"codexd ended with {self.process.returncode} before {start}: {self.log_tail()}")
                if time.monotonic() > end:
                    raise TimeoutError(f"codexd did not say {start}: {self.log_tail()}")
                self.told.wait(0.2)

    def log_tail(self, lines=8):
        with open(self.log, encoding="utf-8", errors="replace") as log:
            return "; ".join(line.strip() for line in log.readlines()[-lines:])

    def stop(self, number=signal.SIGTERM):
        """Ends the launcher as `systemctl stop` does; workers go on."""
        self.process.send_signal(number)
        return self.process.wait(TIMEOUT_S)

    def restart(self, number=signal.SIGTERM):
        self.stop(number)
        # systemd kills what is left of codexd.service: the supervisor, but no worker.
        for pid in self.supervisors():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            wait_gone(pid, "the supervisor")
        self.start()

    def supervisors(self):
        return pids_named("codexd-supervisor"[:15])

    def supervisor(self):
        """The pid of the one supervisor."""
        return eventually(lambda: (self.supervisors() or [None])[-1], "a supervisor runs")

    def client(self, **who):
        return Client(**who)

    def call(self, method, **parameters):
        with Client() as client:
            return client.call(method, **parameters)

    def submit(self, prompt, workspace=ALPHA, who=None, **parameters):
        """Submits and follows; the job's id is known when this returns."""
        client = Client(**(who or {}))
        return Job(client.stream("Submit", workspace=workspace, prompt=prompt, **parameters), client)

    def refusal(self, prompt="hello", workspace=ALPHA, who=None, **parameters):
        """The error that this Submit is answered with."""
        with Client(**(who or {})) as client:
            return error_of(client.call, "Submit", workspace=workspace, prompt=prompt, **parameters)

    def get(self, job):
        return self.call("Get", job=getattr(job, "id", job))["job"]

    def wait(self, job):
        return self.call("Wait", job=getattr(job, "id", job))["job"]

    def attach(self, job, from_seq=0):
        with Client() as client:
            return list(client.stream("Attach", job=getattr(job, "id", job), from_seq=from_seq))


def libexec():
    """One directory of the helpers, as an installation has it; the build has them apart."""
    directory = "/run/libexec-codexd"
    if not os.path.isdir(directory):
        os.mkdir(directory, 0o755)
        for path in ("supervisor/codexd-supervisor", "keeper/codexd-keeper", "keeper/codexd-anchor"):
            shutil.copy(f"{BUILD}/daemon/{path}", directory)
    return directory


def rss_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return int(next(line for line in file if line.startswith("VmRSS")).split()[1])


def pids_named(comm):
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            with open(f"/proc/{name}/comm", encoding="ascii", errors="replace") as file:
                if file.read().strip() == comm and is_alive(int(name)):
                    found.append(int(name))
    return sorted(found)


def worker_cgroups():
    return sorted(entry for entry in os.listdir(WORKERS_CGROUP) if entry.startswith("w-"))


def worker_pids():
    """Every process of every worker, keepers included."""
    pids = []
    for directory, _, files in os.walk(WORKERS_CGROUP):
        if "cgroup.procs" in files and "/w-" in directory:
            with contextlib.suppress(OSError):
                with open(directory + "/cgroup.procs", encoding="ascii") as file:
                    pids += [int(pid) for pid in file.read().split()]
    return pids


def ctl(*arguments, uid=None, gid=None, input=None, **more):
    """codexctl as a person would run it: (exit status, stdout, stderr)."""
    done = subprocess.run([CTL, *map(str, arguments)], user=uid, group=gid, extra_groups=[] if uid else None,
                          input=input, capture_output=True, text=True, timeout=TIMEOUT_S, check=False, **more)
    return done.returncode, done.stdout, done.stderr


# ---- the journal ----

def journal(*matches):
    """The records so far, as journalctl gives them."""
    subprocess.run(["journalctl", "--sync"], check=True, timeout=TIMEOUT_S)
    out = subprocess.run(["journalctl", "-q", "-o", "json", "--all", "--no-pager", *matches],
                         check=True, capture_output=True, timeout=TIMEOUT_S).stdout
    return [json.loads(line) for line in out.splitlines()]


def wait_record(event, *matches):
    """The first record of this CODEX_EVENT (and of further matches), waiting for it."""
    with subprocess.Popen(["journalctl", "-q", "-f", "-n", "all", "-o", "json", "--all", f"CODEX_EVENT={event}", *matches],
                          stdout=subprocess.PIPE) as follower:
        try:
            if not select.select([follower.stdout], [], [], TIMEOUT_S)[0]:
                raise TimeoutError(f"no journal record {event} {matches}")
            return json.loads(follower.stdout.readline())
        finally:
            follower.kill()


def job_records(job):
    """All records of a job, once its last one is there."""
    number = getattr(job, "id", job)
    wait_record("job-finished", f"CODEX_JOB={number}")
    return journal(f"CODEX_JOB={number}")


def record_events(records):
    return [record["CODEX_EVENT"] for record in records if "CODEX_EVENT" in record]


# ---- the model server ----

class Model:
    """tests/fixtures/model-server.mjs on loopback, and scripts for it."""

    def __enter__(self):
        self.records_path = "/tmp/model-records"
        self.process = subprocess.Popen(["node", CHECKOUT + "/tests/fixtures/model-server.mjs", "0", self.records_path],
                                        stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line.startswith("listening on "):
            raise RuntimeError(f"the model server said {line!r}")
        self.port = int(line.split()[-1])
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    @staticmethod
    def prompt(*entries, text="Please do it."):
        return f"{text} @@{json.dumps(list(entries))}@@"

    def _ask(self, verb, name):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/{verb}/{name}", timeout=TIMEOUT_S) as answer:
            answer.read()

    def wait_held(self, name):
        """Returns when a turn is held at {"hold": name}."""
        self._ask("holding", name)

    def release(self, name):
        self._ask("release", name)

    def records(self):
        if not os.path.exists(self.records_path):
            return []
        with open(self.records_path, encoding="utf-8") as file:
            return [json.loads(line) for line in file]
