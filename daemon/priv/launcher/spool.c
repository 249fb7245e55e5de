#include "spool.h"
#include "fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void worker_path(uint64_t worker, const char *file, char ret[64])
{
        (void) snprintf(ret, 64, "w-%" PRIu64 "%s%s", worker, *file ? "/" : "", file);
}

static int make_file(int dir, const char *name, int flags, gid_t group)
{
        int fd = openat(dir, name, flags | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0640);

        if (fd < 0)
                return -errno;
        if (fchown(fd, 0, group) < 0) {
                int r = -errno;

                (void) fd_close(fd);
                return r;
        }
        return fd;
}

int spool_make(int workers, uint64_t worker, gid_t group, struct spool *ret)
{
        struct spool s = SPOOL_NONE;
        char name[64];
        int r = 0;

        worker_path(worker, "", name);
        if (mkdirat(workers, name, 0750) < 0)
                return -errno;
        s.dir = openat(workers, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (s.dir < 0 || fchown(s.dir, 0, group) < 0)
                r = -errno;
        if (r == 0) {
                s.raw = make_file(s.dir, "raw", O_WRONLY | O_APPEND, group);
                s.index = make_file(s.dir, "index", O_WRONLY | O_APPEND, group);
                s.stderr_ = make_file(s.dir, "stderr", O_RDWR | O_APPEND, group);
                s.exit = make_file(s.dir, "exit", O_WRONLY | O_APPEND, group);
                r = MIN(MIN(s.raw, s.index), MIN(s.stderr_, s.exit));
        }
        if (r < 0) {
                spool_close(&s);
                (void) spool_forget(workers, worker);
                return r;
        }
        *ret = s;
        return 0;
}

void spool_close(struct spool *s)
{
        s->dir = fd_close(s->dir);
        s->raw = fd_close(s->raw);
        s->index = fd_close(s->index);
        s->stderr_ = fd_close(s->stderr_);
        s->exit = fd_close(s->exit);
}

int spool_write_file(int dir, const char *name, mode_t mode, const void *bytes, size_t n)
{
        _cleanup_fd_ int fd =
                openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);

        if (fd < 0)
                return -errno;
        if (fchmod(fd, mode) < 0) /* whatever the umask is */
                return -errno;
        return fd_write_all(fd, bytes, n);
}

int spool_write_meta(int dir, const struct spool_meta *meta)
{
        int r;

        (void) unlinkat(dir, "meta.new", 0);
        r = spool_write_file(dir, "meta.new", 0600, meta, sizeof *meta);
        if (r < 0)
                return r;
        return renameat(dir, "meta.new", dir, "meta") < 0 ? -errno : 0; /* whole or not at all */
}

static int read_struct(int workers, uint64_t worker, const char *file, void *ret, size_t size)
{
        _cleanup_fd_ int fd = -EBADF;
        char path[64];
        ssize_t n;

        worker_path(worker, file, path);
        fd = openat(workers, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        n = pread(fd, ret, size, 0);
        if (n < 0)
                return -errno;
        return (size_t) n == size ? 0 : -ENODATA;
}

int spool_read_meta(int workers, uint64_t worker, struct spool_meta *ret)
{
        int r = read_struct(workers, worker, "meta", ret, sizeof *ret);

        if (r < 0)
                return r == -ENODATA ? -EBADMSG : r;
        if (ret->magic != SPOOL_META_MAGIC || ret->worker != worker ||
            strnlen(ret->workspace, sizeof ret->workspace) == sizeof ret->workspace ||
            strnlen(ret->codex_version, sizeof ret->codex_version) == sizeof ret->codex_version)
                return -EBADMSG;
        return 0;
}

int spool_read_exit(int workers, uint64_t worker, struct keeper_exit *ret)
{
        int r = read_struct(workers, worker, "exit", ret, sizeof *ret);

        return r < 0 || ret->magic != WIRE_KEEPER_MAGIC ? -ENODATA : 0;
}

bool spool_has_output(int workers, uint64_t worker)
{
        struct stat st;
        char path[64];

        worker_path(worker, "raw", path);
        return fstatat(workers, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_size > 0;
}

int spool_release(int workers, uint64_t worker)
{
        char path[64];

        worker_path(worker, "meta", path);
        return unlinkat(workers, path, 0) < 0 && errno != ENOENT ? -errno : 0;
}

int spool_forget(int workers, uint64_t worker)
{
        static const char *const files[] = {"raw",  "index",    "stderr",
                                            "exit", "meta.new", "config.toml"};
        char path[64];

        worker_path(worker, "meta", path);
        if (faccessat(workers, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
                return -EBUSY;
        for (size_t i = 0; i < N_ELEMENTS(files); i++) {
                worker_path(worker, files[i], path);
                (void) unlinkat(workers, path, 0);
        }
        worker_path(worker, "", path);
        return unlinkat(workers, path, AT_REMOVEDIR) < 0 && errno != ENOENT ? -errno : 0;
}

int spool_scan(int workers, void (*each)(void *data, uint64_t worker), void *data,
               uint64_t *ret_last)
{
        int fd = openat(workers, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *dir = fd < 0 ? NULL : fdopendir(fd);

        if (!dir) {
                (void) fd_close(fd);
                return -errno;
        }
        *ret_last = 0;
        for (struct dirent *entry; (entry = readdir(dir));) {
                char *end;
                uint64_t worker;

                if (strncmp(entry->d_name, "w-", 2) != 0)
                        continue;
                worker = strtoull(entry->d_name + 2, &end, 10);
                if (*end || worker == 0)
                        continue;
                *ret_last = MAX(*ret_last, worker);
                each(data, worker);
        }
        (void) closedir(dir);
        return 0;
}
