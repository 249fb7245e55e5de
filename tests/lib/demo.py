#!/usr/bin/env python3
"""The inside of tests/demo: one turn, shown."""
from harness import *

sys.stdout.reconfigure(line_buffering=True)  # codexctl writes to the same place
DIM, BOLD, OFF = ("\033[2m", "\033[1m", "\033[0m") if os.environ.get("CODEXD_DEMO_COLOURS") else ("", "", "")
NAME = "demo.example"
QUESTION = "Who are you on this machine, and where? Then leave a note."
SCRIPT = Model.prompt(
    [{"think": "**Looking around** first."}, {"say": "I look around first."}, {"run": "id; pwd; ls -la"}],
    {"patch": "*** Begin Patch\n*** Add File: note.txt\n+Codex was here.\n*** End Patch\n"},
    [{"hold": "demo"}, {"say": "I am the tenant's own user in its own workspace, and I left note.txt."}],
    text=QUESTION)


def title(text):
    print(f"\n{BOLD}{text}{OFF}", flush=True)


def shown(command):
    print(f"{DIM}$ {command}{OFF}", flush=True)


def facts(pid):
    """What /proc says about Codex, seen from outside."""
    wanted = ("Uid", "Gid", "Groups", "NoNewPrivs", "CapPrm", "CapEff", "CapBnd", "NSpid")
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        for line in status:
            if line.partition(":")[0] in wanted:
                print("  " + line.rstrip().expandtabs(12))
    with open(f"/proc/{pid}/environ", "rb") as environ:
        names = sorted(entry.partition(b"=")[0].decode() for entry in environ.read().split(b"\0") if entry)
    print("  Environment " + " ".join(names))


with Model() as model, Codexd(settings(REAL_CODEX, model_port=model.port), [{**RULE, "model": "gpt-5.5"}]) as codexd:
    path = workspace(NAME)
    with open("/tmp/prompt", "w", encoding="utf-8") as file:
        file.write(SCRIPT)
    os.chmod("/tmp/prompt", 0o600)
    version = subprocess.run([REAL_CODEX, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    title(f"codexd {codexd.call('Ping')['version']} is up, {version} and a scripted model on loopback beside it")
    print(f"The workspace {path} belongs to site-alpha (uid 987).")

    title("A job: the prompt goes in, Codex's turn is streamed back")
    shown(f'codexctl run {NAME} "{QUESTION}"')
    run = subprocess.Popen([CTL, "run", "-v", "-F", "/tmp/prompt", NAME], stdin=subprocess.DEVNULL)
    model.wait_held("demo")
    job = codexd.call("List")["jobs"][0]
    print(f"{DIM}  (the model is made to wait here, so that the process can be looked at){OFF}", flush=True)
    shown(f"cat /proc/{job['pid']}/status")
    facts(job["pid"])
    model.release("demo")
    code = run.wait(TIMEOUT_S)
    note = os.stat(path + "/note.txt")
    print(f"codexctl exits with {code}; note.txt belongs to uid {note.st_uid}.", flush=True)

    thread = codexd.get(job["job"])["thread_id"]
    wait_record("job-finished", f"CODEX_THREAD={thread}")
    title("The journal's account of that thread: no prompt, no text, no command")
    shown(f"journalctl CODEX_THREAD={thread}")
    for record in journal(f"CODEX_THREAD={thread}"):
        print(f"  {record['CODEX_EVENT']:16} {record['MESSAGE']}")

    left = worker_pids()
    good = code == 0 and note.st_uid == 987 and not left
    title("Afterwards" if good else "This did not go as it should")
    print(f"Processes left of the worker: {len(left)}. All of this machine is gone when this script ends.")
sys.exit(0 if good else 1)
