/* START: everything that can fail happens before clone3(2) or is reported by step; STARTED is told
 * only after the identity was read back. */
#include "codex-config.h"
#include "fd.h"
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PIPE_SIZE (256 * 1024)

struct start { /* what one start opens, until the child has it */
        struct workspace workspace;
        struct codex_command command;
        struct spool spool;
        int in[2], out[2], err[2], control[2], report[2], listen;
        char sessions[512], sqlite[512], config_toml[512], codex_home[512], keeper_path[512];
        char worker_argument[24], pid_argument[16];
        char *keeper_argv[4];
        struct runner_plan plan;
};

static void close_pair(int pair[2])
{
        pair[0] = fd_close(pair[0]);
        pair[1] = fd_close(pair[1]);
}

static void start_done(struct start *s)
{
        workspace_done(&s->workspace);
        spool_close(&s->spool);
        close_pair(s->in);
        close_pair(s->out);
        close_pair(s->err);
        close_pair(s->control);
        close_pair(s->report);
        s->listen = fd_close(s->listen);
}

int worker_failed(struct error *err, const char *step, int number)
{
        (void) error_set_errno(err, ERROR_SPAWN_FAILED, number, "starting a worker: %s", step);
        (void) snprintf(err->step, sizeof err->step, "%s", step);
        return -number;
}

/* ---- preparations, in the order in which they are undone by worker_abort ---- */

static int check_request(struct launcher *launcher, const struct wire_start *q,
                         const struct workspace *w, struct error *err)
{
        const struct settings *settings = config_settings(launcher->config);

        if (w->device != q->device || w->inode != q->inode)
                return error_set(
                        err, ERROR_WORKSPACE_INVALID,
                        "workspace %s is another directory than when the job was submitted",
                        q->workspace);
        if (w->uid != q->uid || w->gid != q->gid)
                return error_set(err, ERROR_WORKSPACE_INVALID,
                                 "workspace %s has another owner than when the job was submitted",
                                 q->workspace);
        if (memcmp(w->policy->digest, q->digest, sizeof q->digest) != 0)
                return error_set(err, ERROR_STALE_GENERATION,
                                 "the policy of workspace %s changed since the job was submitted",
                                 q->workspace);
        if (faccessat(AT_FDCWD, settings->codex_path, X_OK, AT_EACCESS) < 0)
                return error_set_errno(
                        err, errno == EACCES ? ERROR_CODEX_NOT_EXECUTABLE : ERROR_CODEX_MISSING,
                        errno, "codex.path %s", settings->codex_path);
        return 0;
}

/* One directory below a root-owned one, the tenant's, never followed through a symlink. */
static int make_owned(int parent, const char *name, uid_t uid, gid_t gid)
{
        _cleanup_fd_ int fd = -EBADF;

        if (mkdirat(parent, name, 0700) < 0 && errno != EEXIST)
                return -errno;
        fd = fd_open_beneath(parent, name, O_RDONLY | O_DIRECTORY, 0);
        if (fd < 0)
                return fd;
        if (fchmod(fd, 0700) < 0 || fchown(fd, uid, gid) < 0)
                return -errno;
        return TAKE_FD(fd);
}

static int prepare_home(struct launcher *launcher, struct start *s, const char *name)
{
        static const char *const kept[] = {"sessions", "sqlite"};
        _cleanup_fd_ int home = make_owned(launcher->homes_dir, name, 0, 0);

        if (home < 0)
                return home;
        for (size_t i = 0; i < N_ELEMENTS(kept); i++) {
                _cleanup_fd_ int fd = make_owned(home, kept[i], s->workspace.uid, s->workspace.gid);

                if (fd < 0)
                        return fd;
        }
        (void) snprintf(s->sessions, sizeof s->sessions, "%s/homes/%s/sessions",
                        launcher->options.state_dir, name);
        (void) snprintf(s->sqlite, sizeof s->sqlite, "%s/homes/%s/sqlite",
                        launcher->options.state_dir, name);
        return 0;
}

