#include "launcher.h"
#include "log.h"
#include "worker.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#define EXIT_CONFIG    78 /* sysexits.h: EX_CONFIG */
#define STOP_TIMEOUT_S 5.

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
        ev_timer_start(loop, &l->stop_timer);
        super_stop(&l->super);
}

static void on_stop_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
        struct launcher *l = ev_userdata(loop);

        super_violation(&l->super, "has not ended in time");
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
        ev_timer_init(&l->stop_timer, on_stop_timer, STOP_TIMEOUT_S, 0.);
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
        /* Not the default loop: that one reaps every child, also those that we wait for (ev(3)). */
        l.loop = ev_loop_new(EVFLAG_NOENV);
        if (!l.loop) {
                log_error("no event loop");
                return EXIT_FAILURE;
        }
        ev_set_userdata(l.loop, &l);
        r = launcher_set_up(&l, &err);
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
