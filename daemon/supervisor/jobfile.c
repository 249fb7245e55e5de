#include "jobfile.h"
#include "fd.h"
#include "stream.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SMALL_FILE_MAX (64u * 1024)

static const char *const files[] = {"ended", "cursor", "prompt", "job.json", "events"};

int jobfile_open_all(const char *state_dir)
{
        _cleanup_fd_ int dir = open(state_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
        int fd;

        if (dir < 0)
                return -errno;
        if (mkdirat(dir, "jobs", 0700) < 0 && errno != EEXIST)
                return -errno;
        fd = openat(dir, "jobs", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        return fd < 0 ? -errno : fd;
}

static int open_dir(int jobs_fd, uint64_t id)
{
        char name[32];
        int fd;

        (void) snprintf(name, sizeof name, "%" PRIu64, id);
        fd = openat(jobs_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        return fd < 0 ? -errno : fd;
}

static int open_file(int jobs_fd, uint64_t id, const char *name, int flags)
{
        _cleanup_fd_ int dir = open_dir(jobs_fd, id);
        int fd;

        if (dir < 0)
                return dir;
        fd = openat(dir, name, flags | O_NOFOLLOW | O_CLOEXEC, 0600);
        return fd < 0 ? -errno : fd;
}

static int write_durable(int dir, const char *name, const char *bytes, size_t n)
{
        _cleanup_fd_ int fd =
                openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        int r;

        if (fd < 0)
                return -errno;
        r = fd_write_all(fd, bytes, n);
        if (r < 0)
                return r;
        return fdatasync(fd) < 0 ? -errno : 0;
}

static int fill(int dir, const struct jobfile_content *content, int *ret_own)
{
        _cleanup_fd_ int own = -EBADF;
        int r = write_durable(dir, "job.json", content->json, strlen(content->json));

        if (r == 0)
                r = write_durable(dir, "prompt", content->prompt, content->prompt_size);
        if (r < 0)
                return r;
        own = openat(dir, "events", O_RDWR | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (own < 0)
                return -errno;
        r = stream_append_own(own, 0, content->time_usec, content->queued_event,
                              strlen(content->queued_event), true);
        if (r < 0)
                return r;
        if (fsync(dir) < 0)
                return -errno;
        *ret_own = TAKE_FD(own);
        return 0;
}

static int clear_away(int jobs_fd, const char *name)
{
        _cleanup_fd_ int dir =
                openat(jobs_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

        if (dir < 0)
                return errno == ENOENT ? 0 : -errno;
        for (size_t i = 0; i < N_ELEMENTS(files); i++)
                if (unlinkat(dir, files[i], 0) < 0 && errno != ENOENT)
                        return -errno;
        return unlinkat(jobs_fd, name, AT_REMOVEDIR) < 0 ? -errno : 0;
}

int jobfile_create(int jobs_fd, uint64_t id, const struct jobfile_content *content, int *ret_own)
{
        _cleanup_fd_ int dir = -EBADF, own = -EBADF;
        char temporary[40], name[32];
        int r;

        (void) snprintf(temporary, sizeof temporary, ".new-%" PRIu64, id);
        (void) snprintf(name, sizeof name, "%" PRIu64, id);
        if (mkdirat(jobs_fd, temporary, 0700) < 0)
                return -errno;
        dir = openat(jobs_fd, temporary, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        r = dir < 0 ? -errno : fill(dir, content, &own);
        if (r == 0 && renameat(jobs_fd, temporary, jobs_fd, name) < 0)
                r = -errno;
        if (r < 0) {
                (void) clear_away(jobs_fd, temporary);
                return r;
        }
        if (fsync(jobs_fd) < 0) { /* not known to be durable: then it must not be there */
                r = -errno;
                (void) clear_away(jobs_fd, name);
                return r;
        }
        *ret_own = TAKE_FD(own);
        return 0;
}

int jobfile_end(int jobs_fd, uint64_t id, int own_fd, uint64_t at, uint64_t time_usec,
                const char *event, const char *summary)
{
        _cleanup_fd_ int dir = -EBADF;
        int r = stream_append_own(own_fd, at, time_usec, event, strlen(event), true);

        if (r < 0) {
                (void) stream_repair_own(own_fd);
                return r;
        }
        /* From here on the job has ended, whatever goes wrong with the rest. */
        (void) jobfile_write_summary(jobs_fd, id, summary);
        dir = open_dir(jobs_fd, id);
        if (dir >= 0)
                (void) unlinkat(dir, "prompt", 0);
        return 0;
}

int jobfile_remove(int jobs_fd, uint64_t id)
{
        char name[32];

        (void) snprintf(name, sizeof name, "%" PRIu64, id);
        return clear_away(jobs_fd, name);
}

int jobfile_open_own(int jobs_fd, uint64_t id)
{
        int fd = open_file(jobs_fd, id, "events", O_RDWR | O_APPEND);

        if (fd >= 0)
                (void) stream_repair_own(fd);
        return fd;
}

int jobfile_open_prompt(int jobs_fd, uint64_t id)
{
        return open_file(jobs_fd, id, "prompt", O_RDONLY);
}

int jobfile_read(int jobs_fd, uint64_t id, const char *name, char **ret, size_t *ret_n)
{
        _cleanup_fd_ int fd = open_file(jobs_fd, id, name, O_RDONLY);

        return fd < 0 ? fd : fd_read_all(fd, SMALL_FILE_MAX, ret, ret_n);
}

int jobfile_write_summary(int jobs_fd, uint64_t id, const char *summary)
{
        _cleanup_fd_ int fd = open_file(jobs_fd, id, "ended", O_WRONLY | O_CREAT | O_TRUNC);

        return fd < 0 ? fd : fd_write_all(fd, summary, strlen(summary));
}

int jobfile_write_cursor(int jobs_fd, uint64_t id, uint64_t seq)
{
        _cleanup_fd_ int fd = open_file(jobs_fd, id, "cursor", O_WRONLY | O_CREAT);
        char text[32];
        int n = snprintf(text, sizeof text, "%020" PRIu64 "\n", seq);

        if (fd < 0)
                return fd;
        /* Always the same length, in place: there is no moment without a cursor. */
        return pwrite(fd, text, (size_t) n, 0) == n ? 0 : -EIO;
}

uint64_t jobfile_read_cursor(int jobs_fd, uint64_t id)
{
        _cleanup_free_ char *text = NULL;
        size_t n;

        if (jobfile_read(jobs_fd, id, "cursor", &text, &n) < 0 || n != 21)
                return 0;
        return strtoull(text, NULL, 10);
}

uint64_t jobfile_id(const char *name)
{
        uint64_t id = 0;

        if (name[0] < '1' || name[0] > '9')
                return 0;
        for (; *name; name++) {
                if (*name < '0' || *name > '9' || id > (UINT64_MAX >> 1) / 10)
                        return 0;
                id = id * 10 + (uint64_t) (*name - '0');
        }
        return id;
}

int jobfile_list(int jobs_fd, int (*each)(uint64_t id, void *data), void *data)
{
        int fd = openat(jobs_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
        DIR *dir = fd < 0 ? NULL : fdopendir(fd);
        struct dirent *entry;

        if (!dir) {
                r = -errno;
                (void) fd_close(fd);
                return r;
        }
        while (r >= 0 && (entry = readdir(dir))) {
                uint64_t id = jobfile_id(entry->d_name);

                if (id != 0)
                        r = each(id, data);
                else if (strncmp(entry->d_name, ".new-", 5) == 0)
                        (void) clear_away(jobs_fd, entry->d_name);
        }
        (void) closedir(dir);
        return r < 0 ? r : 0;
}
