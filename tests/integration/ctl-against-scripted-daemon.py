#!/usr/bin/env python3
"""codexctl against a daemon that says what the test wants, also what the real one never says: broken and
endless answers, connections that end in mid-stream, events longer than memory should hold, agents whose
words are escape sequences. Needs no root and no namespaces: CODEXCTL=PATH names another codexctl."""
import contextlib
import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
import traceback

CTL = os.environ.get("CODEXCTL", "/mnt/build/daemon/ctl/codexctl")
TIMEOUT_S = 40
MIB = 1 << 20
directory = tempfile.mkdtemp(prefix="codexctl-")
SOCKET = directory + "/codexd.sock"
failed = 0
if not os.access(CTL, os.X_OK):
    sys.exit(f"there is no {CTL}; CODEXCTL= names another")


@contextlib.contextmanager
def case(name):
    global failed
    try:
        yield
    except Exception as error:
        failed += 1
        print(f"not ok - {name}: {type(error).__name__}: {str(error)[:1500]}", flush=True)
        traceback.print_exc()
    else:
        print(f"ok - {name}", flush=True)


def equal(got, want, what=""):
    if got != want:
        raise AssertionError(f"{what}: {got!r:.600} instead of {want!r:.600}")


def contains(text, part):
    if part not in text:
        raise AssertionError(f"no {part!r} in {text[-1500:]!r}")


class Daemon:
    """Answers each connection by script(peer, call): called once per call on it. Remembers all calls."""

    def __init__(self, script, path=SOCKET):
        self.script, self.path, self.calls, self.error = script, path, [], None
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(path)
        self.listener.listen(16)
        self.thread = threading.Thread(target=self.accept, daemon=True)

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        with connection:
            buffer = b""
            while True:
                try:
                    piece = connection.recv(MIB)
                except OSError:
                    return
                if not piece:
                    return
                buffer += piece
                while b"\0" in buffer:
                    frame, buffer = buffer.split(b"\0", 1)
                    call = json.loads(frame)
                    self.calls.append(call)
                    try:
                        if self.script(Peer(connection), call) == "close":
                            return
                    except (BrokenPipeError, ConnectionResetError):
                        return
                    except Exception as error:
                        self.error = error
                        traceback.print_exc()
                        return

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)
        if self.error:
            raise self.error


class Peer:
    def __init__(self, connection):
        self.connection = connection

    def raw(self, data):
        self.connection.sendall(data)

    def reply(self, parameters, continues=False):
        message = {"parameters": parameters}
        if continues:
            message["continues"] = True
        self.raw(json.dumps(message).encode() + b"\0")

    def event(self, seq, event, last=False):
        text = event if isinstance(event, str) else json.dumps(event)
        head = '{"parameters":{"seq":%d,"time":%d,"event":' % (seq, 1700000000000000 + seq)
        self.raw((head + text + ("}}" if last else '},"continues":true}')).encode("utf-8", "surrogateescape") + b"\0")

    def fail(self, name, **parameters):
        self.raw(json.dumps({"error": name, "parameters": {"message": "because", **parameters}}).encode() + b"\0")


def finished(result="ok", **more):
    return {"type": "job.finished", "job": 7, "result": result, **more}


def message(text):
    return {"type": "item.completed", "item": {"id": "item_0", "type": "agent_message", "text": text}}


def streams(*events):
    """A daemon that accepts one job, 7, and tells these events of it."""
    def script(peer, call):
        method = call["method"].rpartition(".")[2]
        if method == "Submit":
            peer.reply({"job": 7}, call.get("more", False))
            if not call.get("more"):
                return
            start = 0
        elif method == "Attach":
            start = call["parameters"].get("from_seq", 0)
        elif method == "Get":
            return peer.reply({"job": {"job": 7, "state": "running", "last_seq": len(events) - 1}})
        else:
            return peer.fail("org.varlink.service.MethodNotFound")
        for seq in range(start, len(events)):
            peer.event(seq, events[seq], seq == len(events) - 1)
    return script


def refuses(name, **parameters):
    return lambda peer, call: peer.fail(name, **parameters)


