#!/usr/bin/env python3
"""What the README shows of the protocol is run as it stands there, but for the workspace's name."""
import re
from harness import *

with open(CHECKOUT + "/README.md", encoding="utf-8") as readme:
    TEXT = readme.read().replace("example.org", ALPHA)


def block(language, sign):
    """The fenced block of this language that has this in it."""
    found = [b for b in re.findall(rf"```{language}\n(.*?)```", TEXT, re.S) if sign in b]
    equal(len(found), 1, f"the number of {language} blocks with {sign}")
    return found[0]


def run(command, **more):
    return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=True, **more).stdout


workspace()
with Codexd() as codexd:
    with case("the TypeScript client streams a job to its end"):
        with open("/tmp/client.mjs", "w", encoding="utf-8") as file:
            file.write(block("ts", "io.codexd.Submit"))
        out = run(["node", "/tmp/client.mjs"])
        contains(out, "job: 1")
        contains(out, "job.finished")

    with case("the line with nc and jq gives an event a line, the last one job.finished"):
        found = re.findall(r"^    (echo '\{\"method\":\"io\.codexd\.Submit\".*?)\n\n", TEXT, re.S | re.M)
        equal(len(found), 1, "the number of nc lines")
        lines = [json.loads(line) for line in run(["bash", "-c", found[0]]).splitlines()]
        equal(lines[0], {"job": 2})
        equal(lines[-1]["event"]["type"], FINAL)
        equal([line["seq"] for line in lines[1:]], list(range(len(lines) - 1)), "the sequence")

    with case("the least configuration that it shows is valid, and runs a turn"):
        conf = json.loads(block("json", '"base_url"'))
        rule = json.loads(block("json", '"match"'))
        conf["codex"]["path"] = FAKE_CODEX
        rule["match"] = SITES + "/{workspace}/user"
        codexd.configure(conf, [rule])
        codexd.call("Reload")
        equal(codexd.submit(turn()).finished()["result"], "ok")

    with case("every verb that it names is one of codexctl's"):
        _, known, _ = ctl("help")
        for verb in set(re.findall(r"\bcodexctl ([a-z][a-z-]+)", TEXT)) - {"exec"}:
            contains(known, verb, "codexctl help")

    with case("every test that it names is there"):
        table = TEXT[TEXT.index("| promise | test |"):TEXT.index("What it does **not** promise")]
        for name in re.findall(r"`((?:unit/|system/|tests/)?[a-z][a-z0-9./-]+)`", table):
            places = [f"tests/integration/{name}.py", f"tests/{name}", f"tests/{name}.py", name]
            if "-" in name and not any(os.path.exists(f"{CHECKOUT}/{place}") for place in places):
                raise AssertionError(f"there is no {name}")
finish()
