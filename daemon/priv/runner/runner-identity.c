/* Everything that is dropped, reset or emptied, and the proof that it was. */
#include "cleanup.h"
#include "runner.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <linux/securebits.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What exec(2) and fork(2) hand down beside descriptors and signals. */
int runner_inherited(const struct runner_plan *plan)
{
        const struct sched_param normal = {.sched_priority = 0};
        static cpu_set_t all; /* 1024 CPUs */
        int fd;

        /* A new anonymous session keyring, or the launcher's keys are the tenant's (keyrings(7)).
         * A kernel without keyrings has none to leak. */
        if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0 && errno != ENOSYS)
                return -errno;
        /* The daemon is protected from the OOM killer; the work is not. Never lower it: that needs
         * SYS_RESOURCE. */
        fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        if (write(fd, "500", 3) != 3) {
                int r = -errno;

                (void) close(fd);
                return r;
        }
        (void) close(fd);
        if (sched_setscheduler(0, SCHED_OTHER, &normal) < 0 || setpriority(PRIO_PROCESS, 0, 0) < 0)
                return -errno;
        memset(&all, 0xff, sizeof all);
        if (sched_setaffinity(0, sizeof all, &all) < 0)
                return -errno;
        (void) umask(022);
        if (prctl(PR_SET_PDEATHSIG, 0) < 0)
                return -errno;
        return 0;
}

int runner_limits(const struct runner_plan *plan)
{
        /* NPROC unlimited: it counts per uid across namespaces and would starve the tenant's own
         * services; the cgroup limits (pids.max). */
        static const struct {
                int which;
                rlim_t soft, hard;
        } limits[] = {
                {RLIMIT_CORE, 0, 0},
                {RLIMIT_NOFILE, 1024, 524288},
                {RLIMIT_NPROC, RLIM_INFINITY, RLIM_INFINITY},
                {RLIMIT_STACK, 8 << 20, RLIM_INFINITY},
                {RLIMIT_MEMLOCK, 8 << 20, 8 << 20},
                {RLIMIT_AS, RLIM_INFINITY, RLIM_INFINITY},
                {RLIMIT_DATA, RLIM_INFINITY, RLIM_INFINITY},
                {RLIMIT_FSIZE, RLIM_INFINITY, RLIM_INFINITY},
                {RLIMIT_CPU, RLIM_INFINITY, RLIM_INFINITY},
                {RLIMIT_RSS, RLIM_INFINITY, RLIM_INFINITY},
                {RLIMIT_LOCKS, RLIM_INFINITY, RLIM_INFINITY},
                {RLIMIT_MSGQUEUE, 819200, 819200},
                {RLIMIT_NICE, 0, 0},
                {RLIMIT_RTPRIO, 0, 0},
        };

        for (size_t i = 0; i < N_ELEMENTS(limits); i++) {
                struct rlimit now, want = {limits[i].soft, limits[i].hard};

                if (setrlimit((__rlimit_resource_t) limits[i].which, &want) == 0)
                        continue;
                /* Above the inherited hard limit needs SYS_RESOURCE, which a container may lack:
                 * then as much as there is. */
                if (errno != EPERM || getrlimit((__rlimit_resource_t) limits[i].which, &now) < 0)
                        return -errno;
                want.rlim_max = now.rlim_max;
                want.rlim_cur = MIN(limits[i].soft, now.rlim_max);
                if (setrlimit((__rlimit_resource_t) limits[i].which, &want) < 0)
                        return -errno;
        }
        return 0;
}

int runner_securebits(const struct runner_plan *plan)
{
        /* uid 0 would give no capability, none can be kept over a change of uid, and no ambient one
         * raised; and that is final. NO_SETUID_FIXUP stays off: leaving uid 0 clears the sets. */
        unsigned long bits = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP_LOCKED |
                             SECBIT_KEEP_CAPS_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE |
                             SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;

        return prctl(PR_SET_SECUREBITS, bits) < 0 ? -errno : 0;
}

int runner_bounding_set(const struct runner_plan *plan)
{
        for (unsigned long cap = 0; cap < 64; cap++) {
                int r = prctl(PR_CAPBSET_READ, cap);

                if (r < 0) /* EINVAL: past the last one this kernel knows */
                        return errno == EINVAL && cap > CAP_SYS_RESOURCE ? 0 : -errno;
                if (r > 0 && prctl(PR_CAPBSET_DROP, cap) < 0)
                        return -errno;
        }
        return 0;
}

int runner_identity(uid_t uid, gid_t gid, const gid_t *groups, size_t ngroups)
{
        uid_t r, e, s;
        gid_t rg, eg, sg;

        if (uid == 0 || uid == (uid_t) -1 || gid == 0 || gid == (gid_t) -1)
                return -EPERM; /* the last place to say so */
        /* The system calls, not libc's functions: those change every thread that libc knows of
         * (nptl(7)), and in a child of a bare clone3(2) it knows the launcher's. */
        if (syscall(SYS_setgroups, ngroups, groups) < 0 ||
            syscall(SYS_setresgid, gid, gid, gid) < 0 || syscall(SYS_setresuid, uid, uid, uid) < 0)
                return -errno;
        if (getresuid(&r, &e, &s) < 0 || getresgid(&rg, &eg, &sg) < 0)
                return -errno;
        if (r != uid || e != uid || s != uid || rg != gid || eg != gid || sg != gid)
                return -EPERM;
        return 0;
}

int runner_capabilities(const struct runner_plan *plan)
{
        struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
        const struct __user_cap_data_struct none[2] = {{0}};

        if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
                return -errno;
        return syscall(SYS_capset, &header, none) < 0 ? -errno : 0;
}

int runner_no_new_privs(const struct runner_plan *plan)
{
        return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0;
}

/* Tries what must not work. -ENOTRECOVERABLE: it worked, so a step above did not do what it said.
 */
int runner_self_test(const struct runner_plan *plan)
{
        struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
        struct __user_cap_data_struct all[2] = {{~0u, ~0u, ~0u}, {~0u, ~0u, ~0u}}, now[2];
        int fd;

        if (syscall(SYS_setresuid, -1, 0, -1) == 0 || syscall(SYS_setresgid, -1, 0, -1) == 0 ||
            syscall(SYS_setgroups, 0, NULL) == 0)
                return -ENOTRECOVERABLE;
        if (syscall(SYS_capset, &header, all) == 0 || syscall(SYS_capget, &header, now) < 0)
                return -ENOTRECOVERABLE;
        for (int i = 0; i < 2; i++)
                if (now[i].effective || now[i].permitted || now[i].inheritable)
                        return -ENOTRECOVERABLE;
        if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1 ||
            prctl(PR_CAPBSET_READ, CAP_SYS_ADMIN) != 0)
                return -ENOTRECOVERABLE;
        fd = open(plan->config_toml, O_WRONLY | O_CLOEXEC); /* root's: on the host and as bound */
        if (fd >= 0)
                return -ENOTRECOVERABLE;
        if (getppid() != 1) /* the keeper: else this is not the namespace that was meant */
                return -ENOTRECOVERABLE;
        return 0;
}
