/* From a directory to one run of bytes, and from those to files again. Who may have written the
 * files is checked here, by descriptor; what they say is config.c's.
 *
 * A bundle: magic, u32 count, then for each file u32 length of the name with its NUL, u32 length of
 * the text, name, text. The numbers are the host's: a bundle never leaves it. */
#include "config-internal.h"
#include "fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MAGIC      "codexdC1"
#define MAGIC_SIZE 8
#define NAME_SIZE  4096 /* of a file's path, with its NUL */

struct bundle {
        char *bytes;
        size_t n, room;
        uint32_t count;
};

static int bundle_put(struct bundle *bundle, const void *bytes, size_t n)
{
        if (bundle->n + n > bundle->room) {
                size_t room = MAX(bundle->room * 2, bundle->n + n + 4096);
                char *bigger = realloc(bundle->bytes, room);

                if (!bigger)
                        return -ENOMEM;
                bundle->bytes = bigger;
                bundle->room = room;
        }
        if (n > 0)
                memcpy(bundle->bytes + bundle->n, bytes, n);
        bundle->n += n;
        return 0;
}

static int invalid(struct error *err, const char *path, const char *what)
{
        size_t n = strlen(path);

        return error_set(err, ERROR_CONFIG_INVALID, "%s: %s", path + (n > 150 ? n - 150 : 0), what);
}

static int invalid_errno(struct error *err, int number, const char *path)
{
        size_t n = strlen(path);

        if (number == ELOOP)
                return invalid(err, path,
                               "is a symbolic link, or behind one; must be there itself");
        return error_set_errno(err, number == ENOMEM ? ERROR_NO_MEMORY : ERROR_CONFIG_INVALID,
                               number, "%s", path + (n > 150 ? n - 150 : 0));
}

/* An access list that lets others write shows in the group's bits, as its mask (acl(5)). */
static int check_owner(int fd, const char *path, mode_t type, uint32_t owner, struct error *err)
{
        struct stat st;

        if (fstat(fd, &st) < 0)
                return invalid_errno(err, errno, path);
        if ((st.st_mode & S_IFMT) != type)
                return invalid(err, path,
                               type == S_IFDIR ? "is no directory; must be one"
                                               : "is no regular file; must be one");
        if (st.st_uid != owner)
                return error_set(err, ERROR_CONFIG_INVALID,
                                 "%.150s: belongs to uid %u; must belong to uid %u", path,
                                 (unsigned) st.st_uid, owner);
        if (st.st_mode & (S_IWGRP | S_IWOTH))
                return error_set(err, ERROR_CONFIG_INVALID,
                                 "%.150s: has mode %04o; must not be writable by group or others "
                                 "(chmod go-w)",
                                 path, (unsigned) st.st_mode & 07777);
        return 0;
}

