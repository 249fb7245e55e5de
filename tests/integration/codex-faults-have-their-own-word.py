#!/usr/bin/env python3
"""Whatever is wrong with the Codex binary, or with what it prints, has an error word of its own."""
from harness import *

BINARIES = "/srv/codex"


def binary(name):
    path = f"{BINARIES}/{name}"
    shutil.copy(FAKE_CODEX, path)
    return path


os.mkdir(BINARIES)
os.chmod(BINARIES, 0o755)
with Codexd(settings(start_timeout_s=2, kill_grace_s=1)) as codexd:
    path = workspace()

    def with_codex(path, version="0.169.0"):
        codexd.configure(settings(path, version, start_timeout_s=2, kill_grace_s=1))
        codexd.call("Reload")

    def outcome(prompt=turn("say hello"), **parameters):
        """(result, error word) of a job, whether it is refused at once or ends so."""
        try:
            job = codexd.submit(prompt, **parameters)
        except VarlinkError as error:
            return "refused", error.name
        job.finished()
        record = codexd.get(job)
        equal(worker_pids(), [], "what is left of the worker")
        return record["result"], (record.get("failure") or {}).get("error")

    with case("a good one runs"):
        equal(outcome(), ("ok", None))

    with case("missing"):
        with_codex(BINARIES + "/not-there")
        contains([("refused", "CodexMissing"), ("spawn-failed", "codex-missing")], outcome())

    with case("not executable"):
        os.chmod(binary("plain"), 0o644)
        with_codex(BINARIES + "/plain")
        contains([("refused", "CodexNotExecutable"), ("spawn-failed", "codex-not-executable")], outcome())

    with case("no program at all"):
        with open(BINARIES + "/text", "w", encoding="ascii") as file:
            file.write("this is no program\n")
        os.chmod(BINARIES + "/text", 0o755)
        with_codex(BINARIES + "/text")
        result, word = outcome()
        contains(["codex-not-executable", "CodexNotExecutable"], word)

    with case("another version"):
        with_codex(binary("codex-old-version"))
        contains([("refused", "CodexVersion"), ("spawn-failed", "codex-version")], outcome())

    with case("another version is fine where none is asked for"):
        with_codex(BINARIES + "/codex-old-version", None)
        equal(outcome(), ("ok", None))

    with case("a version that never answers"):
        with_codex(binary("codex-hang-version"))
        result, word = outcome()
        if result == "ok":
            raise AssertionError("it ran")

    with case("dies at start"):
        with_codex(binary("codex-die"))
        equal(outcome(), ("failed", "codex-died"))

    with case("hangs at start"):
        with_codex(binary("codex-hang"))
        equal(outcome(), ("failed", "codex-hung"))

    with_codex(FAKE_CODEX)
    for name, prompt, expected in (
            ("ends with nothing said", fake("exit 0"), ("failed", "codex-died")),
            ("is killed before thread.started", fake("signal 9"), ("failed", "codex-died")),
            ("exits in mid-turn", fake("thread", "turn", "say x", "exit 3"), ("failed", "codex-exit")),
            ("is killed in mid-turn", fake("thread", "turn", "signal 11"), ("failed", "codex-exit")),
            ("exits with 0 but without the end of its turn", fake("thread", "turn", "exit 0"), ("failed", "codex-exit")),
            ("fails its turn", fake("thread", "turn", "failed no", "exit 1"), ("failed", "turn-failed")),
            ("prints nothing but garbage", fake("line Segmentation fault", "line {", "exit 1"), ("failed", "codex-garbage")),
            ("closes stdout and lives on", fake("thread", "turn", "close-stdout", "hang"), ("failed", "codex-closed-stdout")),
            ("closes stdout before its first event", fake("close-stdout", "hang"), ("failed", "codex-closed-stdout")),
            ("knows no such thread", fake(f"stderr Error: no rollout found for thread id {UUID} (code -32600)", "exit 1"),
             ("failed", "thread-unknown")),
    ):
        with case(name):
            parameters = {"thread_id": UUID} if "thread-unknown" in expected else {}
            equal(outcome(prompt, **parameters), expected)

    with case("exit status and signal are told"):
        job = codexd.submit(fake("thread", "turn", "exit 3"))
        job.finished()
        equal(codexd.get(job)["exit_code"], 3)
        job = codexd.submit(fake("thread", "turn", "signal 11"))
        job.finished()
        equal(codexd.get(job)["exit_signal"], 11)

    with case("garbage among events is told as such, in its place, and does not fail the turn"):
        job = codexd.submit(turn("line not json", "line [1]", "line {\"a\":", "say after"))
        equal(job.finished()["result"], "ok")
        equal([t for t in job.types if t == "job.garbage"], ["job.garbage"] * 3)
        contains(job.messages(), "after")

    with case("a last line without its end is an event all the same"):
        job = codexd.submit(fake("thread", "turn", "say x", 'partial {"type":"turn.completed","usage":{"input_tokens":1,'
                                 '"cached_input_tokens":0,"output_tokens":1}}'))
        equal(job.finished()["result"], "ok")
        equal(job.types[-2], "turn.completed")

    with case("a prompt over Codex's limit is refused with its own word; one at the limit runs"):
        equal(codexd.refusal("x" * 1048577).name, "PromptTooLong")
        equal(codexd.submit("\u00e4" * 1048576).finished()["result"], "ok")

    with case("an empty prompt is refused"):
        equal(codexd.refusal("").parameters.get("key"), "prompt")
finish()
