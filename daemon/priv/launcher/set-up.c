/* What must stand before the loop runs: accounts, the listening socket, fewer capabilities,
 * directories, locks and the workers' cgroup. Whatever is missing is named, and then there is no
 * daemon. */
#include "cgroup2.h"
#include "fd.h"
#include "launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#define WATCHDOG_DEFAULT_USEC 90000000u

/* What the launcher keeps, and for what. Everything else leaves the bounding set too, so that
 * nothing it ever starts can have it. */
static const cap_value_t kept[] = {
        CAP_SYS_ADMIN,        /* clone3 with namespaces, mounts */
        CAP_SYS_CHROOT,       /* pivot_root of sandboxed workers */
        CAP_SETUID,           /* the tenant's uid */
        CAP_SETGID,           /* the tenant's gid and groups */
        CAP_SETPCAP,          /* emptying bounding sets, securebits */
        CAP_SYS_PTRACE,       /* reading /proc/PID/ns of other uids */
        CAP_KILL,             /* signals to workers */
        CAP_DAC_READ_SEARCH,  /* workspaces are 0750 and not root's */
        CAP_DAC_OVERRIDE,     /* making directories for tenants */
        CAP_CHOWN,            /* and giving them away */
        CAP_FOWNER,           /* and setting their modes */
        CAP_NET_ADMIN,        /* bringing up lo in a worker's network namespace */
        CAP_NET_BIND_SERVICE, /* listeners below 1024 in there */
        CAP_SYS_RESOURCE,     /* rlimits, where the host lets us have it */
};

static int cut_capabilities(void)
{
        cap_t caps = cap_init();
        int r = 0;

        if (!caps)
                return -ENOMEM;
        for (cap_value_t c = 0; CAP_IS_SUPPORTED(c); c++) {
                bool keep = false;

                for (size_t i = 0; i < N_ELEMENTS(kept); i++)
                        keep |= kept[i] == c;
                if (!keep && cap_get_bound(c) > 0 && cap_drop_bound(c) < 0)
                        r = -errno;
        }
        for (size_t i = 0; i < N_ELEMENTS(kept); i++) {
                if (cap_get_bound(kept[i]) <= 0) {
                        if (kept[i] == CAP_SYS_RESOURCE)
                                continue; /* containers often lack it; limits then stay below ours
                                           */
                        continue;         /* the step that needs it will say so, by name */
                }
                if (cap_set_flag(caps, CAP_PERMITTED, 1, &kept[i], CAP_SET) < 0 ||
                    cap_set_flag(caps, CAP_EFFECTIVE, 1, &kept[i], CAP_SET) < 0)
                        r = -errno;
        }
        if (r == 0 && cap_set_proc(caps) < 0)
                r = -errno;
        (void) cap_free(caps);
        return r;
}

static int find_account(const char *name, struct account *ret, struct error *err)
{
        const struct passwd *p = getpwnam(name);

        if (!p || p->pw_uid == 0 || p->pw_gid == 0)
                return error_set(err, ERROR_CONFIG_INVALID, "user %s %s; systemd-sysusers makes it",
                                 name, p ? "is root" : "does not exist");
        ret->uid = p->pw_uid;
        ret->gid = p->pw_gid;
        return 0;
}

/* A directory of root's own below a root-owned one; what is there keeps its content. */
static int own_directory(int parent, const char *name, mode_t mode, uid_t uid, gid_t gid)
{
        _cleanup_fd_ int fd = -EBADF;

        if (mkdirat(parent, name, mode) < 0 && errno != EEXIST)
                return -errno;
        fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        if (fchown(fd, uid, gid) < 0 || fchmod(fd, mode) < 0)
                return -errno;
        return TAKE_FD(fd);
}

static int lock_file(int dir, const char *name)
{
        _cleanup_fd_ int fd = openat(dir, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);

        if (fd < 0)
                return -errno;
        return flock(fd, LOCK_EX | LOCK_NB) < 0 ? -errno : TAKE_FD(fd);
}

static int open_directories(struct launcher *l, struct error *err)
{
        const struct options *o = &l->options;
        _cleanup_fd_ int run = own_directory(AT_FDCWD, o->run_dir, 0755, 0, 0), fd = -EBADF;
        const char *what = o->run_dir;
        int r = run;

        if (r >= 0) {
                l->lock = r = lock_file(run, "codexd.lock");
                if (r == -EWOULDBLOCK)
                        return error_set(err, ERROR_INTERNAL, "another codexd runs on %s",
                                         o->run_dir);
        }
        if (r >= 0)
                r = fd = own_directory(run, "keepers", 0700, 0, 0);
        if (r >= 0) {
                what = o->state_dir;
                l->state = r = own_directory(AT_FDCWD, o->state_dir, 0750, 0, l->supervisor.gid);
        }
        if (r >= 0) {
                l->state_lock = r = lock_file(l->state, "codexd.lock");
                if (r == -EWOULDBLOCK)
                        return error_set(err, ERROR_INTERNAL, "another codexd runs on %s",
                                         o->state_dir);
        }
        if (r >= 0)
                l->workers_dir = r = own_directory(l->state, "workers", 0750, 0, l->supervisor.gid);
        if (r >= 0)
                l->homes_dir = r = own_directory(l->state, "homes", 0700, 0, 0);
        if (r >= 0) {
                (void) fd_close(fd);
                r = fd =
                        own_directory(l->state, "jobs", 0700, l->supervisor.uid, l->supervisor.gid);
        }
        return r < 0 ? error_set_errno(err, ERROR_INTERNAL, -r, "preparing %s", what) : 0;
}