def ctl(*arguments, input="", env=None, socket_path=SOCKET):
    done = subprocess.run([CTL, f"--socket={socket_path}", *map(str, arguments)], input=input.encode() if isinstance(input, str) else input,
                          capture_output=True, timeout=TIMEOUT_S, check=False, env={**os.environ, **(env or {})})
    return done.returncode, done.stdout.decode(), done.stderr.decode()


class Terminal:
    """codexctl with a terminal of its own as stdin, stdout and stderr."""

    def __init__(self, *arguments, columns=80):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
            os.environ.update(TERM="xterm", NO_COLOR="1")
            try:
                os.execv(CTL, [CTL, f"--socket={SOCKET}", *map(str, arguments)])
            finally:
                os._exit(127)
        self.output = ""

    def until(self, part, after=0):
        deadline = time.monotonic() + TIMEOUT_S
        while part not in self.output[after:]:
            if not select.select([self.fd], [], [], max(deadline - time.monotonic(), 0))[0]:
                raise TimeoutError(f"no {part!r} in {self.output!r}")
            try:
                piece = os.read(self.fd, 65536)
            except OSError:  # EIO: the other side is closed
                piece = b""
            if not piece:
                raise AssertionError(f"ended without {part!r}: {self.output!r}")
            self.output += piece.decode()
        return len(self.output)

    def interrupt(self):
        os.write(self.fd, b"\x03")

    def end(self):
        """(exit status, all output)"""
        deadline = time.monotonic() + TIMEOUT_S
        with contextlib.suppress(OSError):
            while select.select([self.fd], [], [], max(deadline - time.monotonic(), 0))[0] and (piece := os.read(self.fd, 65536)):
                self.output += piece.decode(errors="replace")
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)  # only if it hangs: else it has ended
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1]), self.output


with case("run prints the events as plain lines in a pipe and exits with 0"):
    with Daemon(streams({"type": "job.queued", "queue_position": 2}, {"type": "job.started", "worker": 1},
                        {"type": "thread.started", "thread_id": "T"}, {"type": "turn.started"}, message("Hello"),
                        {"type": "item.completed", "item": {"type": "command_execution", "command": "ls", "exit_code": 0}},
                        finished())) as daemon:
        code, out, err = ctl("run", "ws", "prompt")
        equal((code, out), (0, "job 7 queued, position 2\njob 7 started, worker 1\nthread: T\nHello\n$ ls  [exit 0]\njob 7 ended: ok\n"))
        equal(err, "codexctl: job 7\n", "no status line in a pipe")
        equal(daemon.calls, [{"method": "io.codexd.Submit", "parameters": {"workspace": "ws", "prompt": "prompt"}, "more": True}])

with case("--json hands each event on byte for byte"):
    odd = '{"type":"x",  "big":123456789012345678901234567890,"f":1.0e2,"lone":"\\ud800","s":"\\u001b é"}'
    with Daemon(streams({"type": "job.queued"}, odd, finished())):
        code, out, _ = ctl("run", "--json", "ws", "p")
        lines = out.split("\n")
        equal((code, len(lines), lines[3]), (0, 4, ""))
        equal(lines[1], '{"seq":1,"time":1700000000000001,"event":' + odd + "}")
    with Daemon(lambda peer, call: (peer.raw(b'{"parameters":{"job":7},"continues":true}\0'),
                                    peer.raw(b'{\n"parameters": {"seq":0,\r\n"time":1,"event":{"type":"job.finished","result":"ok"}}}\0'))):
        code, out, _ = ctl("run", "--json", "ws", "p")
        equal((code, out.count("\n")), (0, 1), "one line each")
        json.loads(out)

with case("an event that cannot be shown does not end the rest"):
    with Daemon(streams('{"type":"x","lone":"\\ud800"}', message("after"), finished())):
        code, out, _ = ctl("run", "ws", "p")
        equal(code, 0)
        contains(out, "event 0 (")
        contains(out, "after\n")

