#include "fd.h"
#include "launcher.h"
#include "log.h"
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#define EXIT_CONFIG           78 /* sysexits.h: EX_CONFIG */
#define WATCHDOG_DEFAULT_USEC 90000000u
#define STOP_TIMEOUT_S        5.

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
        const char *unit = "/codexd.slice/codexd-workers.service";
        int r = 0;

        if (l->options.workers_cgroup)
                (void) snprintf(l->cgroup_path, sizeof l->cgroup_path, "%s",
                                l->options.workers_cgroup);
        else
                r = cgroup_find(unit, l->cgroup_path, sizeof l->cgroup_path);
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

/* ---- signals ---- */

static void on_stop(struct ev_loop *loop, ev_signal *signal, int revents)
{
        struct launcher *l = ev_userdata(loop);

        if (l->stopping)
                return;
        l->stopping = true;
        (void) sd_notify(0, "STOPPING=1");
        report(l->reporter, REPORT_DAEMON_STOPPING, NULL,
               "codexd is stopping; %u running turns go on", l->nworkers);
        super_stop(&l->super);
        (void) alarm((
                unsigned) STOP_TIMEOUT_S); /* a supervisor that hangs: systemd would kill us both */
}

static void on_hup(struct ev_loop *loop, ev_signal *signal, int revents)
{
        struct launcher *l = ev_userdata(loop);
        struct error err = {0};

        (void) sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu",
                          (unsigned long long) launcher_now_usec(CLOCK_MONOTONIC));
        (void) config_load(l, &err); /* a failure was reported; the old one stays in force */
        (void) sd_notify(0, "READY=1");
}

static void watch_signals(struct launcher *l)
{
        ev_signal_init(&l->sigterm, on_stop, SIGTERM);
        ev_signal_start(l->loop, &l->sigterm);
        ev_signal_init(&l->sigint, on_stop, SIGINT);
        ev_signal_start(l->loop, &l->sigint);
        ev_signal_init(&l->sighup, on_hup, SIGHUP);
        ev_signal_start(l->loop, &l->sighup);
}

/* ---- start ---- */

static void usage(FILE *to)
{
        (void) fputs(
                "codexd [OPTION...]\n\n"
                "Supervises OpenAI Codex for many tenants. Usually started by codexd.service.\n\n"
                "  --config-dir=DIR       codexd.json and workspaces.d (default /etc/codexd)\n"
                "  --state-dir=DIR        jobs, workers, homes (default /var/lib/codexd)\n"
                "  --run-dir=DIR          sockets (default /run/codexd)\n"
                "  --libexec-dir=DIR      the other executables\n"
                "  --workers-cgroup=DIR   where workers live (default: codexd-workers.service's)\n"
                "  --listen=PATH          the clients' socket, where systemd passes none\n"
                "  --supervisor-user=NAME (default codexd)\n"
                "  --keeper-user=NAME     (default codexd-keeper)\n"
                "  --debug                say more on stderr\n"
                "  --version, --help\n",
                to);
}

static int parse_options(int argc, char **argv, struct options *o)
{
        const struct option options[] = {
                {"config-dir", required_argument, NULL, 'c'},
                {"state-dir", required_argument, NULL, 's'},
                {"run-dir", required_argument, NULL, 'r'},
                {"libexec-dir", required_argument, NULL, 'x'},
                {"workers-cgroup", required_argument, NULL, 'g'},
                {"listen", required_argument, NULL, 'l'},
                {"supervisor-user", required_argument, NULL, 'u'},
                {"keeper-user", required_argument, NULL, 'k'},
                {"debug", no_argument, NULL, 'd'},
                {"version", no_argument, NULL, 'V'},
                {"help", no_argument, NULL, 'h'},
                {0},
        };

        for (int c; (c = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
                switch (c) {
                case 'c':
                        o->config_dir = optarg;
                        break;
                case 's':
                        o->state_dir = optarg;
                        break;
                case 'r':
                        o->run_dir = optarg;
                        break;
                case 'x':
                        o->libexec_dir = optarg;
                        break;
                case 'g':
                        o->workers_cgroup = optarg;
                        break;
                case 'l':
                        o->listen = optarg;
                        break;
                case 'u':
                        o->supervisor_user = optarg;
                        break;
                case 'k':
                        o->keeper_user = optarg;
                        break;
                case 'd':
                        log_set_max_level(LOG_DEBUG);
                        break;
                case 'V':
                        (void) puts("codexd " CODEXD_VERSION);
                        exit(EXIT_SUCCESS);
                case 'h':
                        usage(stdout);
                        exit(EXIT_SUCCESS);
                default:
                        usage(stderr);
                        return -EINVAL;
                }
        }
        if (optind < argc) {
                (void) fprintf(stderr, "codexd: unexpected argument %s\n", argv[optind]);
                return -EINVAL;
        }
        return 0;
}

static int set_up(struct launcher *l, struct error *err)
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

int main(int argc, char **argv)
{
        static struct launcher l = {.options = {.config_dir = "/etc/codexd",
                                                .state_dir = "/var/lib/codexd",
                                                .run_dir = "/run/codexd",
                                                .libexec_dir = CODEXD_LIBEXECDIR,
                                                .supervisor_user = "codexd",
                                                .keeper_user = "codexd-keeper"},
                                    .policy_memfd = -EBADF,
                                    .state = -EBADF,
                                    .workers_dir = -EBADF,
                                    .homes_dir = -EBADF,
                                    .listen = -EBADF,
                                    .cgroup_root = -EBADF,
                                    .lock = -EBADF,
                                    .state_lock = -EBADF};
        struct error err = {0};
        int r;

        if (parse_options(argc, argv, &l.options) < 0)
                return 2;
        (void) prctl(PR_SET_DUMPABLE, 0);
        (void) umask(022);
        list_init(&l.workers);
        l.loop = ev_default_loop(EVFLAG_NOENV);
        if (!l.loop) {
                log_error("no event loop");
                return EXIT_FAILURE;
        }
        ev_set_userdata(l.loop, &l);
        r = set_up(&l, &err);
        if (r == 0) {
                super_init(&l.super, &l);
                r = config_load(&l, &err);
        }
        if (r == 0)
                r = worker_adopt_all(&l, &err);
        if (r == 0) {
                watch_signals(&l);
                r = super_start(&l.super);
                if (r < 0)
                        (void) error_set_errno(&err, ERROR_INTERNAL, -r, "starting the supervisor");
        }
        if (r < 0) {
                log_error("codexd: %s", err.message);
                (void) sd_notifyf(0, "STATUS=%s\nERRNO=%d", err.message, -r);
                (void) reporter_free(l.reporter);
                return err.kind == ERROR_CONFIG_INVALID ? EXIT_CONFIG : EXIT_FAILURE;
        }
        (void) ev_run(l.loop, 0);
        (void) reporter_free(l.reporter);
        return EXIT_SUCCESS;
}