static int add_file(struct bundle *bundle, int dirfd, const char *name, const char *path,
                    uint32_t owner, struct error *err)
{
        /* O_NONBLOCK: a FIFO of this name must not hold us up */
        _cleanup_fd_ int fd = fd_open_beneath(dirfd, name, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
        _cleanup_free_ char *text = NULL;
        uint32_t lengths[2];
        size_t n;
        int r;

        if (fd < 0)
                return invalid_errno(err, -fd, path);
        r = check_owner(fd, path, S_IFREG, owner, err);
        if (r < 0)
                return r;
        r = fd_read_all(fd, CONF_FILE_MAX, &text, &n);
        if (r < 0)
                return invalid_errno(err, -r, path);
        lengths[0] = (uint32_t) strlen(path) + 1;
        lengths[1] = (uint32_t) n;
        if (bundle->n + sizeof lengths + lengths[0] + n > CONFIG_BUNDLE_MAX)
                return error_set(err, ERROR_CONFIG_INVALID,
                                 "%.150s: all files together are too long; may have %u bytes", path,
                                 CONFIG_BUNDLE_MAX);
        if (bundle_put(bundle, lengths, sizeof lengths) < 0 ||
            bundle_put(bundle, path, lengths[0]) < 0 || bundle_put(bundle, text, n) < 0)
                return error_set(err, ERROR_NO_MEMORY, "reading %.150s: no memory", path);
        bundle->count++;
        return 0;
}

static int is_rule_file(const struct dirent *entry)
{
        size_t n = strlen(entry->d_name);

        return n > 5 && entry->d_name[0] != '.' && strcmp(entry->d_name + n - 5, ".json") == 0;
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
        return strcmp((*a)->d_name, (*b)->d_name); /* alphasort(3) would ask the locale */
}

static int add_rules(struct bundle *bundle, int fd, const char *dirname, uint32_t owner,
                     struct error *err)
{
        struct dirent **entries = NULL;
        int n, r;

        r = check_owner(fd, dirname, S_IFDIR, owner, err);
        if (r < 0)
                return r;
        n = scandirat(fd, ".", &entries, is_rule_file, by_bytes);
        if (n < 0)
                return invalid_errno(err, errno, dirname);
        if (n > CONFIG_FILES_MAX - 1)
                r = error_set(err, ERROR_CONFIG_INVALID, "%.150s: has %d files; may have %d",
                              dirname, n, CONFIG_FILES_MAX - 1);
        for (int i = 0; i < n; i++) {
                const char *name = entries[i]->d_name;
                char path[NAME_SIZE];

                if (r == 0 && !conf_is_word(name, CONF_LOWER CONF_UPPER CONF_DIGIT "_",
                                            CONF_LOWER CONF_UPPER CONF_DIGIT "._@:+-", 255))
                        r = error_set(
                                err, ERROR_CONFIG_INVALID,
                                "%.150s: has a .json file whose name is odd; must be letters, "
                                "digits and \"._@:+-\"",
                                dirname);
                if (r == 0 &&
                    snprintf(path, sizeof path, "%s/%s", dirname, name) >= (int) sizeof path)
                        r = invalid(err, dirname, "has too long a path");
                if (r == 0)
                        r = add_file(bundle, fd, name, path, owner, err);
                free(entries[i]);
        }
        free(entries);
        return r;
}

static int read_all(struct bundle *bundle, int dirfd, const char *dirname, uint32_t owner,
                    struct error *err)
{
        _cleanup_fd_ int rules = -EBADF;
        char path[NAME_SIZE];
        int r;

        r = check_owner(dirfd, dirname, S_IFDIR, owner, err);
        if (r < 0)
                return r;
        if (strlen(dirname) + sizeof "/workspaces.d" > sizeof path)
                return invalid(err, dirname, "has too long a path");
        if (bundle_put(bundle, MAGIC, MAGIC_SIZE) < 0 ||
            bundle_put(bundle, &bundle->count, sizeof bundle->count) < 0)
                return error_set(err, ERROR_NO_MEMORY, "reading %.150s: no memory", dirname);
        (void) snprintf(path, sizeof path, "%s/codexd.json", dirname);
        r = add_file(bundle, dirfd, "codexd.json", path, owner, err);
        if (r < 0)
                return r;

        (void) snprintf(path, sizeof path, "%s/workspaces.d", dirname);
        rules = fd_open_beneath(dirfd, "workspaces.d", O_RDONLY | O_DIRECTORY, 0);
        if (rules == -ENOENT)
                return 0;
        if (rules < 0)
                return invalid_errno(err, -rules, path);
        return add_rules(bundle, rules, path, owner, err);
}

int config_bundle_read(int dirfd, const char *dirname, uint32_t owner, void **ret, size_t *ret_n,
                       struct error *err)
{
        struct bundle bundle = {0};
        int r = read_all(&bundle, dirfd, dirname, owner, err);

        if (r < 0) {
                free(bundle.bytes);
                return r;
        }
        memcpy(bundle.bytes + MAGIC_SIZE, &bundle.count, sizeof bundle.count);
        *ret = bundle.bytes;
        *ret_n = bundle.n;
        return 0;
}

static int broken(struct error *err, const char *what)
{
        return error_set(err, ERROR_CONFIG_INVALID,
                         "the bundle of configuration files is broken: %s", what);
}

int config_bundle_parse(const void *bundle, size_t n, struct config_file **ret, size_t *ret_n,
                        struct error *err)
{
        const char *p = bundle, *end = p + n;
        struct config_file *files;
        uint32_t count, lengths[2];

        if (n > CONFIG_BUNDLE_MAX || n < MAGIC_SIZE + sizeof count)
                return broken(err, "its size");
        if (memcmp(p, MAGIC, MAGIC_SIZE) != 0)
                return broken(err, "its first bytes");
        memcpy(&count, p + MAGIC_SIZE, sizeof count);
        p += MAGIC_SIZE + sizeof count;
        if (count == 0 || count > CONFIG_FILES_MAX)
                return broken(err, "its count of files");
        files = calloc(count, sizeof *files);
        if (!files)
                return error_set(err, ERROR_NO_MEMORY, "reading configuration: no memory");

        for (uint32_t i = 0; i < count; i++) {
                if ((size_t) (end - p) < sizeof lengths)
                        goto cut;
                memcpy(lengths, p, sizeof lengths);
                p += sizeof lengths;
                if (lengths[0] < 2 || lengths[0] > NAME_SIZE || lengths[1] > CONF_FILE_MAX ||
                    (size_t) (end - p) < (size_t) lengths[0] + lengths[1] ||
                    memchr(p, '\0', lengths[0]) != p + lengths[0] - 1)
                        goto cut;
                files[i] = (struct config_file){p, p + lengths[0], lengths[1]};
                p += (size_t) lengths[0] + lengths[1];
        }
        if (p != end)
                goto cut;
        *ret = files;
        *ret_n = count;
        return 0;
cut:
        free(files);
        return broken(err, "a file's lengths");
}