static int prepare_files(struct launcher *launcher, struct start *s, uint64_t worker)
{
        _cleanup_free_ char *toml = NULL;
        size_t n;
        int r;

        r = spool_make(launcher->workers_dir, worker, launcher->supervisor.gid, &s->spool);
        if (r < 0)
                return r;
        r = codex_config_toml(config_settings(launcher->config), &toml, &n);
        if (r < 0)
                return r;
        (void) snprintf(s->config_toml, sizeof s->config_toml,
                        "%s/workers/w-%" PRIu64 "/config.toml", launcher->options.state_dir,
                        worker);
        (void) snprintf(s->codex_home, sizeof s->codex_home, "%s/home", launcher->options.run_dir);
        return spool_write_file(s->spool.dir, "config.toml", 0444, toml, n);
}

static int keeper_listener(struct launcher *launcher, uint64_t worker)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        _cleanup_fd_ int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        if (fd < 0)
                return -errno;
        if (snprintf(address.sun_path, sizeof address.sun_path, "%s/keepers/%" PRIu64,
                     launcher->options.run_dir, worker) >= (int) sizeof address.sun_path)
                return -ENAMETOOLONG;
        (void) unlink(address.sun_path); /* of a worker that is gone: numbers are not used twice */
        if (bind(fd, (struct sockaddr *) &address, sizeof address) < 0 || listen(fd, 4) < 0)
                return -errno;
        return TAKE_FD(fd);
}

static int prepare_channels(struct launcher *launcher, struct start *s, uint64_t worker)
{
        const int on = 1;

        if (pipe2(s->in, O_CLOEXEC) < 0 || pipe2(s->out, O_CLOEXEC) < 0 ||
            pipe2(s->err, O_CLOEXEC) < 0 ||
            socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s->control) < 0 ||
            socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s->report) < 0)
                return -errno;
        /* The keeper's ends only: a program may not expect O_NONBLOCK on its stdio. */
        if (fcntl(s->in[1], F_SETFL, O_NONBLOCK) < 0 || fcntl(s->out[0], F_SETFL, O_NONBLOCK) < 0 ||
            fcntl(s->err[0], F_SETFL, O_NONBLOCK) < 0 ||
            setsockopt(s->report[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on) < 0)
                return -errno;
        (void) fcntl(s->out[1], F_SETPIPE_SZ,
                     PIPE_SIZE); /* fewer wake-ups; not worth failing for */
        s->listen = keeper_listener(launcher, worker);
        return s->listen < 0 ? s->listen : 0;
}

static int prepare(struct worker *w, const struct wire_start *q, struct start *s, struct error *err)
{
        struct launcher *launcher = w->launcher;
        const struct settings *settings = config_settings(launcher->config);
        uint64_t id = w->meta.worker;
        int r;

        r = prepare_home(launcher, s, q->workspace);
        if (r < 0)
                return worker_failed(err, "home", -r);
        r = prepare_files(launcher, s, id);
        if (r < 0)
                return worker_failed(err, "files", -r);
        w->spool_dir = fcntl(s->spool.dir, F_DUPFD_CLOEXEC, 3);
        r = cgroup_make(launcher->cgroup_root, id, &w->cgroup);
        if (r < 0)
                return worker_failed(err, "cgroup", -r);
        r = prepare_channels(launcher, s, id);
        if (r < 0)
                return worker_failed(err, "channels", -r);
        r = codex_command_make(&s->command, settings, &s->workspace, launcher->options.run_dir,
                               q->thread_id, s->workspace.policy->skip_git_repo_check);
        if (r < 0)
                return worker_failed(err, "command", -r);
        return 0;
}

