/* codexd-supervisor: started by codexd (the launcher) as user codexd, without capabilities, with
 * the wire to it as fd 3. Everything a stranger wrote is read here, so there is nothing here to be
 * had. */
#include "fd.h"
#include "log.h"
#include "supervisor.h"

#include <errno.h>
#include <getopt.h>
#include <grp.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LAUNCH_FD 3

static const char *arg_state_dir = "/var/lib/codexd";
static const char *arg_group = "codexd";

static int usage(FILE *to, int code)
{
        (void) fprintf(to, "codexd-supervisor [--state-dir=DIR] [--group=NAME] [--debug]\n"
                           "Started by codexd, which hands it its socket as descriptor 3.\n");
        return code;
}

static int parse_arguments(int argc, char **argv)
{
        enum { STATE_DIR = 256, GROUP, DEBUG };
        static const struct option options[] = {
                {"state-dir", required_argument, NULL, STATE_DIR},
                {"group", required_argument, NULL, GROUP},
                {"debug", no_argument, NULL, DEBUG},
                {"help", no_argument, NULL, 'h'},
                {"version", no_argument, NULL, 'V'},
                {NULL, 0, NULL, 0},
        };
        int c;

        while ((c = getopt_long(argc, argv, "hV", options, NULL)) >= 0)
                switch (c) {
                case STATE_DIR:
                        arg_state_dir = optarg;
                        break;
                case GROUP:
                        arg_group = optarg;
                        break;
                case DEBUG:
                        log_set_max_level(LOG_DEBUG);
                        break;
                case 'h':
                        exit(usage(stdout, EXIT_SUCCESS));
                case 'V':
                        (void) printf("codexd " CODEXD_VERSION "\n");
                        exit(EXIT_SUCCESS);
                default:
                        return usage(stderr, -EINVAL);
                }
        return optind == argc ? 0 : usage(stderr, -EINVAL);
}

/* The launcher has dropped everything: if it has not, something is wrong, and this is no place to
 * go on in. */
static int check_privileges(void)
{
        struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
        struct __user_cap_data_struct data[2];
        uid_t r, e, s;
        gid_t rg, eg, sg;

        if (getresuid(&r, &e, &s) < 0 || r == 0 || e == 0 || s == 0 ||
            getresgid(&rg, &eg, &sg) < 0 || rg == 0 || eg == 0 || sg == 0) {
                log_error("must not be run as root: codexd starts it as another user");
                return -EPERM;
        }
        if (syscall(SYS_capget, &header, data) < 0)
                return -errno;
        for (size_t i = 0; i < 2; i++)
                if (data[i].effective || data[i].permitted || data[i].inheritable) {
                        log_error("must not have capabilities");
                        return -EPERM;
                }
        for (int cap = 0; prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, cap, 0, 0) >= 0; cap++)
                if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, cap, 0, 0) > 0) {
                        log_error("must not have ambient capabilities");
                        return -EPERM;
                }
        return 0;
}

/* In this order; a seccomp filter will be the last of them. */
static int harden(void)
{
        const struct rlimit none = {0, 0};
        struct rlimit files;

        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                return -errno;
        if (setrlimit(RLIMIT_CORE, &none) < 0) /* prompts are in our memory */
                return -errno;
        /* Ten thousand clients, and six descriptors a job. */
        if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
                files.rlim_cur = files.rlim_max;
                (void) setrlimit(RLIMIT_NOFILE, &files);
        }
#ifndef __SANITIZE_ADDRESS__                        /* the leak checker traces its own process */
        if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) /* and not for our uid's other processes */
                return -errno;
#endif
        if (prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0) < 0)
                return -errno;
        if (signal(SIGPIPE, SIG_IGN) == SIG_ERR)
                return -errno;
        return 0;
}

static gid_t find_group(const char *name)
{
        const struct group *group = getgrnam(name);

        if (group)
                return group->gr_gid;
        log_warning("there is no group %s: only root and owners may submit jobs", name);
        return (gid_t) -1;
}

int main(int argc, char **argv)
{
        struct supervisor_options options = {.launch_fd = LAUNCH_FD};
        struct supervisor *sup = NULL;
        struct ev_loop *loop = NULL;
        struct error error = {0};
        int r = parse_arguments(argc, argv), type = 0;
        socklen_t size = sizeof type;

        if (r == 0)
                r = check_privileges();
        if (r == 0)
                r = harden();
        if (r < 0) {
                log_error("starting: %s", strerror(-r));
                return EXIT_FAILURE;
        }
        if (getsockopt(LAUNCH_FD, SOL_SOCKET, SO_TYPE, &type, &size) < 0 ||
            type != SOCK_SEQPACKET) {
                log_error("descriptor %d is not the launcher's socket", LAUNCH_FD);
                return EXIT_FAILURE;
        }
        options.state_dir = arg_state_dir;
        options.group = find_group(arg_group);
        /* Not the default loop: that one reaps every child, also those that we wait for (ev(3)). */
        loop = ev_loop_new(EVFLAG_AUTO);
        if (!loop) {
                log_error("no event loop");
                return EXIT_FAILURE;
        }
        r = supervisor_new(&sup, loop, &options, &error);
        if (r < 0) {
                log_error("%s", error.message);
                return EXIT_FAILURE;
        }
        r = supervisor_run(sup);
        supervisor_free(sup);
        ev_loop_destroy(loop);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