with case("an agent's escape sequences do not reach a terminal, nor a pipe"):
    evil = "\033]0;pwned\007\033[2J\u009b31m\u202ecode\r\b"
    with Daemon(streams(message(evil), {"type": "item.completed", "item": {"type": "command_execution", "command": evil, "exit_code": 1,
                                                                           "aggregated_output": evil}},
                        {"type": evil}, {"type": "error", "message": evil}, finished("failed", error={"error": evil, "message": evil}))):
        for out in (ctl("run", "ws", "p")[1], ctl("logs", "7")[1]):
            equal([c for c in out if c != "\n" and (ord(c) < 32 or 0x7f <= ord(c) < 0xa0 or c == "\u202e")], [])
        terminal = Terminal("run", "--json", "ws", "p")
        out = terminal.end()[1].replace("\r\n", "\n")
        equal([c for c in out if c != "\n" and (ord(c) < 32 or 0x7f <= ord(c) < 0xa0 or c == "\u202e")], [], "--json on a terminal")
    with Daemon(refuses("io.codexd." + evil, message=evil)):
        err = ctl("ping")[2]
        equal([c for c in err if c != "\n" and (ord(c) < 32 or 0x7f <= ord(c) < 0xa0)], [], "an error")

with case("exit codes of refusals, with the reason on stderr"):
    for name, want in (("BadRequest", 2), ("NoSuchWorkspace", 3), ("NoSuchJob", 3), ("ThreadBusy", 4), ("QueueFull", 4), ("Draining", 4),
                       ("Resources", 4), ("NotPermitted", 8), ("NotFromWorker", 8), ("PolicyRefused", 8), ("PolicyUnsupported", 8),
                       ("PromptTooLong", 2), ("WorkspaceInvalid", 1), ("Internal", 1), ("OfTomorrow", 1)):
        with Daemon(refuses("io.codexd." + name, retry_after_s=3)):
            for arguments in (("run", "ws", "p"), ("submit", "ws", "p"), ("attach", 7), ("cancel", 7), ("wait", 7), ("list",)):
                code, out, err = ctl(*arguments)
                equal((name, arguments, code, out), (name, arguments, want, ""))
                contains(err, f"because ({name})\n")
                contains(err, "try again in 3 s")
    with Daemon(refuses("org.varlink.service.MethodNotFound", message="")):
        equal(ctl("stats")[0], 2)

with case("exit codes of results: run, attach, wait"):
    for end, want in (({"result": "ok"}, 0), ({"result": "failed", "failure": {"error": "turn-failed", "message": "m"}}, 1),
                      ({"result": "cancelled", "exit_signal": 9}, 5), ({"result": "deadline"}, 6), ({"result": "timeout"}, 6),
                      ({"result": "stalled"}, 6), ({"result": "spawn-failed"}, 1), ({"result": "quota"}, 1), ({"result": "lost"}, 1),
                      ({"result": "failed", "failure": {"error": "codex-exit", "message": "m"}, "exit_signal": 11}, 139)):
        told = {("error" if key == "failure" else key): value for key, value in end.items()}  # in events, and in Job
        with Daemon(streams(finished(**told))):
            equal((end, ctl("run", "ws", "p")[0], ctl("attach", 7)[0], ctl("logs", 7)[0]), (end, want, want, 0))
        with Daemon(lambda peer, call: peer.reply({"job": {"job": 7, "state": "finished", **end}})):
            equal((end, ctl("wait", 7)[0]), (end, want))
    with Daemon(streams(finished("failed", error={"error": "turn-failed", "message": "the model said no"}))):
        contains(ctl("run", "ws", "p")[2], "the model said no")
        equal(ctl("run", "--quiet", "ws", "p")[1], "")

with case("of several jobs the first failure is told, and all are waited for"):
    with Daemon(lambda peer, call: peer.reply({"job": {"result": {1: "ok", 2: "cancelled", 3: "failed"}[call["parameters"]["job"]]}})) as daemon:
        equal(ctl("wait", 1, 2, 3)[:2], (5, "job 1 ended: ok\njob 2 ended: cancelled\njob 3 ended: failed\n"))
        equal(len(daemon.calls), 3)

