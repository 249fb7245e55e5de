# shellcheck shell=bash
# What enter, lab and vm share: a cgroup of their own that is killed and removed in the end, whatever
# happens, and the directories that a test needs from outside. To be sourced; needs $root.

skip() { echo "skip: $*" >&2; exit 77; }
alive() { grep -q '^State:[[:space:]]*[^ZX]' "/proc/$1/status" 2>/dev/null; } # kill -0 finds zombies too

# Sets machine_build and machine_codex (the directory that holds the real binary's bin/).
machine_inputs() {
        export MACHINE_BUILD=${CODEXD_BUILD:-$root/build} MACHINE_CODEX
        MACHINE_CODEX=$("$root/tests/lib/codex-path")
        MACHINE_CODEX=$(dirname "$(dirname "$MACHINE_CODEX")")
        if [ ! -f "$MACHINE_BUILD/build.ninja" ] || [ ! -x "$MACHINE_CODEX/bin/codex" ]; then
                echo "nothing is built yet: tests/lib/setup does" >&2
                exit 1
        fi
}

# Makes $machine_cgroup below the cgroup2 mount, with the one controller that hybrid hierarchies have
# left for version 2: without any, what goes wrong with controllers does not show.
machine_cgroup() {
        local hierarchy stale pids
        [ "$(id -u)" = 0 ] || skip "must be root"
        hierarchy=$(findmnt -nrt cgroup2 -o TARGET | head -n 1)
        [ -n "$hierarchy" ] || skip "no cgroup2 is mounted"
        [ -w "$hierarchy/cgroup.procs" ] || skip "cgroup2 is read-only"

        # What a killed one could not remove: its maker is gone. Only of our own PID namespace: in another
        # (a container on the same hierarchy) the number is somebody else's.
        pids=$(stat -Lc %i /proc/self/ns/pid)
        for stale in "$hierarchy"/codexd-test."$pids".*; do
                if [ ! -d "$stale" ] || alive "${stale##*.}"; then continue; fi
                [ ! -w "$stale/cgroup.kill" ] || echo 1 >"$stale/cgroup.kill" || :
                find "$stale" -depth -type d -exec rmdir {} + 2>/dev/null || :
        done

        machine_cgroup=$hierarchy/codexd-test.$pids.$$
        trap machine_clean_up EXIT
        trap 'exit 143' TERM
        trap 'exit 130' INT
        trap 'exit 129' HUP
        mkdir "$machine_cgroup"
        echo +hugetlb >"$hierarchy/cgroup.subtree_control" 2>/dev/null || :
}

# shellcheck disable=SC2317 # called by the trap
machine_clean_up() {
        local i
        trap '' INT TERM HUP
        echo 1 >"$machine_cgroup/cgroup.kill" 2>/dev/null || :
        [ -z "${machine_child-}" ] || wait "$machine_child" 2>/dev/null || :
        # A killed process leaves its cgroup a moment after its parent saw it end.
        for ((i = 0; i < 500; i++)); do
                find "$machine_cgroup" -depth -type d -exec rmdir {} + 2>/dev/null || :
                [ -d "$machine_cgroup" ] || return 0
                sleep 0.01
        done
        echo "$machine_cgroup could not be removed" >&2
}

# machine_start TOP LEAF COMMAND... - starts COMMAND in new namespaces; the root of the cgroup namespace is
# $machine_cgroup/TOP, and COMMAND in LEAF below that. Sets machine_child, which ends as COMMAND does and
# dies with this script.
machine_start() {
        local top=$machine_cgroup/$1 leaf=$machine_cgroup/$1/$2
        shift 2
        mkdir -p "$leaf"
        # In the background a shell ignores SIGINT and SIGQUIT, which would be inherited all the way down.
        # A cgroup namespace's root is where the process is when it is made; then it moves to its leaf.
        bash -c 'echo 0 >"$1/cgroup.procs"; shift; exec "$@"' _ "$top" \
                env --default-signal=INT,QUIT setpriv --pdeathsig KILL \
                unshare --mount --propagation private --pid --fork --kill-child --ipc --uts --net --cgroup \
                bash -c 'echo 0 >"$1/cgroup.procs"; shift; exec "$@"' _ "$leaf" \
                "$@" &
        machine_child=$!
}

# In the mount namespace of a machine: puts together, at /run/root, a copy-on-write view of this machine's root
# file system with codexd installed into it, and checkout/, build/ and codex/ in its /mnt.
machine_view() {
        local r=/run/root entry name
        # In a tmpfs over /run, which nothing needs any more.
        mount -t tmpfs -o mode=755 lab /run
        mkdir -p /run/{upper,work,root,mnt/{checkout,build,codex}}
        mount --rbind "$root" /run/mnt/checkout
        mount --bind "$MACHINE_BUILD" /run/mnt/build
        mount --bind "$MACHINE_CODEX" /run/mnt/codex
        mount -t overlay lab -o lowerdir=/,upperdir=/run/upper,workdir=/run/work $r
        sh "$root/tests/lib/lab-prep" $r
        # Everything that `meson install` puts in place; the host has none of it before.
        DESTDIR=$r meson install -C "$MACHINE_BUILD" --no-rebuild --quiet >/run/install.log 2>&1 ||
                { cat /run/install.log >&2; exit 1; }
        for entry in site-alpha:987 site-beta:986; do
                echo "${entry%:*}:x:${entry#*:}:${entry#*:}::/nonexistent:/usr/sbin/nologin" >>$r/etc/passwd
                echo "${entry%:*}:x:${entry#*:}:" >>$r/etc/group
        done
        # What a package's triggers would do.
        { systemd-sysusers --root=$r && journalctl --root=$r --update-catalog; } >/run/install.log 2>&1 ||
                { cat /run/install.log >&2; exit 1; }
        mount -t tmpfs -o mode=755 tmpfs $r/srv
        mount -t tmpfs -o mode=755 tmpfs $r/mnt
        for name in checkout build codex; do
                mkdir "$r/mnt/$name"
                mount --move "/run/mnt/$name" "$r/mnt/$name"
        done
}
