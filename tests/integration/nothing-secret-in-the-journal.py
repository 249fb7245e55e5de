#!/usr/bin/env python3
"""Prompts, item texts, commands, outputs, environments and keys are in no journal record and on no stderr,
whatever way a job goes."""
from harness import *

os.environ["SOME_TOKEN"] = "marker-environment"
MARKERS = [b"marker-prompt", b"marker-text", b"marker-command", b"marker-output", b"marker-environment", b"marker-error",
           b"host-environment-marker", b"marker-file", b"marker-config", b"marker-stderr", b"marker-garbage"]

with Model() as model, Codexd(settings(REAL_CODEX, model_port=model.port), [{**RULE, "model": "gpt-5.5"}]) as codexd:
    path = workspace()
    job = codexd.submit(Model.prompt(
        [{"think": "marker-text"}, {"say": "marker-text"}, {"run": "echo marker-output; : marker-command; false"}],
        {"patch": "*** Begin Patch\n*** Add File: marker-file\n+marker-text\n*** End Patch\n"}, {"say": "marker-text"},
        text="marker-prompt"))
    job.finished()
    codexd.submit(Model.prompt({"http": 400, "message": "marker-error"}, text="marker-prompt")).finished()
    codexd.submit(Model.prompt([{"say": "marker-text"}, {"fail": "marker-error"}], text="marker-prompt")).finished()

    codexd.configure(settings(kill_grace_s=1))
    codexd.call("Reload")
    for commands in (["say marker-text", "stderr marker-stderr", "exit 1"], ["line marker-garbage", "exit 1"],
                     ["stderr marker-stderr", "exit 3"], ["thread", "turn", "failed marker-error", "exit 1"],
                     ["thread", 'line {"type":"item.started","item":{"id":"x","type":"marker-text","status":"marker-text"}}',
                      'line {"type":"marker-text"}', 'line {"type":"thread.started","thread_id":"marker-text"}', "exit 0"]):
        codexd.submit("marker-prompt\n" + fake(*commands)).finished()
    cancelled = codexd.submit("marker-prompt\n" + turn("say marker-text", "hang"))
    cancelled.until("item.completed")
    codexd.call("Cancel", job=cancelled.id)
    cancelled.finished()
    for parameters in ({"thread_id": "marker-prompt"}, {"nonsense": "marker-prompt"}, {"cwd": "../marker-prompt"}):
        codexd.refusal("marker-prompt", **parameters)
    with Client() as client:
        client.send_bytes(b'{"method":"io.codexd.Submit","parameters":{"prompt":"marker-prompt\0')
    codexd.configure('{"model": {"base_url": "http://x:marker-config@host/v1"}}')
    error_of(codexd.call, "Reload")
    codexd.configure('{"model": {"api_key": "marker-config"}}')
    error_of(codexd.call, "Reload")
    wait_record("job-finished", f"CODEX_JOB={cancelled.id}")
    wait_record("config-rejected")

    with case("the markers did go where they belong: to the client"):
        text = json.dumps(job.events).encode()
        for marker in (b"marker-text", b"marker-output", b"marker-command"):
            contains(text, marker)

    with case("no marker in any journal record"):
        subprocess.run(["journalctl", "--sync"], check=True)
        export = subprocess.run(["journalctl", "-o", "export", "--all", "--no-pager"], check=True, capture_output=True).stdout
        if export.count(b"CODEX_EVENT=") < 30:
            raise AssertionError("there are hardly any records")
        found = []
        for block in export.split(b"\n\n"):
            found += [(m, block[:600]) for m in MARKERS if m in block]
        equal(found, [])

    with case("no marker on the stderr of any daemon process"):
        with open(codexd.log, "rb") as file:
            log = file.read()
        equal([m for m in MARKERS if m in log], [])

    with case("no marker in a command line or the title of a process while a job runs"):
        gate = fifo(path + "/gate")
        codexd.configure(settings(kill_grace_s=1))
        codexd.call("Reload")
        job = codexd.submit("marker-prompt\n" + turn("say x", f"wait {gate}"))
        job.until("item.completed")
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    if b"marker-prompt" in file.read():
                        raise AssertionError(f"process {pid}")
        open_fifo(gate)
        job.finished()

    with case("what codexd keeps of ended jobs holds no prompt, and nobody but codexd can look"):
        for directory, _, files in os.walk(STATE + "/jobs"):
            equal(os.stat(directory).st_mode & 0o077, 0, f"the mode of {directory}")
            for name in files:
                with open(os.path.join(directory, name), "rb") as file:
                    if b"marker-prompt" in file.read():
                        raise AssertionError(f"{directory}/{name}")
finish()