static void make_plan(struct worker *w, const struct wire_start *q, struct start *s)
{
        struct launcher *launcher = w->launcher;

        (void) snprintf(s->keeper_path, sizeof s->keeper_path, "%s/codexd-keeper",
                        launcher->options.libexec_dir);
        (void) snprintf(s->worker_argument, sizeof s->worker_argument, "%" PRIu64, w->meta.worker);
        s->keeper_argv[0] = s->keeper_path;
        s->keeper_argv[1] = s->worker_argument;
        s->keeper_argv[2] = s->pid_argument;
        s->plan = (struct runner_plan){
                .uid = s->workspace.uid,
                .gid = s->workspace.gid,
                .keeper_uid = launcher->keeper.uid,
                .keeper_gid = launcher->keeper.gid,
                .ngroups = s->workspace.ngroups,
                .job_cgroup = w->cgroup.job,
                .report = s->report[1],
                .keeper_fds = {s->control[1], s->listen, s->spool.raw, s->spool.index,
                               s->spool.stderr_, s->spool.exit, s->in[1], s->out[0], s->err[0]},
                .job_fds = {s->in[0], s->out[1], s->err[1]},
                .workspace = s->workspace.policy->directory,
                .device = s->workspace.device,
                .inode = s->workspace.inode,
                .cwd = q->cwd,
                .run_dir = launcher->options.run_dir,
                .state_dir = launcher->options.state_dir,
                .config_dir = launcher->options.config_dir,
                .codex_home = s->codex_home,
                .sessions_dir = s->sessions,
                .sqlite_dir = s->sqlite,
                .config_toml = s->config_toml,
                .hide = {launcher->hide[0][0] ? launcher->hide[0] : NULL},
                .keeper_path = s->keeper_path,
                .keeper_argv = s->keeper_argv,
                .pid_argument = s->pid_argument,
                .path = config_settings(launcher->config)->codex_path,
                .argv = s->command.argv,
                .envp = s->command.envp,
        };
        memcpy(s->plan.groups, s->workspace.groups, sizeof s->plan.groups);
}

static int launch(struct worker *w, struct start *s, struct error *err)
{
        int pidfd = -EBADF;
        struct clone_args args = {
                .flags = CLONE_PIDFD | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS |
                         CLONE_INTO_CGROUP,
                .pidfd = (uint64_t) (uintptr_t) &pidfd,
                .exit_signal = SIGCHLD,
                .cgroup = (uint64_t) w->cgroup.keeper,
        };
        long pid = syscall(SYS_clone3, &args, sizeof args);

        if (pid < 0)
                return worker_failed(err, "clone", errno);
        if (pid == 0)
                runner_main(&s->plan);
        w->keeper = (pid_t) pid;
        w->keeper_pidfd = pidfd;
        w->ours = true;
        return 0;
}

void worker_start(struct launcher *launcher, const struct wire_start *q, int prompt)
{
        struct start s = {.workspace = {.dir = -EBADF},
                          .spool = SPOOL_NONE,
                          .in = {-EBADF, -EBADF},
                          .out = {-EBADF, -EBADF},
                          .err = {-EBADF, -EBADF},
                          .control = {-EBADF, -EBADF},
                          .report = {-EBADF, -EBADF},
                          .listen = -EBADF};
        const struct settings *settings = config_settings(launcher->config);
        struct error err = {0};
        struct worker *w = worker_new(launcher, ++launcher->last_worker);
        int r;

        if (!w) {
                (void) fd_close(prompt);
                super_violation(&launcher->super, "out of memory"); /* a fresh one asks again */
                return;
        }
        w->cookie = q->cookie;
        w->prompt = prompt;
        w->received_usec = launcher_now_usec(CLOCK_MONOTONIC);
        r = workspace_resolve(launcher, q->workspace, &q->wish, q->cwd, &s.workspace, &err);
        if (r == 0)
                r = check_request(launcher, q, &s.workspace, &err);
        if (r == 0) {
                w->meta.job = q->job;
                w->meta.generation = launcher->generation;
                w->meta.device = q->device;
                w->meta.inode = q->inode;
                w->meta.uid = s.workspace.uid;
                w->meta.gid = s.workspace.gid;
                memcpy(w->meta.digest, s.workspace.policy->digest, sizeof w->meta.digest);
                memcpy(w->meta.workspace, q->workspace, sizeof w->meta.workspace);
                (void) snprintf(w->meta.codex_version, sizeof w->meta.codex_version, "%s",
                                settings->codex_version ? settings->codex_version : "");
                memcpy(w->groups, s.workspace.groups, sizeof w->groups);
                w->ngroups = s.workspace.ngroups;
                r = prepare(w, q, &s, &err);
        }
        if (r == 0) {
                make_plan(w, q, &s);
                r = launch(w, &s, &err);
        }
        if (r < 0) {
                start_done(&s);
                worker_abort(w, &err);
                return;
        }
        w->control = TAKE_FD(s.control[0]);
        w->report = TAKE_FD(s.report[0]);
        start_done(&s);
        worker_watch_runner(w);
}