with case("submit prints the job id alone; --json the answer"):
    with Daemon(streams(finished())) as daemon:
        equal(ctl("submit", "ws", "-m", "gpt", "--no-network", input="from stdin é"), (0, "7\n", ""))
        equal(daemon.calls[0], {"method": "io.codexd.Submit",
                                "parameters": {"workspace": "ws", "prompt": "from stdin é", "model": "gpt", "network_access": False}})
        equal(ctl("submit", "--json", "ws", "p")[1], '{"job": 7}\n')

with case("a prompt that cannot be is refused before anything is sent"):
    with Daemon(streams(finished())) as daemon:
        for what, prompt in (("too long", b"a" * (MIB + 1)), ("empty", b""), ("no UTF-8", b"\xff"), ("NUL", b"a\0b")):
            code, _, err = ctl("submit", "ws", "-", input=prompt)
            equal((what, code), (what, 2))
            contains(err, "prompt")
        equal(ctl("submit", "ws", "-F", "/nonexistent")[0], 2)
        equal(daemon.calls, [])
        equal(ctl("submit", "ws", input="é" * MIB)[0], 0, "the longest that is allowed")
        equal(len(daemon.calls[0]["parameters"]["prompt"]), MIB)

with case("a refusal that comes before the whole request was read is still told"):
    with contextlib.suppress(FileNotFoundError):
        os.unlink(SOCKET)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(SOCKET)
        listener.listen()

        def impatient():
            connection, _ = listener.accept()
            connection.recv(10)
            Peer(connection).fail("io.codexd.Resources")
            connection.close()

        thread = threading.Thread(target=impatient, daemon=True)
        thread.start()
        code, _, err = ctl("submit", "ws", input="x" * MIB)
        equal(code, 4)
        contains(err, "because (Resources)")
        thread.join()

with case("7: no socket, nobody behind it, one that closes or speaks nonsense; and what to do about it"):
    code, _, err = ctl("ping", socket_path=directory + "/none")
    equal(code, 7)
    contains(err, "systemctl start codexd.socket")
    equal(ctl("run", "ws", "p", socket_path=directory + "/none")[0], 7)
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(directory + "/dead")
    equal(ctl("ping", socket_path=directory + "/dead")[0], 7)
    dead.close()
    equal(ctl("ping", socket_path="x" * 200)[0], 7)
    equal(ctl("ping", env={"CODEXD_SOCKET": directory + "/none"}, socket_path="")[0], 7)
    for script in (lambda peer, call: "close", lambda peer, call: peer.raw(b"HTTP/1.1 400\0"), lambda peer, call: peer.raw(b"\0"),
                   lambda peer, call: (peer.raw(b'{"parameters":'), "close")[1]):
        with Daemon(script):
            equal((ctl("ping")[0], ctl("run", "ws", "p")[0]), (7, 7))

with case("8: a socket that is not for us"):
    if os.geteuid() == 0:
        os.chmod(directory, 0o755)
        with Daemon(streams(finished())):
            os.chmod(SOCKET, 0o600)
            shutil.copy(CTL, directory + "/codexctl")  # the build may be where no other user can look
            done = subprocess.run([directory + "/codexctl", f"--socket={SOCKET}", "ping"], user=65534, capture_output=True, check=False)
            equal(done.returncode, 8)
            contains(done.stderr.decode(), "group codexd")

with case("a stream that breaks is attached again from the next event, without a gap or a double"):
    events = [message(f"line {i}") for i in range(9)] + [finished()]

    def breaking(peer, call):
        if call["method"].endswith("Submit"):
            peer.reply({"job": 7}, True)
        start = call["parameters"].get("from_seq", 0)
        for seq in range(max(start - 1, 0), min(start + 3, len(events))):  # one too early: codexctl must not show it twice
            peer.event(seq, events[seq], seq == len(events) - 1)
        if start + 3 < len(events):
            peer.raw(b'{"parameters":{"seq":')
            return "close"

    with Daemon(breaking) as daemon:
        code, out, err = ctl("run", "ws", "p")
        equal((code, out), (0, "".join(f"line {i}\n" for i in range(9)) + "job 7 ended: ok\n"))
        equal([call["parameters"].get("from_seq") for call in daemon.calls], [None, 3, 6, 9])
        contains(err, "attaching again")

