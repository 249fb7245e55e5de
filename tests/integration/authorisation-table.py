#!/usr/bin/env python3
"""Who may do what: root all of it, the group codexd all but administration, a tenant what is its own,
anybody else nothing, and whoever is inside a worker is turned away."""
from harness import *

ROOT, GROUP = {}, {"uid": 65534, "gid": 65534, "groups": [981]}
ALPHA_USER, BETA_USER = {"uid": 987, "gid": 987}, {"uid": 986, "gid": 986}
STRANGER = {"uid": 12345, "gid": 12345}
PEOPLE = {"root": ROOT, "group": GROUP, "alpha": ALPHA_USER, "beta": BETA_USER, "stranger": STRANGER}
ALL = set(PEOPLE)

with Codexd() as codexd:
    path = workspace()
    workspace(BETA, "site-beta")
    with case("the socket lets in root and the group, by its mode"):
        found = os.stat(SOCKET)
        equal((oct(found.st_mode & 0o777), found.st_uid, found.st_gid), ("0o660", 0, 981))
        try:
            connect(**ALPHA_USER)
            raise AssertionError("another user could connect")
        except PermissionError:
            pass
        Client(**GROUP).call("Ping")
    os.chmod(SOCKET, 0o666)  # the table below must hold by itself

    done = codexd.submit(turn())
    done.finished()
    gate = fifo(path + "/gate")
    running = codexd.submit(turn("say x", f"wait {gate}"))
    running.until("item.completed")

    def verdict(who, method, **parameters):
        with Client(**PEOPLE[who]) as client:
            try:
                client.call(method, **parameters)
                return "yes"
            except VarlinkError as error:
                if error.name in ("NotPermitted", "NoSuchJob", "NoSuchWorkspace"):
                    return "no"
                raise

    for method, parameters, allowed in (
            ("Ping", {}, ALL),
            ("Stats", {}, ALL),
            ("Get", {"job": done.id}, {"root", "group", "alpha"}),
            ("Wait", {"job": done.id}, {"root", "group", "alpha"}),
            ("Attach", {"job": done.id, "from_seq": 0}, {"root", "group", "alpha"}),
            ("Cancel", {"job": done.id}, {"root", "group", "alpha"}),
            ("Submit", {"workspace": ALPHA, "prompt": "hello"}, {"root", "group", "alpha"}),
            ("Submit", {"workspace": BETA, "prompt": "hello"}, {"root", "group", "beta"}),
            ("Reload", {}, {"root"}),
    ):
        with case(f"{method} {parameters if method == 'Submit' else ''} is for {', '.join(sorted(allowed))}"):
            equal({who for who in PEOPLE if verdict(who, method, **parameters) == "yes"}, allowed)

    with case("List shows each what is its own"):
        for who, expected in (("root", {987, 986}), ("group", {987, 986}), ("alpha", {987}), ("beta", {986}), ("stranger", set())):
            with Client(**PEOPLE[who]) as client:
                equal({job["uid"] for job in client.call("List")["jobs"]}, expected, f"what {who} sees")

    with case("a stranger's Cancel leaves the running job alone, its owner's ends it"):
        equal(verdict("beta", "Cancel", job=running.id), "no")
        equal(codexd.get(running)["state"], "running")
        equal(verdict("alpha", "Cancel", job=running.id), "yes")
        equal(running.finished()["result"], "cancelled")

    with case("a stranger learns nothing about which jobs and workspaces there are"):
        def told(who, method, **parameters):
            with Client(**PEOPLE[who]) as client:
                error = error_of(client.call, method, **parameters)
                return error.name, {k: v for k, v in error.parameters.items() if k != "message"}
        equal(told("stranger", "Submit", workspace=ALPHA, prompt="x"), told("stranger", "Submit", workspace="nosuch.test", prompt="x"))

    with case("inside a worker: the socket is not in sight"):
        job = codexd.submit(turn(f"call {SOCKET}"))
        job.finished()
        if not job.messages()[0].endswith((": ENOENT", ": ECONNREFUSED", ": EACCES")):
            raise AssertionError(job.messages())

    with case("inside a worker: where it can be reached all the same, the peer is refused"):
        os.link(SOCKET, "/run/left-open.sock")
        equal(Client(path="/run/left-open.sock", uid=987, gid=987).call("Ping")["version"] != "", True)
        job = codexd.submit(turn("call /run/left-open.sock"))
        job.finished()
        contains(job.messages()[0], "io.codexd.NotFromWorker")

    with case("Drain is root's: nothing is admitted any more, what runs goes on"):
        gate = fifo(path + "/gate2")
        job = codexd.submit(turn("say x", f"wait {gate}"))
        job.until("item.completed")
        for who in ALL - {"root"}:
            equal((who, verdict(who, "Drain")), (who, "no"))
        codexd.call("Drain")
        equal(codexd.refusal().name, "Draining")
        equal(codexd.call("Stats")["draining"], True)
        open_fifo(gate)
        equal(job.finished()["result"], "ok")
        codexd.call("Drain", wait=True)
finish()
