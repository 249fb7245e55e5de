/* What an earlier launcher left: keepers that go on, workers that ended meanwhile, and cgroups of
 * starts that never became a worker. A worker that cannot be reached again is killed, and said. */
#include "fd.h"
#include "log.h"
#include "worker.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

static int connect_keeper(struct launcher *launcher, uint64_t worker)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        struct keeper_message hello = {
                .magic = WIRE_KEEPER_MAGIC,
                .version = WIRE_KEEPER_VERSION,
                .type = KEEPER_HELLO,
                .size = sizeof hello,
                .worker = worker,
        };
        _cleanup_fd_ int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

        if (fd < 0)
                return -errno;
        (void) snprintf(address.sun_path, sizeof address.sun_path, "%s/keepers/%" PRIu64,
                        launcher->options.run_dir, worker);
        if (connect(fd, (struct sockaddr *) &address, sizeof address) < 0)
                return -errno;
        return fd_send(fd, &hello, sizeof hello, NULL, 0) < 0 ? -EPIPE : TAKE_FD(fd);
}

/* Opened first, then looked for in the job's cgroup: a pid that was used again since is not in
 * there. */
static void adopt_codex(struct worker *w)
{
        pid_t pid = (pid_t) w->meta.codex_pid;
        int fd = pid > 0 ? (int) syscall(SYS_pidfd_open, pid, 0) : -EBADF;

        if (fd >= 0 && w->cgroup.job >= 0 && cgroup_holds(w->cgroup.job, pid)) {
                w->codex = pid;
                w->codex_pidfd = fd;
        } else {
                (void) fd_close(fd);
        }
}

static int adopt_keeper(struct worker *w)
{
        int r;

        if (w->cgroup.keeper < 0)
                return -ENOENT;
        w->keeper = cgroup_first_pid(w->cgroup.keeper);
        if (w->keeper <= 0)
                return -ESRCH;
        r = (int) syscall(SYS_pidfd_open, w->keeper, 0);
        if (r < 0)
                return -errno;
        w->keeper_pidfd = r;
        adopt_codex(w);
        w->control = connect_keeper(w->launcher, w->meta.worker);
        return w->control < 0 ? w->control : 0;
}

static void adopt(void *data, uint64_t id)
{
        struct launcher *launcher = data;
        struct spool_meta meta;
        struct worker *w;
        int r = spool_read_meta(launcher->workers_dir, id, &meta);

        if (r == -ENOENT)
                return; /* released: history, until retention drops it */
        if (r < 0) {
                log_error("w-%" PRIu64 ": its record is damaged and set aside: %s", id,
                          strerror(-r));
                return;
        }
        w = worker_new(launcher, id);
        if (!w) {
                log_error("w-%" PRIu64 ": out of memory", id);
                return;
        }
        w->meta = meta;
        if (cgroup_open(launcher->cgroup_root, id, &w->cgroup) < 0)
                w->cgroup = (struct cgroup) CGROUP_NONE;
        worker_set_state(w, WORKER_RUNNING);
        r = adopt_keeper(w);
        if (r == 0) {
                struct report_fields f = {0};

                worker_watch_control(w);
                worker_watch_keeper(w);
                report_add(&f, "CODEX_WORKER", "%" PRIu64, id);
                report_add(&f, "CODEX_JOB", "%" PRIu64, meta.job);
                report_add(&f, "CODEX_WORKSPACE", "%s", meta.workspace);
                report(launcher->reporter, REPORT_WORKER_ADOPTED, f.fields,
                       "Worker %" PRIu64 " of job %" PRIu64 " goes on under this codexd", id,
                       meta.job);
                return;
        }
        if (w->keeper_pidfd >= 0) { /* alive, but it does not answer */
                w->flags |= WIRE_WORKER_ADOPT_FAILED;
                (void) syscall(SYS_pidfd_send_signal, w->keeper_pidfd, SIGKILL, NULL, 0);
                worker_watch_keeper(w);
                return;
        }
        worker_end(w); /* ended meanwhile: with its exit record, or lost */
}

/* A start that an earlier launcher did not bring to its record, or a worker that could not be
 * killed in its time: it ends like one whose start failed, and takes its slot until its cgroup is
 * gone. */
static void sweep_cgroup(struct launcher *launcher, uint64_t id)
{
        struct worker *w = worker_find(launcher, id);
        pid_t keeper;

        if (w)
                return;
        w = worker_new(launcher, id);
        if (!w || cgroup_open(launcher->cgroup_root, id, &w->cgroup) < 0) { /* gone meanwhile */
                (void) worker_free(w);
                (void) cgroup_remove(launcher->cgroup_root, id);
                return;
        }
        log_warning("w-%" PRIu64 ": a cgroup without a record: killed", id);
        w->aborted = true;
        w->history = spool_has_output(launcher->workers_dir, id);
        keeper = w->cgroup.keeper < 0 ? 0 : cgroup_first_pid(w->cgroup.keeper);
        if (keeper > 0)
                (void) kill(keeper, SIGKILL);
        worker_end(w);
}

int worker_adopt_all(struct launcher *launcher, struct error *err)
{
        int fd, r;
        DIR *dir;

        r = spool_scan(launcher->workers_dir, adopt, launcher, &launcher->last_worker);
        if (r < 0)
                return error_set_errno(err, ERROR_INTERNAL, -r, "reading %s/workers",
                                       launcher->options.state_dir);
        fd = openat(launcher->cgroup_root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        dir = fd < 0 ? NULL : fdopendir(fd);
        if (!dir)
                return error_set_errno(err, ERROR_INTERNAL, errno, "reading %s",
                                       launcher->cgroup_path);
        for (struct dirent *entry; (entry = readdir(dir));) {
                uint64_t id;

                if (sscanf(entry->d_name, "w-%" SCNu64, &id) != 1)
                        continue;
                launcher->last_worker = MAX(launcher->last_worker, id);
                sweep_cgroup(launcher, id);
        }
        (void) closedir(dir);
        return 0;
}