static int open_cgroup(struct launcher *l, struct error *err)
{
        int r = 0;

        if (l->options.workers_cgroup)
                (void) snprintf(l->cgroup_path, sizeof l->cgroup_path, "%s",
                                l->options.workers_cgroup);
        else
                r = cgroup2_directory(CGROUP2_WORKERS, l->cgroup_path, sizeof l->cgroup_path);
        if (r < 0)
                return error_set_errno(err, ERROR_INTERNAL, -r, "cgroup v2 is not mounted");
        l->cgroup_root = open(l->cgroup_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (l->cgroup_root < 0)
                return error_set_errno(
                        err, ERROR_INTERNAL, errno,
                        "the workers' cgroup %s (is codexd-workers.service running?)",
                        l->cgroup_path);
        if (faccessat(l->cgroup_root, "cgroup.procs", F_OK, 0) < 0)
                return error_set_errno(err, ERROR_INTERNAL, errno, "%s is no cgroup v2",
                                       l->cgroup_path);
        return 0;
}

static int make_listener(struct launcher *l, struct error *err)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        const char *path = l->options.listen;

        if (strlen(path) >= sizeof address.sun_path)
                return error_set(err, ERROR_CONFIG_INVALID, "--listen: the path is too long");
        strcpy(address.sun_path, path);
        l->listen = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        (void) unlink(path);
        if (l->listen < 0 || bind(l->listen, (struct sockaddr *) &address, sizeof address) < 0 ||
            chown(path, 0, l->supervisor.gid) < 0 || chmod(path, 0660) < 0 ||
            listen(l->listen, SOMAXCONN) < 0)
                return error_set_errno(err, ERROR_INTERNAL, errno, "listening on %s", path);
        return 0;
}

/* Exactly one listening stream socket, from systemd or by --listen. */
static int open_listener(struct launcher *l, struct error *err)
{
        struct sockaddr_un address;
        socklen_t size = sizeof address;
        int n = sd_listen_fds(1);

        if (n > 1)
                return error_set(err, ERROR_CONFIG_INVALID,
                                 "%d sockets were passed, expected one (codexd.socket)", n);
        if (n == 1) {
                l->listen = SD_LISTEN_FDS_START;
                if (sd_is_socket_unix(l->listen, SOCK_STREAM, 1, NULL, 0) <= 0)
                        return error_set(err, ERROR_CONFIG_INVALID,
                                         "the socket passed is no listening AF_UNIX stream socket");
                if (fcntl(l->listen, F_SETFL, O_NONBLOCK) < 0)
                        return error_set_errno(err, ERROR_INTERNAL, errno, "the listening socket");
        } else if (l->options.listen) {
                int r = make_listener(l, err);

                if (r < 0)
                        return r;
        } else {
                return error_set(err, ERROR_CONFIG_INVALID,
                                 "no socket: start codexd.socket, or give --listen=PATH");
        }
        memset(&address, 0, sizeof address);
        if (getsockname(l->listen, (struct sockaddr *) &address, &size) == 0 &&
            address.sun_path[0] == '/' &&
            (strncmp(address.sun_path, l->options.run_dir, strlen(l->options.run_dir)) != 0 ||
             address.sun_path[strlen(l->options.run_dir)] != '/'))
                (void) snprintf(l->hide[0], sizeof l->hide[0], "%.*s",
                                (int) sizeof address.sun_path, address.sun_path);
        return 0;
}

int launcher_set_up(struct launcher *l, struct error *err)
{
        uint64_t usec = 0;
        int r;

        if (geteuid() != 0)
                return error_set(err, ERROR_NOT_PERMITTED, "codexd must be started as root");
        r = find_account(l->options.supervisor_user, &l->supervisor, err);
        if (r == 0)
                r = find_account(l->options.keeper_user, &l->keeper, err);
        if (r == 0 && (l->supervisor.uid == l->keeper.uid))
                r = error_set(err, ERROR_CONFIG_INVALID,
                              "supervisor and keeper must be different users");
        if (r == 0)
                r = open_listener(l, err);
        if (r == 0) {
                r = cut_capabilities();
                if (r < 0)
                        (void) error_set_errno(err, ERROR_INTERNAL, -r, "cutting the capabilities");
        }
        if (r == 0)
                r = open_directories(l, err);
        if (r == 0)
                r = open_cgroup(l, err);
        if (r < 0)
                return r;
        l->watchdog_usec = sd_watchdog_enabled(0, &usec) > 0 ? usec : WATCHDOG_DEFAULT_USEC;
        r = reporter_new(&l->reporter, "codexd", 1024);
        return r < 0 ? error_set_errno(err, ERROR_INTERNAL, -r, "the journal's thread") : 0;
}
