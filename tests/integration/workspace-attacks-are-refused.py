#!/usr/bin/env python3
"""A workspace is a real directory of an ordinary user, found without following a single link; what changes
between admission and start, or while a turn runs, gains nobody anything."""
from harness import *


def refused(codexd, name, error="WorkspaceInvalid", **parameters):
    answer = codexd.refusal(turn(), workspace=name, **parameters)
    equal(answer.name, error, f"the answer for {name} {parameters}")
    return answer


with Codexd(settings(max_workers=1)) as codexd:
    path = workspace()
    outside = "/srv/outside"
    os.mkdir(outside)
    os.chown(outside, 987, 987)

    def site(name):
        os.makedirs(f"{SITES}/{name}")
        return f"{SITES}/{name}/user"

    with case("a symlink in the directory's place"):
        os.symlink(path, site("link"))
        refused(codexd, "link")

    with case("a symlink on the way"):
        os.symlink(f"{SITES}/{ALPHA}", f"{SITES}/linked-parent")
        refused(codexd, "linked-parent")

    with case("a directory of root's"):
        os.mkdir(site("roots"), 0o755)
        refused(codexd, "roots")

    with case("a file"):
        with open(site("file"), "w", encoding="ascii"):
            pass
        os.chown(f"{SITES}/file/user", 987, 987)
        refused(codexd, "file")

    with case("an owner that the rule's pattern does not name"):
        os.mkdir(site("foreign"))
        os.chown(f"{SITES}/foreign/user", 981, 981)
        refused(codexd, "foreign")

    with case("an owner without an account"):
        os.mkdir(site("nobodys"))
        os.chown(f"{SITES}/nobodys/user", 54321, 54321)
        refused(codexd, "nobodys")

    with case("no such directory, no such rule, no such name"):
        refused(codexd, "missing", "NoSuchWorkspace")
        for name in ("", ".", "..", "../alpha.test", "a/b", "/srv", "x" * 129, "-x", "a\u0000b", "a b", "\u00e4"):
            refused(codexd, name, "BadRequest")

    with case("cwd: a symlink, a way out, an absolute path, a file, nothing; and its permitted twin"):
        os.makedirs(path + "/real/deep")
        os.chown(path + "/real", 987, 987)
        os.symlink(outside, path + "/out")
        os.symlink("real", path + "/in")
        with open(path + "/plain", "w", encoding="ascii"):
            pass
        contains(refused(codexd, ALPHA, "BadRequest", cwd="out").message, "out")
        contains(refused(codexd, ALPHA, "BadRequest", cwd="in/deep").message, "real", "the message, which names the real path")
        for cwd in ("plain", "nothing"):
            refused(codexd, ALPHA, "BadRequest", cwd=cwd)
        for cwd in ("..", "../../beta.test/user", "real/../real", "./real", "real//deep", "a" * 2000):
            refused(codexd, ALPHA, "BadRequest", cwd=cwd)
        for cwd in ("/srv", "/", path + "/../x", path + "x"):
            contains(["PolicyRefused", "BadRequest"], codexd.refusal(turn(), cwd=cwd).name)
        equal(codexd.submit(turn("report"), cwd="real/deep").report()["cwd"], path + "/real/deep")
        equal(codexd.submit(turn("report"), cwd=path + "/real/deep").report()["cwd"], path + "/real/deep")

    def queued_behind_a_running_job(*commands, **parameters):
        gate = fifo(f"{path}/gate{time.monotonic_ns()}")
        first = codexd.submit(turn("say ready", f"wait {gate}"))
        first.until("item.completed")
        second = codexd.submit(turn(*commands), **parameters)
        second.until("job.queued")
        return first, second, gate

    with case("a directory swapped between admission and start is not run in"):
        name = "swapped.test"
        where = workspace(name)
        first, second, gate = queued_behind_a_running_job("write ran", workspace=name)
        os.rename(where, where + "-old")
        workspace(name)
        open_fifo(gate)
        second.finished()
        record = codexd.get(second)
        equal((record["result"], record["failure"]["error"]), ("spawn-failed", "workspace-invalid"))
        equal(os.listdir(where), [])
        equal(codexd.submit(turn("write ran"), workspace=name).finished()["result"], "ok")
        equal(os.listdir(where), ["ran"])

    with case("a directory whose owner changed between admission and start is not run in"):
        name = "given.test"
        where = workspace(name)
        first, second, gate = queued_behind_a_running_job("write ran", workspace=name)
        os.chown(where, 986, 986)
        open_fifo(gate)
        second.finished()
        equal(codexd.get(second)["result"], "spawn-failed")
        equal(os.listdir(where), [])

    with case("a cwd that became a link between admission and start is not followed"):
        first, second, gate = queued_behind_a_running_job("write ran", cwd="real/deep")
        os.rename(path + "/real", path + "/moved")
        os.mkdir(outside + "/deep")
        os.chown(outside + "/deep", 987, 987)
        os.symlink(outside, path + "/real")
        open_fifo(gate)
        second.finished()
        equal(codexd.get(second)["result"], "spawn-failed")
        equal(os.listdir(outside + "/deep"), [])

    with case("a workspace removed while its turn runs: the turn ends, codexd goes on"):
        name = "removed.test"
        where = workspace(name)
        gate = fifo("/srv/gate")
        job = codexd.submit(turn("say ready", f"wait {gate}", f"write {where}/late"), workspace=name)
        job.until("item.completed")
        shutil.rmtree(where)
        open_fifo(gate)
        equal(job.finished()["result"], "ok")
        contains(job.messages()[-1], "ENOENT")
        equal(codexd.refusal(turn(), workspace=name).name, "NoSuchWorkspace")
        equal(codexd.submit(turn()).finished()["result"], "ok")

    with case("refused ones left no worker behind"):
        equal(worker_pids(), [])
finish()
