#include "runner.h"
#include "cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A test build may let steps lie (",identity,self-test,"): they do nothing and say that it went
 * well. What catches it is the self-test and, behind that, the launcher's read-back. */
static bool honest(const char *name)
{
#ifdef RUNNER_LIE
        const char *at = strstr(RUNNER_LIE, name);

        return !at || at[-1] != ',' || at[strlen(name)] != ',';
#else
        (void) name;
        return true;
#endif
}

static int step_session(const struct runner_plan *plan)
{
        sigset_t none;

        /* Dispositions and mask survive exec(2); an ignored SIGPIPE or SIGCHLD changes programs. */
        for (int s = 1; s < NSIG; s++)
                if (s != SIGKILL && s != SIGSTOP)
                        (void) signal(s, SIG_DFL); /* 32 and 33 are libc's: EINVAL */
        (void) sigemptyset(&none);
        if (sigprocmask(SIG_SETMASK, &none, NULL) < 0)
                return -errno;
        if (setsid() < 0 && errno != EPERM) /* EPERM: leads its session already */
                return -errno;
        return 0;
}

/* Moves `fds` to `first`, first + 1, ...; the report socket goes behind them; all else is closed.
 * Sources are lifted out of the way first, or one of them might be overwritten as a target. */
static int place(const int *fds, size_t n, int first, int *report)
{
        int lifted[16];
        int end = first + (int) n;

        if (n > N_ELEMENTS(lifted))
                return -E2BIG;
        for (size_t i = 0; i < n; i++) {
                lifted[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 64);
                if (lifted[i] < 0)
                        return -errno;
        }
        *report = fcntl(*report, F_DUPFD_CLOEXEC, 64);
        if (*report < 0)
                return -errno;
        for (size_t i = 0; i < n; i++)
                if (dup2(lifted[i], first + (int) i) < 0)
                        return -errno;
        if (dup3(*report, end, O_CLOEXEC) < 0)
                return -errno;
        *report = end;
        if (syscall(SYS_close_range, (unsigned) end + 1, ~0u, 0u) < 0) /* Linux 5.9 */
                return -errno;
        return 0;
}

static int report_fd; /* this process's: a fresh child of a single purpose */

static int step_job_stdio(const struct runner_plan *plan)
{
        return place(plan->job_fds, 3, 0, &report_fd);
}

static int step_keeper_stdio(const struct runner_plan *plan)
{
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);

        if (null < 0)
                return -errno;
        for (int fd = 0; fd < 3; fd++)
                if (dup2(null, fd) < 0)
                        return -errno;
        return place(plan->keeper_fds, N_ELEMENTS(plan->keeper_fds), KEEPER_FD_CONTROL, &report_fd);
}

static int step_directory(const struct runner_plan *plan)
{
        int fd = runner_open_cwd(plan);

        if (fd < 0)
                return fd;
        if (fchdir(fd) < 0)
                return -errno;
        (void) close(fd);
        return 0;
}

static int step_identity(const struct runner_plan *plan)
{
        return runner_identity(plan->uid, plan->gid, plan->groups, plan->ngroups);
}

static int step_keeper_identity(const struct runner_plan *plan)
{
        return runner_identity(plan->keeper_uid, plan->keeper_gid, NULL, 0);
}

struct step {
        const char *name;
        int (*run)(const struct runner_plan *plan);
};

/* Each row says why it stands where it stands. */
static const struct step job_steps[] = {
        {"session", step_session},             /* setsid, signals: nothing inherited */
        {"inherited", runner_inherited},       /* keyring, oom score, nice, affinity, umask */
        {"limits", runner_limits},             /* raising a hard one needs SYS_RESOURCE */
        {"stdio", step_job_stdio},             /* and every other descriptor closed */
        {"directory", step_directory},         /* as root: the way there may be closed to the uid */
        {"securebits", runner_securebits},     /* needs SETPCAP */
        {"bounding-set", runner_bounding_set}, /* before identity: needs SETPCAP */
        {"identity", step_identity},           /* groups, then gid, then uid */
        {"capabilities", runner_capabilities}, /* what the change of uid left (capabilities(7)) */
        {"no-new-privs", runner_no_new_privs}, /* last of the drops: nothing above execs */
        {"self-test", runner_self_test},       /* what is forbidden must fail, or we do not exec */
};

