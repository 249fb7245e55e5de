/* codexd, the launcher: parent of everything, and the only process that holds a capability. It
 * reads root's configuration, starts the supervisor and the workers, owns the cgroups, and does
 * what the supervisor asks only as far as that configuration could have asked for it. It parses
 * nothing that a stranger wrote. struct launcher is the one top-level context. */
#pragma once

#include "cgroup.h"
#include "config.h"
#include "list.h"
#include "policy.h"
#include "report.h"
#include "runner.h"
#include "spool.h"
#include "wire-launch.h"

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

struct options { /* borrowed from argv or static */
        const char *config_dir, *state_dir, *run_dir, *libexec_dir, *listen;
        const char *workers_cgroup; /* NULL: found */
        const char *supervisor_user, *keeper_user;
};

struct account {
        uid_t uid;
        gid_t gid;
};

struct outgoing {         /* one message that the supervisor's socket had no room for */
        struct list link; /* super::outgoing */
        size_t size;
        int fd;
        union wire_launch_any message;
};

struct super { /* the supervisor process and the wire to it */
        struct launcher *launcher;
        pid_t pid; /* 0: none */
        int pidfd, wire;
        uint64_t sent, received; /* sequence numbers */
        bool said_hello;         /* it may ask for things */
        bool hello;              /* and was told all that was known: it may be told more */
        struct list outgoing;
        unsigned noutgoing;
        unsigned quick_deaths;
        ev_tstamp started;
        ev_io pidfd_io, wire_io, wire_out;
        ev_timer restart, ping, overdue;
};

struct launcher {
        struct ev_loop *loop;
        struct options options;
        struct account supervisor, keeper;
        struct reporter *reporter;

        struct config *config; /* in force */
        uint64_t generation;
        int policy_memfd;

        int state, workers_dir, homes_dir, listen, cgroup_root, lock, state_lock;
        char cgroup_path[1024];
        char hide[1][108]; /* the clients' socket, where it is not below run_dir */

        struct super super;
        struct list workers; /* worker::link */
        uint32_t nworkers;   /* that take a slot */
        uint64_t last_worker;
        ev_signal sigterm, sigint, sighup;
        ev_timer stop_timer;
        bool stopping, ready;
        uint64_t watchdog_usec;
};

/* set-up.c */
int launcher_set_up(struct launcher *launcher, struct error *err);

/* super.c */
void super_init(struct super *super, struct launcher *launcher);
int super_start(struct super *super);
void super_stop(struct super *super);
/* Tells the supervisor; before HELLO nothing is sent, for all of it is told then. `message` has its
 * fields set and is sealed here; `fd` (-EBADF: none) is duplicated if it must wait. */
void super_tell(struct super *super, void *message, uint32_t type, int fd);
void super_violation(struct super *super, const char *what); /* ends it: it is not an honest one */

void super_answered(struct super *super); /* a PONG, or HELLO */

/* requests.c: one checked message of the supervisor's; takes the descriptors in fds. */
void request_handle(struct launcher *launcher, const union wire_launch_any *message, int *fds,
                    size_t nfds);
/* A start that failed is over: if HELLO waited for that, it is answered now. */
void request_hello_again(struct launcher *launcher);
void wire_error_from(struct wire_error *to, const struct error *from);

/* config-load.c */
int config_load(struct launcher *launcher, struct error *err); /* keeps the old one on failure */
