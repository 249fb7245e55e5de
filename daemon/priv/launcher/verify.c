#include "verify.h"
#include "fd.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WRONG(...) error_set(err, ERROR_PRIVILEGE_VERIFY, __VA_ARGS__)

/* The value of "NAME:\t..." up to the end of its line, or NULL. */
static const char *field(const char *status, const char *name)
{
        size_t n = strlen(name);

        for (const char *line = status; line; line = strchr(line, '\n')) {
                if (*line == '\n')
                        line++;
                if (strncmp(line, name, n) == 0 && line[n] == ':')
                        return line + n + 1 + strspn(line + n + 1, " \t");
        }
        return NULL;
}

/* Real, effective, saved, file system: all four alike. */
static int check_ids(const char *status, const char *name, unsigned wanted, uint32_t *seen,
                     struct error *err)
{
        const char *value = field(status, name);
        unsigned id[4];

        if (!value || sscanf(value, "%u %u %u %u", &id[0], &id[1], &id[2], &id[3]) != 4)
                return WRONG("/proc says nothing of %s", name);
        *seen = id[1];
        for (int i = 0; i < 4; i++)
                if (id[i] != wanted)
                        return WRONG("%s is %u %u %u %u, meant was %u", name, id[0], id[1], id[2],
                                     id[3], wanted);
        return 0;
}

static int check_groups(const char *status, const struct verify_wanted *wanted, uint32_t *seen,
                        struct error *err)
{
        const char *value = field(status, "Groups");
        size_t matched = 0;

        *seen = 0;
        if (!value)
                return WRONG("/proc says nothing of Groups");
        for (const char *p = value; *p && *p != '\n';) {
                char *end;
                unsigned long group = strtoul(p, &end, 10);
                size_t i = 0;

                if (end == p)
                        break;
                while (i < wanted->ngroups && wanted->groups[i] != group)
                        i++;
                if (i == wanted->ngroups)
                        return WRONG("Groups holds %lu, which is not configured", group);
                matched++;
                (*seen)++;
                p = end + strspn(end, " \t");
        }
        if (matched != wanted->ngroups)
                return WRONG("Groups has %zu entries, meant were %zu", matched, wanted->ngroups);
        return 0;
}

static int check_capabilities(const char *status, uint32_t *seen, struct error *err)
{
        static const char *const sets[] = {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"};

        *seen = 0;
        for (size_t i = 0; i < N_ELEMENTS(sets); i++) {
                const char *value = field(status, sets[i]);
                uint64_t set;

                if (!value || sscanf(value, "%" SCNx64, &set) != 1)
                        return WRONG("/proc says nothing of %s", sets[i]);
                if (set != 0) {
                        *seen |= 1u << i;
                        return WRONG("%s is %016" PRIx64 ", meant was none", sets[i], set);
                }
        }
        return 0;
}

int verify_status(const char *status, const struct verify_wanted *wanted, struct wire_identity *ret,
                  int *ret_zombie, struct error *err)
{
        const char *value = field(status, "State");
        int r;

        memset(ret, 0, sizeof *ret);
        *ret_zombie = value && (*value == 'Z' || *value == 'X');
        r = check_ids(status, "Uid", wanted->uid, &ret->uid, err);
        if (r == 0)
                r = check_ids(status, "Gid", wanted->gid, &ret->gid, err);
        if (r == 0)
                r = check_groups(status, wanted, &ret->ngroups, err);
        if (r == 0)
                r = check_capabilities(status, &ret->capabilities, err);
        if (r < 0)
                return r;
        value = field(status, "Seccomp");
        ret->seccomp = value ? (uint32_t) atoi(value) : 0;
        value = field(status, "NoNewPrivs");
        ret->no_new_privs = value ? (uint32_t) atoi(value) : 0;
        if (ret->no_new_privs != 1)
                return WRONG("NoNewPrivs is not set");
        return 0;
}

static int check_namespaces(int dir, int init, int *ret_zombie, struct error *err)
{
        static const char *const kinds[] = {"pid", "mnt", "ipc", "uts"};

        for (size_t i = 0; i < N_ELEMENTS(kinds); i++) {
                char path[32], own_path[32];
                struct stat theirs, of_init, ours;

                (void) snprintf(path, sizeof path, "ns/%s", kinds[i]);
                (void) snprintf(own_path, sizeof own_path, "/proc/self/ns/%s", kinds[i]);
                int r = fstatat(dir, path, &theirs, 0);

                if (r < 0 && errno == ENOENT) {
                        /* Only do_exit() takes a task's namespaces away, and it does so before the
                         * state says Z: it will run no instruction again. */
                        *ret_zombie = 1;
                        return 0;
                }
                if (r < 0 || fstatat(init, path, &of_init, 0) < 0 || stat(own_path, &ours) < 0)
                        return WRONG("the %s namespace cannot be read: %s", kinds[i],
                                     strerror(errno));
                if (theirs.st_ino == ours.st_ino)
                        return WRONG("the %s namespace is the host's", kinds[i]);
                if (theirs.st_ino != of_init.st_ino)
                        return WRONG("the %s namespace is not its keeper's", kinds[i]);
        }
        return 0;
}

static int open_proc(pid_t pid)
{
        char path[32];
        int fd;

        (void) snprintf(path, sizeof path, "/proc/%d", (int) pid);
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return fd < 0 ? -errno : fd;
}

int verify_process(pid_t pid, pid_t init, const struct verify_wanted *wanted,
                   struct wire_identity *ret, int *ret_zombie, struct error *err)
{
        _cleanup_free_ char *status = NULL;
        _cleanup_fd_ int dir = open_proc(pid), init_dir = open_proc(init), fd = -EBADF;
        size_t n;
        int r;

        memset(ret, 0, sizeof *ret);
        *ret_zombie = 0;
        if (dir < 0 || init_dir < 0)
                return WRONG("/proc/%d cannot be read: %s", (int) (dir < 0 ? pid : init),
                             strerror(dir < 0 ? -dir : -init_dir));
        fd = openat(dir, "status", O_RDONLY | O_CLOEXEC);
        if (fd < 0 || fd_read_all(fd, 65536, &status, &n) < 0)
                return WRONG("/proc/%d/status cannot be read", (int) pid);
        r = verify_status(status, wanted, ret, ret_zombie, err);
        if (r < 0 || *ret_zombie)
                return r;
        return check_namespaces(dir, init_dir, ret_zombie, err);
}