static int step_fork_job(const struct runner_plan *plan);

static const struct step init_steps[] = {
        {"session", step_session},
        {"mounts", runner_mounts},   /* while CAP_SYS_ADMIN lasts; the job inherits them */
        {"fork-job", step_fork_job}, /* as root, into its own cgroup */
        {"keeper-limits", runner_limits},
        {"keeper-stdio", step_keeper_stdio},
        {"keeper-securebits", runner_securebits},
        {"keeper-bounding-set", runner_bounding_set},
        {"keeper-identity", step_keeper_identity},
        {"keeper-capabilities", runner_capabilities},
        {"keeper-no-new-privs", runner_no_new_privs},
};

const char *runner_step_name(uint32_t who, uint32_t step)
{
        size_t n = who == RUNNER_JOB ? N_ELEMENTS(job_steps) : N_ELEMENTS(init_steps);

        if (who > RUNNER_JOB || step > n)
                return "?";
        if (step == n)
                return who == RUNNER_JOB ? "exec" : "keeper-exec";
        return who == RUNNER_JOB ? job_steps[step].name : init_steps[step].name;
}

static void tell(enum runner_who who, size_t step, int number)
{
        const struct runner_report report = {.who = who, .step = (uint32_t) step, .number = number};

        /* Blocking: the launcher reads; a launcher that is gone makes this EPIPE and us useless. */
        (void) !send(report_fd, &report, sizeof report, MSG_NOSIGNAL);
}

static void run(const struct runner_plan *plan, enum runner_who who, const struct step *steps,
                size_t n)
{
        for (size_t i = 0; i < n; i++) {
                int r = honest(steps[i].name) ? steps[i].run(plan) : 0;

                if (r < 0) {
                        tell(who, i, -r);
                        _exit(EXIT_FAILURE);
                }
        }
        tell(who, n, 0); /* "exec": every step went well... */
}

static _Noreturn void job_main(const struct runner_plan *plan)
{
        run(plan, RUNNER_JOB, job_steps, N_ELEMENTS(job_steps));
        execve(plan->path, plan->argv, plan->envp);
        tell(RUNNER_JOB, N_ELEMENTS(job_steps), errno); /* ...and yet no program */
        _exit(EXIT_FAILURE);
}

static int step_fork_job(const struct runner_plan *plan)
{
        struct clone_args args = {.exit_signal = SIGCHLD};
        char digits[16], *p = digits + sizeof digits;
        long pid;

        if (plan->job_cgroup >= 0) {
                args.flags =
                        CLONE_INTO_CGROUP; /* Linux 5.7: born there, no migration, no RCU wait */
                args.cgroup = (uint64_t) plan->job_cgroup;
        }
        pid = syscall(SYS_clone3, &args, sizeof args);
        if (pid < 0)
                return -errno;
        if (pid == 0)
                job_main(plan);
        for (*--p = '\0'; pid > 0; pid /= 10) /* snprintf may allocate */
                *--p = (char) ('0' + pid % 10);
        memcpy(plan->pid_argument, p, (size_t) (digits + sizeof digits - p));
        return 0;
}

void runner_main(const struct runner_plan *plan)
{
        static char *const no_environment[] = {NULL};

        report_fd = plan->report;
        run(plan, RUNNER_INIT, init_steps, N_ELEMENTS(init_steps));
        execve(plan->keeper_path, plan->keeper_argv, no_environment);
        tell(RUNNER_INIT, N_ELEMENTS(init_steps), errno);
        _exit(EXIT_FAILURE);
}
