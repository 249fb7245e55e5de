/* Measures the launcher from the supervisor's place: a worker of a trivial program against
 * posix_spawn(3) of the same, interleaved; and how soon the slot of a hostile tree is free after
 * cgroup.kill. STATE/jobs/bench holds "PROGRAM ROUNDS TREE-ROUNDS"; the answers go to
 * STATE/jobs/results. */
#include "cleanup.h"
#include "fd.h"
#include "wire-peer.h"

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS_MAX 2000

static int results;
static char state[200];

void wire_peer_give_up(const char *why)
{
        dprintf(results, "broken %s\ndone\n", why);
        pause();
        _exit(3);
}

static uint64_t now_ns(void)
{
        struct timespec ts;

        (void) clock_gettime(CLOCK_MONOTONIC, &ts);
        return (uint64_t) ts.tv_sec * 1000000000 + (uint64_t) ts.tv_nsec;
}

static int compare(const void *a, const void *b)
{
        uint64_t x = *(const uint64_t *) a, y = *(const uint64_t *) b;

        return x < y ? -1 : x > y;
}

static void tell_result(const char *what, uint64_t *ns, size_t n)
{
        qsort(ns, n, sizeof *ns, compare);
        dprintf(results, "%s %.1f %.1f %zu\n", what, (double) ns[n / 2] / 1e3,
                (double) ns[n * 99 / 100] / 1e3, n);
}

static void spawn_directly(const char *program)
{
        char *argv[] = {(char *) program, NULL}, *envp[] = {NULL};
        pid_t pid;

        if (posix_spawn(&pid, program, NULL, NULL, argv, envp) != 0 || waitpid(pid, NULL, 0) < 0)
                wire_peer_give_up("posix_spawn");
}

/* START to STARTED (exec'ed and verified) and to GONE (tree gone, cgroup removed). */
static void run_worker(const struct wire_resolved *r, uint64_t job, uint64_t *started,
                       uint64_t *gone)
{
        struct wire_start m = wire_peer_start("alpha.test", r, job);
        struct wire_worker done = {0};
        union wire_launch_any answer;
        int prompt = wire_peer_prompt("x");
        uint64_t begin = now_ns();

        wire_peer_tell(&m, WIRE_START, &prompt, 1);
        wire_peer_hear(&answer, WIRE_STARTED, WIRE_START_FAILED);
        if (answer.header.type != WIRE_STARTED)
                wire_peer_give_up(answer.failed.error.message);
        *started = now_ns() - begin;
        done.worker = answer.started.worker;
        wire_peer_hear(&answer, WIRE_GONE, 0);
        *gone = now_ns() - begin;
        wire_peer_tell(&done, WIRE_RELEASE, NULL, 0);
        wire_peer_tell(&done, WIRE_FORGET, NULL, 0);
        (void) fd_close(prompt);
}

static void bench_spawn(const struct wire_resolved *r, const char *program, size_t rounds)
{
        static uint64_t direct[ROUNDS_MAX], started[ROUNDS_MAX], gone[ROUNDS_MAX];

        for (size_t i = 0; i < rounds; i++) {
                uint64_t begin = now_ns();

                spawn_directly(program);
                direct[i] = now_ns() - begin;
                run_worker(r, i + 1, &started[i], &gone[i]);
        }
        tell_result("spawn-direct", direct, rounds);
        tell_result("spawn-started", started, rounds);
        tell_result("spawn-gone", gone, rounds);
}

/* Waits until the worker's raw output says that its tree stands. */
static void wait_for_output(uint64_t worker, const char *word)
{
        char path[300];
        struct pollfd p = {.fd = inotify_init1(IN_CLOEXEC), .events = POLLIN};
        _cleanup_fd_ int raw = -EBADF;

        (void) snprintf(path, sizeof path, "%s/workers/w-%" PRIu64 "/raw", state, worker);
        raw = open(path, O_RDONLY | O_CLOEXEC);
        if (raw < 0 || p.fd < 0 || inotify_add_watch(p.fd, path, IN_MODIFY) < 0)
                wire_peer_give_up("raw");
        for (;;) {
                char text[65536], events[4096];
                ssize_t n = pread(raw, text, sizeof text - 1, 0);

                text[n > 0 ? n : 0] = '\0';
                if (strstr(text, word))
                        break;
                if (poll(&p, 1, WIRE_PEER_TIMEOUT_MS) <= 0 || read(p.fd, events, sizeof events) < 0)
                        wire_peer_give_up("tree");
        }
        (void) fd_close(p.fd);
}

static void bench_tree(const struct wire_resolved *r, size_t rounds)
{
        static uint64_t freed[ROUNDS_MAX];

        for (size_t i = 0; i < rounds; i++) {
                struct wire_start m = wire_peer_start("alpha.test", r, 100000 + i);
                struct wire_signal kill = {.how = WIRE_KILL};
                struct wire_worker done = {0};
                union wire_launch_any answer;
                int prompt = wire_peer_prompt(
                        "FAKE thread\nFAKE ignore-signals\nFAKE tree 60\nFAKE turn\n"
                        "FAKE hang\n");
                uint64_t begin;

                wire_peer_tell(&m, WIRE_START, &prompt, 1);
                wire_peer_hear(&answer, WIRE_STARTED, WIRE_START_FAILED);
                if (answer.header.type != WIRE_STARTED)
                        wire_peer_give_up(answer.failed.error.message);
                done.worker = kill.worker = answer.started.worker;
                wait_for_output(done.worker, "turn.started");
                begin = now_ns();
                wire_peer_tell(&kill, WIRE_SIGNAL, NULL, 0);
                wire_peer_hear(&answer, WIRE_GONE, 0);
                freed[i] = now_ns() - begin;
                wire_peer_tell(&done, WIRE_RELEASE, NULL, 0);
                (void) fd_close(prompt);
        }
        tell_result("tree-freed", freed, rounds);
}

int main(int argc, char **argv)
{
        char path[256], program[128] = "";
        struct wire_resolve ask;
        struct wire_resolved alpha;
        size_t rounds = 0, trees = 0;
        FILE *f;

        if (argc < 2 || strncmp(argv[1], "--state-dir=", 12) != 0)
                return 2;
        (void) snprintf(state, sizeof state, "%s", argv[1] + 12);
        (void) snprintf(path, sizeof path, "%s/jobs/results", state);
        results = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        (void) snprintf(path, sizeof path, "%s/jobs/bench", state);
        f = fopen(path, "re");
        if (results < 0 || !f || fscanf(f, "%127s %zu %zu", program, &rounds, &trees) != 3 ||
            rounds > ROUNDS_MAX || trees > ROUNDS_MAX)
                return 2;
        (void) fclose(f);
        wire_peer_hello();
        ask = wire_peer_resolve("alpha.test");
        wire_peer_ask(&ask, &alpha);
        if (alpha.error.kind != 0)
                wire_peer_give_up(alpha.error.message);
        if (rounds > 0)
                bench_spawn(&alpha, program, rounds);
        if (trees > 0)
                bench_tree(&alpha, trees);
        dprintf(results, "done\n");
        for (;;) { /* until the launcher ends us; its pings are answered meanwhile */
                union wire_launch_any any;

                wire_peer_hear(&any, WIRE_PING, 0);
        }
}
