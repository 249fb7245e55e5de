"""What system tests share: codexd as `meson install` put it into a lab (tests/lib/lab), under systemd."""
from harness import *  # pylint: disable=wildcard-import,unused-wildcard-import
import harness

INSTALLED_CTL = "/usr/local/bin/codexctl"
harness.CTL = INSTALLED_CTL
OWN_RECORDS = "_SYSTEMD_UNIT=codexd.service"  # the filter that the README names


def systemctl(*arguments, check=True):
    done = subprocess.run(["systemctl", *arguments], capture_output=True, text=True, timeout=4 * TIMEOUT_S, check=False)
    if check and done.returncode != 0:
        state = subprocess.run(["systemctl", "status", "--no-pager", "-n", "20", "codexd*"], capture_output=True, text=True, check=False)
        raise AssertionError(f"systemctl {' '.join(arguments)}: {done.stderr.strip()}\n{state.stdout}")
    return done.stdout.strip()


def unit(name, *properties):
    """Properties of a unit, as a dictionary."""
    out = systemctl("show", name, "--property=" + ",".join(properties))
    return dict(line.split("=", 1) for line in out.splitlines())


def drop_in(name, text):
    os.makedirs(f"/run/systemd/system/{name}.d", exist_ok=True)
    with open(f"/run/systemd/system/{name}.d/test.conf", "w", encoding="utf-8") as file:
        file.write(text)
    systemctl("daemon-reload")


def configured(conf=None, rules=(RULE,)):
    """Writes the configuration; the daemon is systemd's to start. Gives the calls of harness.Codexd."""
    os.makedirs(CONFIG + "/workspaces.d", exist_ok=True)
    codexd = Codexd(conf, rules)
    harness._logs.clear()
    codexd.configure()
    return codexd


def enable_controllers():
    """Every controller there is, down to the units of codexd: only so do the rules about processes in inner
    nodes of the cgroup tree apply as they do on a host with memory and pids."""
    for directory in ("/sys/fs/cgroup", *(f"/sys/fs/cgroup/{d}" for d in cgroup_chain())):
        with contextlib.suppress(OSError):
            with open(directory + "/cgroup.subtree_control", "w", encoding="ascii") as file:
                file.write("+hugetlb")


def cgroup_chain():
    path = unit("codexd-workers.service", "ControlGroup")["ControlGroup"].strip("/").split("/")
    return ["/".join(path[:i]) for i in range(1, len(path) + 1)]


def unit_pids(name):
    group = unit(name, "ControlGroup")["ControlGroup"]
    if not group:
        return []  # a unit that is down has none
    path = "/sys/fs/cgroup" + group
    pids = []
    for directory, _, files in os.walk(path):
        if "cgroup.procs" in files:
            with contextlib.suppress(OSError):
                with open(directory + "/cgroup.procs", encoding="ascii") as file:
                    pids += map(int, file.read().split())
    return pids
