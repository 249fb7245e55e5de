/* The worker's mount namespace in danger-full-access: the host's tree with a /proc, /tmp and
 * /dev/shm of its own, codexd's directories covered, and a fresh CODEX_HOME. */
#include "cleanup.h"
#include "fd.h"
#include "runner.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static int cover(const char *path, const char *options, unsigned long flags)
{
        return mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV | flags, options) < 0 ? -errno
                                                                                        : 0;
}

/* Binds one file or directory over another inside CODEX_HOME. Both were made by root below
 * root-owned directories, and are opened without following a symlink: /proc/self/fd names exactly
 * them. */
static int bind_over(const char *from, const char *to, bool read_only)
{
        _cleanup_fd_ int source = fd_open_absolute(from, O_PATH), target = -EBADF;
        char source_path[32], target_path[32];

        if (source < 0)
                return source;
        target = fd_open_absolute(to, O_PATH);
        if (target < 0)
                return target;
        (void) snprintf(source_path, sizeof source_path, "/proc/self/fd/%d", source);
        (void) snprintf(target_path, sizeof target_path, "/proc/self/fd/%d", target);
        if (mount(source_path, target_path, NULL, MS_BIND, NULL) < 0)
                return -errno;
        /* A second call, because MS_BIND alone ignores other flags (mount(2)); by the path, because
         * the descriptor still names what lies below the new mount. */
        if (mount(NULL, to, NULL,
                  MS_REMOUNT | MS_BIND | MS_NOSUID | MS_NODEV |
                          (read_only ? MS_RDONLY | MS_NOEXEC : 0),
                  NULL) < 0)
                return -errno;
        return 0;
}

static int codex_home(const struct runner_plan *plan)
{
        char path[512];
        int r;

        /* The worker's run directory: a tmpfs that hides the host's, read-only once it is
         * furnished. */
        r = cover(plan->run_dir, "mode=0755,size=1m", 0);
        if (r < 0)
                return r;
        if (mkdir(plan->codex_home, 0700) < 0)
                return -errno;
        r = cover(plan->codex_home, "mode=0700,size=256m", 0);
        if (r < 0)
                return r;
        static const char *const directories[] = {"sessions", "sqlite"};
        for (size_t i = 0; i < N_ELEMENTS(directories); i++) {
                (void) snprintf(path, sizeof path, "%s/%s", plan->codex_home, directories[i]);
                if (mkdir(path, 0700) < 0)
                        return -errno;
                r = bind_over(i == 0 ? plan->sessions_dir : plan->sqlite_dir, path, false);
                if (r < 0)
                        return r;
        }
        (void) snprintf(path, sizeof path, "%s/config.toml", plan->codex_home);
        _cleanup_fd_ int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
        if (fd < 0)
                return -errno;
        r = bind_over(plan->config_toml, path, true);
        if (r < 0)
                return r;
        /* Codex writes beside them; a mount point can be neither removed nor renamed (EBUSY). */
        if (chown(plan->codex_home, plan->uid, plan->gid) < 0)
                return -errno;
        return mount(NULL, plan->run_dir, NULL,
                     MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV, NULL) < 0
                       ? -errno
                       : 0;
}

int runner_mounts(const struct runner_plan *plan)
{
        static const char *const private[] = {"/tmp", "/dev/shm"};
        int r;

        /* Slave: what the host unmounts goes here too, and nothing of ours goes there. */
        if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
                return -errno;
        if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
                return -errno;
        for (size_t i = 0; i < N_ELEMENTS(private); i++) {
                r = cover(private[i], "mode=1777", 0);
                if (r < 0)
                        return r;
        }
        /* POSIX queues belong to the IPC namespace that mounted them (mq_overview(7)). */
        if (mount("mqueue", "/dev/mqueue", "mqueue", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0 &&
            errno != ENOENT)
                return -errno;
        for (size_t i = 0; i < N_ELEMENTS(plan->hide) && plan->hide[i]; i++)
                if (mount("/dev/null", plan->hide[i], NULL, MS_BIND, NULL) < 0 && errno != ENOENT)
                        return -errno;
        r = codex_home(plan);
        if (r < 0)
                return r;
        /* After the binds: what they need lies in there. */
        r = cover(plan->state_dir, "mode=0755,size=64k", MS_RDONLY);
        if (r < 0)
                return r;
        return cover(plan->config_dir, "mode=0755,size=64k", MS_RDONLY);
}

/* Again by path, but in this mount namespace, and only if it is the very directory that was decided
 * about: what was swapped in between is refused (ESTALE), and so is one that a private mount hides.
 */
int runner_open_cwd(const struct runner_plan *plan)
{
        _cleanup_fd_ int fd = fd_open_absolute(plan->workspace, O_RDONLY | O_DIRECTORY);
        struct stat st;

        if (fd < 0)
                return fd;
        if (fstat(fd, &st) < 0)
                return -errno;
        if (st.st_dev != plan->device || st.st_ino != plan->inode)
                return -ESTALE;
        if (plan->cwd[0])
                return fd_open_beneath(fd, plan->cwd, O_RDONLY | O_DIRECTORY, 0);
        return TAKE_FD(fd);
}
