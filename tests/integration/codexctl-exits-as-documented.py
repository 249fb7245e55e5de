#!/usr/bin/env python3
"""codexctl against a real daemon: what it prints, and exit codes that scripts can rely on."""
from harness import *

with Codexd(settings(max_workers=1, queue_max=0, kill_grace_s=1)) as codexd:
    path = workspace()

    with case("run streams to the end and exits with 0"):
        code, out, err = ctl("run", ALPHA, turn("say hello from codex"))
        equal(code, 0, f"the status ({err})")
        contains(out, "hello from codex")

    with case("run takes the prompt from stdin, or from a file"):
        equal(ctl("run", ALPHA, input=turn("say x"))[0], 0)
        with open("/tmp/prompt", "w", encoding="utf-8") as file:
            file.write(turn("say from-a-file"))
        contains(ctl("run", "-F", "/tmp/prompt", ALPHA)[1], "from-a-file")

    with case("run --json prints one envelope a line, as they came"):
        code, out, _ = ctl("run", "--json", ALPHA, turn("say x"))
        lines = [json.loads(line) for line in out.splitlines()]
        envelopes = [line for line in lines if "event" in line]
        equal([e["seq"] for e in envelopes], list(range(len(envelopes))))
        equal(envelopes[-1]["event"]["type"], FINAL)

    with case("1: the job failed"):
        equal(ctl("run", ALPHA, fake("thread", "turn", "exit 3"))[0], 1)
        code, _, err = ctl("run", ALPHA, fake("exit 0"))
        equal(code, 1)
        contains(err.lower(), "codex")

    with case("2: usage"):
        for arguments in ([], ["nonsense"], ["run"], ["run", "--nonsense", ALPHA], ["cancel", "x"], ["attach"]):
            code, _, err = ctl(*arguments)
            equal((arguments, code), (arguments, 2))
            if not err:
                raise AssertionError("it says nothing")

    with case("3: an unknown job"):
        for verb in ("show", "wait", "attach", "cancel", "logs"):
            equal((verb, ctl(verb, 4711)[0]), (verb, 3))

    with case("4: rejected, come again later"):
        gate = fifo(path + "/gate")
        job = codexd.submit(turn("say x", f"wait {gate}"))
        job.until("item.completed")
        code, _, err = ctl("run", ALPHA, turn())
        equal(code, 4, f"the status ({err})")

    with case("5: cancelled"):
        follower = subprocess.Popen([CTL, "wait", str(job.id)], stdout=subprocess.DEVNULL)
        equal(ctl("cancel", job.id)[0], 0)
        equal(follower.wait(TIMEOUT_S), 5)

    with case("6: its deadline passed"):
        equal(ctl("run", "--deadline=1", ALPHA, turn("say x", "hang"))[0], 6)

    with case("7: no daemon"):
        equal(ctl("ping", "--socket=/run/none.sock")[0], 7)

    with case("8: not permitted"):
        os.chmod(SOCKET, 0o666)
        equal(ctl("reload", uid=987, gid=987)[0], 8)
        equal(ctl("ping", uid=987, gid=987)[0], 0)

    with case("attach --from, logs, show, list, stats, ping speak of the job, and --json is JSON"):
        ended = codexd.submit(turn("say one", "say two"))
        ended.finished()
        contains(ctl("logs", ended.id)[1], "two")
        envelopes = [json.loads(line) for line in ctl("attach", "--json", "--from=3", ended.id)[1].splitlines()]
        equal(envelopes[0].get("seq"), 3)
        contains(ctl("show", ended.id)[1], ALPHA)
        contains(ctl("list")[1], str(ended.id))
        for arguments in (["show", "--json", ended.id], ["list", "--json"], ["stats", "--json"], ["ping", "--json"]):
            code, out, _ = ctl(*arguments)
            equal(code, 0)
            json.loads(out)

    with case("Ctrl-C cancels once and detaches on the second"):
        with subprocess.Popen([CTL, "run", "--json", ALPHA, turn("ignore-signals", "say x", "hang")], stdout=subprocess.PIPE,
                              text=True) as run:
            for line in run.stdout:
                if "item.completed" in line:
                    break
            run.send_signal(signal.SIGINT)
            equal(run.wait(TIMEOUT_S), 5, "the status after the first")
        equal(codexd.call("List")["jobs"][0]["result"], "cancelled")

    with case("check-config tells good from bad without a daemon, by file, line and key"):
        equal(ctl("check-config")[0], 0)
        os.mkdir("/tmp/conf")
        with open("/tmp/conf/codexd.json", "w", encoding="utf-8") as file:
            file.write('{\n"max_wokers": 1}')
        code, out, err = ctl("check-config", "/tmp/conf")
        if code == 0:
            raise AssertionError("it is content")
        contains(out + err, "codexd.json:2")
        contains(out + err, "max_wokers")

    with case("reload"):
        equal(ctl("reload")[0], 0)
        codexd.configure('{"nonsense": 1}')
        code, _, err = ctl("reload")
        if code == 0:
            raise AssertionError("it is content")
        contains(err, "nonsense")

    with case("--help and help are there for every verb"):
        for verb in ("run", "submit", "attach", "logs", "wait", "cancel", "list", "show", "stats", "ping", "check-config", "reload"):
            code, out, _ = ctl(verb, "--help")
            equal((verb, code), (verb, 0))
            contains(out, verb)
finish()