with case("a daemon that is down for a moment is waited for"):
    def once(peer, call):
        peer.reply({"job": 7}, True)
        peer.event(0, message("before"))
        daemon.listener.shutdown(socket.SHUT_RDWR)
        os.unlink(SOCKET)
        return "close"

    daemon = Daemon(once)
    daemon.thread.start()
    run = subprocess.Popen([CTL, f"--socket={SOCKET}", "run", "ws", "p"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    for line in run.stderr:
        if b"attaching again" in line:
            break
    with Daemon(streams(message("before"), message("after"), finished())):
        out, _ = run.communicate(timeout=TIMEOUT_S)
        equal((run.returncode, out.decode()), (0, "before\nafter\njob 7 ended: ok\n"))

with case("a stream that comes a byte at a time, cut inside of characters"):
    def slowly(peer, call):
        peer.connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2048)
        peer.reply({"job": 7}, True)
        for seq, event in enumerate((message("äöü€😀"), finished())):
            data = json.dumps({"parameters": {"seq": seq, "time": 1, "event": event}, "continues": seq == 0}, ensure_ascii=False)
            for byte in data.encode() + b"\0":
                peer.raw(bytes([byte]))

    with Daemon(slowly):
        code, out, _ = ctl("run", "ws", "p")
        equal((code, out), (0, "äöü€😀\njob 7 ended: ok\n"))

BIG = 40 * MIB


def big_event(peer, seq, fill=b"y"):
    peer.raw(b'{"parameters":{"seq":%d,"time":1,"event":{"type":"item.completed","text":"' % seq)
    for _ in range(BIG // MIB):
        peer.raw(fill * MIB)
    peer.raw(b'"}},"continues":true}\0')


def big(peer, call):
    peer.reply({"job": 7}, True)
    big_event(peer, 0)
    peer.event(1, message("after"))
    peer.event(2, finished(), True)


def peak_kb(*arguments, stdout):
    with subprocess.Popen([CTL, f"--socket={SOCKET}", *arguments], stdout=stdout, stderr=subprocess.DEVNULL) as run:
        _, status, usage = os.wait4(run.pid, 0)
        run.returncode = os.waitstatus_to_exitcode(status)
        return run.returncode, usage.ru_maxrss


with case("an event of 40 MiB is skipped with a note, in bounded memory"):
    with Daemon(big):
        code, out, _ = ctl("run", "ws", "p")
        equal(code, 0)
        contains(out, "event 0 (")
        contains(out, "after\njob 7 ended: ok\n")
        if not os.environ.get("CODEXD_SANITIZED"):
            code, peak = peak_kb("run", "ws", "p", stdout=subprocess.DEVNULL)
            if code != 0 or peak > 48 * 1024:
                raise AssertionError(f"status {code}, {peak} kB at most")

with case("and with --json it is handed on whole"):
    with Daemon(big), tempfile.TemporaryFile() as file:
        code, peak = peak_kb("run", "--json", "ws", "p", stdout=file)
        equal(code, 0)
        file.seek(0)
        lines = file.read().split(b"\n")
        equal(len(lines), 4)
        equal(len(json.loads(lines[0])["event"]["text"]), BIG)
        equal(json.loads(lines[1])["event"]["item"]["text"], "after")

with case("also when the connection breaks in the middle of it"):
    def broken_big(peer, call):
        if call["method"].endswith("Submit"):
            peer.reply({"job": 7}, True)
            peer.raw(b'{"parameters":{"seq":0,"time":1,"event":{"type":"item.completed","text":"' + b"y" * (30 * MIB))
            return "close"
        big_event(peer, 0)
        peer.event(1, finished(), True)

    with Daemon(broken_big) as daemon:
        code, out, _ = ctl("run", "--json", "ws", "p")
        equal((code, [c["parameters"].get("from_seq") for c in daemon.calls]), (0, [None, 0]))
        lines = out.splitlines()
        equal((len(lines), len(json.loads(lines[0])["event"]["text"])), (2, BIG))

with case("logs stops at what is there now, and does not wait"):
    def growing(peer, call):
        if call["method"].endswith("Get"):
            return peer.reply({"job": {"job": 7, "state": "running", "last_seq": 1}})
        for seq in range(call["parameters"]["from_seq"], 2):
            peer.event(seq, message(f"line {seq}"))
        # and no more, and no end

    with Daemon(growing) as daemon:
        equal(ctl("logs", 7)[:2], (0, "line 0\nline 1\n"))
        equal(ctl("logs", "--from=1", 7)[:2], (0, "line 1\n"))
        equal(ctl("logs", "--from=2", 7)[:2], (0, ""))

with case("list and show speak to people, --json to programs"):
    job = {"job": 7, "state": "finished", "workspace": "ws\033", "owner": "", "class": "chat", "result": "ok", "queued_usec": 1700000000000000,
           "failure": {"error": "e", "message": "m"}}
    with Daemon(lambda peer, call: peer.reply({"jobs": [job]} if call["method"].endswith("List") else {"job": job})) as daemon:
        code, out, _ = ctl("list", "-w", "ws", "-n", "3", "--state=finished")
        equal((code, len(out.splitlines())), (0, 2))
        contains(out, "ws\\x1b")
        equal(daemon.calls[0]["parameters"], {"workspace": "ws", "state": "finished", "limit": 3})
        out = ctl("show", 7)[1]
        contains(out, "failure.message: m\n")
        contains(out, "queued: 2023-11-1")
        equal(json.loads(ctl("show", "--json", 7)[1]), {"job": job})


def cancellable(peer, call):
    """Runs until Cancel, which ends it."""
    method = call["method"].rpartition(".")[2]
    if method == "Cancel":
        cancelled.set()
        return peer.reply({"state": "cancelling"})
    if method == "Get":
        return peer.reply({"job": {"job": 7, "state": "queued", "queue_position": 1}})
    if method == "Submit":
        peer.reply({"job": 7}, True)
    peer.event(0, {"type": "job.queued", "queue_position": 3})
    peer.event(1, {"type": "job.started"})
    peer.event(2, {"type": "item.started", "item": {"id": "i", "type": "command_execution", "command": "sleep 1000"}})
    if ending and cancelled.wait(TIMEOUT_S):
        peer.event(3, {"type": "job.cancelling", "result": "cancelled"})
        peer.event(4, finished("cancelled"), True)


with case("a terminal shows a status line; Ctrl-C cancels the job and says so"):
    cancelled, ending = threading.Event(), True
    with Daemon(cancellable) as daemon:
        terminal = Terminal("run", "ws", "p")
        terminal.until("job 7 running ")
        terminal.until("| $ sleep 1000")
        terminal.interrupt()
        terminal.until("cancelling job 7; interrupt again to leave it")
        code, out = terminal.end()
        equal(code, 5)
        contains(out, "\r\033[K")
        contains(out, "job 7 ended: cancelled")
        equal([call["method"] for call in daemon.calls], ["io.codexd.Submit", "io.codexd.Cancel"])

with case("a second Ctrl-C leaves the job alone and says how to come back"):
    cancelled, ending = threading.Event(), False
    with Daemon(cancellable) as daemon:
        terminal = Terminal("run", "ws", "p")
        terminal.until("| $ sleep 1000")
        terminal.interrupt()
        terminal.until("interrupt again to leave it")
        terminal.interrupt()
        code, out = terminal.end()
        equal(code, 130)
        contains(out, "codexctl attach 7 --from 3")

with case("who only watches cancels nothing"):
    cancelled, ending = threading.Event(), False
    with Daemon(cancellable) as daemon:
        terminal = Terminal("logs", "-f", 7)
        terminal.until("| $ sleep 1000")
        terminal.interrupt()
        equal(terminal.end()[0], 130)
        equal([call["method"] for call in daemon.calls], ["io.codexd.Attach"])

with case("the place in the queue is kept up to date"):
    def queued(peer, call):
        if call["method"].endswith("Get"):
            asked.set()
            return peer.reply({"job": {"job": 7, "state": "queued", "queue_position": 1}})
        peer.reply({"job": 7}, True)
        peer.event(0, {"type": "job.queued", "queue_position": 3})
        asked.wait(TIMEOUT_S)
        moved.wait(TIMEOUT_S)
        peer.event(1, finished(), True)

    asked, moved = threading.Event(), threading.Event()
    with Daemon(queued):
        terminal = Terminal("run", "ws", "p")
        terminal.until("queued at 3")
        terminal.until("queued at 1")
        moved.set()
        equal(terminal.end()[0], 0)

with case("the status line never wraps"):
    def one_long_command(peer, call):
        peer.reply({"job": 7}, True)
        peer.event(0, {"type": "job.started"})
        peer.event(1, {"type": "item.started", "item": {"type": "command_execution", "command": "x" * 200}})
        moved.wait(TIMEOUT_S)
        peer.event(2, finished(), True)

    moved = threading.Event()
    with Daemon(one_long_command):
        terminal = Terminal("run", "ws", "p", columns=30)
        terminal.until("$ xxx")
        moved.set()
        out = terminal.end()[1]
        lines = [line for line in re.findall(r"\r([^\r\n\033]*)\033\[K", out) if line]
        contains(lines[-1], " | $ xxx")
        equal([line for line in lines if len(line) > 29], [])

with case("drain --wait starts nobody: without a launcher it waits for the cgroups alone"):
    cgroup = directory + "/cgroup"
    os.makedirs(cgroup + "/w-1/job")
    os.makedirs(cgroup + "/other/job")
    for path, text in (("w-1/job", "populated 0\nfrozen 0\n"), ("w-1", "populated 0\n"), ("other/job", "populated 1\n")):
        with open(f"{cgroup}/{path}/cgroup.events", "w", encoding="ascii") as file:
            file.write(text)
    with Daemon(lambda peer, call: peer.reply({"running": 0, "queued": 0})) as daemon:
        code, out, err = ctl("drain", "--wait", f"--workers-cgroup={cgroup}")
        equal((code, out), (0, "no job runs\n"))
        contains(err, "codexd is not running")
        equal(daemon.calls, [], "it did not speak to the socket")
        equal(ctl("drain", "--wait", f"--workers-cgroup={directory}/none")[0], 0, "no cgroup")
        with open(directory + "/codexd.lock", "w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            equal(ctl("drain", "--wait", f"--workers-cgroup={cgroup}")[0], 0)
            equal(daemon.calls, [{"method": "io.codexd.Drain", "parameters": {"wait": True}}], "a launcher lives: it is told")
        del daemon.calls[:]
        equal(ctl("drain", "--wait", f"--workers-cgroup={cgroup}")[0], 0)
        equal(daemon.calls, [], "its lock is free again")
        equal(ctl("drain")[0], 0)
        equal(daemon.calls, [{"method": "io.codexd.Drain", "parameters": {"wait": False}}])

with case("a drain ends at its timeout with 6"):
    with open(cgroup + "/w-1/job/cgroup.events", "w", encoding="ascii") as file:
        file.write("populated 1\n")
    os.unlink(directory + "/codexd.lock")
    equal(ctl("drain", "--wait", "--timeout=0", f"--workers-cgroup={cgroup}")[0], 6)
    with open(cgroup + "/w-1/job/cgroup.kill", "w", encoding="ascii"):  # a real one acts on it: the test of systemd shows that
        pass
    pending = subprocess.Popen([CTL, "drain", "--wait", "--timeout=0", "--kill", f"--socket={SOCKET}", f"--workers-cgroup={cgroup}"],
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    for _ in range(TIMEOUT_S * 100):
        with open(cgroup + "/w-1/job/cgroup.kill", encoding="ascii") as file:
            if file.read() == "1":
                break
        select.select([], [], [], 0.01)  # a file of ours has no events, unlike the kernel's
    pending.kill()
    pending.communicate()
    with open(cgroup + "/w-1/job/cgroup.kill", encoding="ascii") as file:
        equal(file.read(), "1", "cgroup.kill")
    with Daemon(lambda peer, call: None), open(directory + "/codexd.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        equal(ctl("drain", "--wait", "--timeout=1", f"--workers-cgroup={cgroup}")[0], 6)

with case("output that cannot be written is no success"):
    with Daemon(streams(message("x"), finished())), open("/dev/full", "w", encoding="ascii") as full:
        for arguments in (("run", "ws", "p"), ("submit", "ws", "p"), ("help",)):
            done = subprocess.run([CTL, f"--socket={SOCKET}", *arguments], stdout=full, stderr=subprocess.PIPE, timeout=TIMEOUT_S, check=False)
            equal((arguments, done.returncode), (arguments, 1))

with case("usage: help for every verb, an unknown one is guessed"):
    code, out, _ = ctl("help")
    verbs = [line.split()[0] for line in out.splitlines() if line.startswith("  ") and not line.startswith("  codexctl")]
    equal((code, len(verbs)), (0, 14))
    for verb in verbs:
        equal((ctl("help", verb)[:2]), (ctl(verb, "--help")[:2]))
        contains(ctl("help", verb)[1], "--socket=PATH")
    for wrong, guess in (("submti", "submit"), ("lgos", "logs"), ("halp", None)):
        code, _, err = ctl(wrong)
        equal(code, 2)
        if guess:
            contains(err, f"did you mean {guess}?")
    for arguments in ((), ("run",), ("run", "a", "b", "c"), ("list", "x"), ("cancel", "x"), ("attach", "-1"), ("--nope",), ("help", "nope")):
        equal((arguments, ctl(*arguments)[0]), (arguments, 2))
    equal(ctl("--version")[1].split()[0], "codexctl")

SOURCES = os.path.dirname(os.path.realpath(__file__)) + "/../../daemon/ctl"

with case("the manual knows every verb and every option"):
    with open(SOURCES + "/codexctl.1", encoding="utf-8") as file:
        manual = file.read()
    for verb in verbs:
        contains(manual, f".It Cm {verb}")
        for option in re.findall(r"--([a-z-]+)", ctl("help", verb)[1].partition("\n\n")[2]):
            contains(manual, f"Fl -{option}")

with case("the completion knows verbs, options, words, jobs and workspaces"):
    def complete(*words):
        script = '. "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _codexctl; printf "%s\\n" "${COMPREPLY[@]}"'
        done = subprocess.run(["bash", "-c", script, "bash", SOURCES + "/completion/codexctl", "codexctl", *words], check=True, text=True,
                              capture_output=True, timeout=TIMEOUT_S,
                              env={**os.environ, "PATH": os.path.dirname(CTL) + ":" + os.environ["PATH"], "CODEXD_SOCKET": SOCKET})
        equal(done.stderr, "")
        return done.stdout.split()

    jobs = [{"job": 12, "state": "finished", "result": "ok", "workspace": "alpha.test", "owner": "me too", "class": "chat", "queued_usec": 1},
            {"job": 11, "state": "running", "workspace": "beta.test", "owner": "", "class": "chat", "queued_usec": 1}]
    with Daemon(lambda peer, call: peer.reply({"jobs": jobs})):
        equal(sorted(complete("")), sorted([*verbs, "help"]))
        equal(complete("dr"), ["drain"])
        equal(complete("help", "che"), ["check-config"])
        equal(complete("logs", "--f"), ["--from=", "--follow"])
        equal(complete("run", "-s", "r"), ["read-only"])
        equal(complete("run", "--sandbox", "=", "w"), ["workspace-write"])
        equal(complete("attach", ""), ["11"])
        equal(complete("show", ""), ["12", "11"])
        equal(complete("run", ""), ["alpha.test", "beta.test"])
    equal(complete("attach", ""), [], "without a daemon")

shutil.rmtree(directory)
sys.exit(1 if failed else 0)
