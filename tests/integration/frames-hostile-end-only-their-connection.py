#!/usr/bin/env python3
"""Whatever a client sends, it gets an error or loses its own connection; others, jobs and the daemon's
memory do not notice."""
from harness import *

PING = b'{"method":"io.codexd.Ping"}'
CONF = settings(clients={"first_byte_s": 2, "frame_s": 2, "max": 300, "max_per_uid": 120})


with Codexd(CONF) as codexd:
    path = workspace()
    gate = fifo(path + "/gate")
    witness = codexd.submit(turn("say before", f"wait {gate}", "say after"))
    witness.until("item.completed")
    supervisor = codexd.supervisor()

    def answer(data, terminator=b"\0"):
        """The answer to these bytes: ("error", its name), ("reply",) or ("closed",)."""
        with Client(terminator) as client:
            client.send_bytes(data)
            try:
                client.receive()
                return ("reply",)
            except VarlinkError as error:
                return ("error", error.name)
            except (Closed, ConnectionError):
                return ("closed",)

    def refused(data, terminator=b"\0"):
        got = answer(data, terminator)
        if got == ("reply",):
            raise AssertionError("it was answered as if it were in order")
        equal(answer(PING + b"\0"), ("reply",), "the next client's answer")
        return got

    with case("in order, with either terminator, and a stray LF"):
        equal(answer(PING + b"\0"), ("reply",))
        equal(answer(PING + b"\n", b"\n"), ("reply",))
        equal(answer(b"\n\n" + PING + b"\n", b"\n"), ("reply",))
        equal(answer(b'  {"method" : "io.codexd.Ping", "parameters" : {} }\0'), ("reply",))
        equal(answer(b'{"method":"org.varlink.service.GetInfo"}\0'), ("reply",))

    for name, data in (
            ("no JSON", b"hello\0"), ("nothing", b"\0"), ("half an object", b'{"method":\0'),
            ("an array", b"[]\0"), ("a string", b'"io.codexd.Ping"\0'), ("a number", b"1\0"), ("null", b"null\0"),
            ("no method", b"{}\0"), ("a method that is no string", b'{"method":1}\0'),
            ("parameters that are no object", b'{"method":"io.codexd.Ping","parameters":[]}\0'),
            ("two values", PING + b" " + PING + b"\0"), ("trailing garbage", PING + b"x\0"),
            ("a key twice", b'{"method":"io.codexd.Ping","method":"io.codexd.Ping"}\0'),
            ("a parameter twice", b'{"method":"io.codexd.Get","parameters":{"job":1,"job":1}}\0'),
            ("invalid UTF-8", b'{"method":"io.codexd.Ping\xff"}\0'),
            ("an overlong encoding", b'{"method":"io.codexd.Ping","parameters":{"\xc0\xaf":1}}\0'),
            ("an escaped NUL", b'{"method":"io.codexd.Ping\\u0000"}\0'),
            ("a number out of range", b'{"method":"io.codexd.Get","parameters":{"job":99999999999999999999}}\0'),
            ("a real number for an integer", b'{"method":"io.codexd.Get","parameters":{"job":1.5}}\0'),
            ("a negative job", b'{"method":"io.codexd.Get","parameters":{"job":-1}}\0'),
            ("an unknown method", b'{"method":"io.codexd.Shutdown"}\0'),
            ("an unknown interface", b'{"method":"org.example.Ping"}\0'),
            ("a method without interface", b'{"method":"Ping"}\0'),
            ("a misspelt parameter", b'{"method":"io.codexd.Ping","parameters":{"x":1}}\0'),
            ("a misspelt member", b'{"method":"io.codexd.Ping","extra":1}\0'),
            ("deep nesting", b'{"method":"io.codexd.Ping","parameters":' + b'{"a":' * 5000 + b"1" + b"}" * 5000 + b"}\0"),
            ("deep arrays", b'{"method":"io.codexd.Ping","parameters":{"a":' + b"[" * 100000 + b"]" * 100000 + b"}}\0"),
            ("many keys", b'{"method":"io.codexd.Ping","parameters":{' + b",".join(b'"k%d":0' % i for i in range(50000)) + b"}}\0"),
    ):
        with case(name + " is refused"):
            refused(data)

    with case("a NUL within a frame of an LF connection is refused"):
        with Client(b"\n") as client:
            client.send_bytes(PING + b"\n")
            client.receive()
            client.send_bytes(b'{"method":\0"io.codexd.Ping"}\n')
            try:
                client.receive()
                raise AssertionError("it was answered")
            except (VarlinkError, Closed, ConnectionError):
                pass

    with case("8 MiB is the bound of a frame: what is longer ends its connection before it is all there"):
        with Client() as client:
            try:
                for _ in range(20):
                    client.send_bytes(b"[" + b" " * (1 << 20))
            except (ConnectionError, TimeoutError):
                pass
            client.closed_by_peer()
        equal(answer(PING + b"\0"), ("reply",))

    with case("a frame within the bound is taken, in pieces of every size"):
        frame = b'{"method":"io.codexd.Ping"' + b" " * 100000 + b"}\0"
        with Client() as client:
            for at in range(0, len(frame), 4093):
                client.send_bytes(frame[at:at + 4093])
            client.receive()

    with case("one byte at a time is taken"):
        with Client() as client:
            for byte in PING + b"\0":
                client.send_bytes(bytes([byte]))
            client.receive()

    with case("many calls in one write are answered in order"):
        with Client() as client:
            client.send_bytes((PING + b"\0" + b'{"method":"io.codexd.Get","parameters":{"job":999}}\0') * 20)
            for _ in range(20):
                client.receive()
                equal(error_of(client.receive).name, "NoSuchJob")

    with case("a connection that says nothing, or stops in mid-frame, is closed"):
        with Client() as silent, Client() as half:
            half.send_bytes(PING[:10])
            half.closed_by_peer(20)
            silent.closed_by_peer(20)

    with case("a byte now and then does not keep a frame open for ever"):
        with Client() as slow:
            slow.socket.settimeout(0.2)
            start = time.monotonic()
            try:
                for byte in PING * 10:
                    slow.send_bytes(bytes([byte]))
                    try:
                        if not slow.socket.recv(100):
                            break
                    except TimeoutError:
                        pass
            except ConnectionError:
                pass
            if time.monotonic() - start > 20:
                raise AssertionError("it was let go on")

    with case("a client that is in order and idle is left alone"):
        with Client() as idle:
            idle.call("Ping")
            with Client() as silent:
                silent.closed_by_peer(20)
            idle.call("Ping")

    with case("closing in mid-frame, or right after asking, hurts nobody"):
        for _ in range(50):
            with Client() as client:
                client.send_bytes(PING[:7])
            with Client() as client:
                client.send("Attach", {"job": witness.id}, more=True)
            with Client() as client:
                client.send("Submit", {"workspace": ALPHA})
        equal(answer(PING + b"\0"), ("reply",))

    with case("half-open: whoever shuts down its sending side still gets its answer"):
        with Client() as client:
            client.send_bytes(PING + b"\0")
            client.socket.shutdown(socket.SHUT_WR)
            client.receive()

    with case("descriptors that come along are closed"):
        before = len(os.listdir(f"/proc/{supervisor}/fd"))
        with open("/dev/null", "rb") as null:
            for _ in range(20):
                with Client() as client:
                    socket.send_fds(client.socket, [PING + b"\0"], [null.fileno()] * 10)
                    with contextlib.suppress(VarlinkError, Closed, ConnectionError):
                        client.receive()
        eventually(lambda: len(os.listdir(f"/proc/{supervisor}/fd")) <= before, "its descriptors are no more than before")

    with case("one user's connections are bounded, and do not keep others out"):
        os.chmod("/run/codexd/codexd.sock", 0o666)
        crowd = []
        closed = 0
        for _ in range(140):
            client = Client(uid=987, gid=987)
            crowd.append(client)
        for client in crowd:
            try:
                client.call("Ping")
            except (VarlinkError, Closed, ConnectionError):
                closed += 1
        if not 20 <= closed <= 40:
            raise AssertionError(f"{closed} of 140 connections were refused")
        equal(answer(PING + b"\0"), ("reply",))
        for client in crowd:
            client.close()

    with case("memory stays bounded while many send large frames"):
        crowd = [Client() for _ in range(20)]
        for client in crowd:
            client.socket.settimeout(0.5)
            with contextlib.suppress(TimeoutError, ConnectionError):
                for _ in range(7):
                    client.send_bytes(b" " * (1 << 20))
        if rss_kib(supervisor) > 400 << 10 and not SANITIZED:
            raise AssertionError(f"{rss_kib(supervisor) >> 10} MiB")
        for client in crowd:
            client.close()
        equal(answer(PING + b"\0"), ("reply",))

    with case("the supervisor is the one from the beginning, and the witness's turn went on"):
        equal(codexd.supervisor(), supervisor)
        open_fifo(gate)
        equal(witness.finished()["result"], "ok")
finish()
