/* Who may have written the configuration, and the form it is handed on in. Ownership is tried as
 * root; without root, with our own uid as the owner, and the rows that need chown(2) are left out.
 */
#include "conf-bundle.h"
#include "conf-check.h"
#include "config-internal.h"
#include "fd.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64];

static void put(const char *name, const char *text, mode_t mode)
{
        char path[400];
        int fd;

        (void) snprintf(path, sizeof path, "%s/%s", dir, name);
        fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        assert_int_equal(fd_write_all(fd, text, strlen(text)), 0);
        assert_int_equal(fchmod(fd, mode), 0);
        (void) fd_close(fd);
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
        return remove(path);
}

static int set_up(void **state)
{
        char path[400];

        (void) snprintf(dir, sizeof dir, "/tmp/codexd-bundle-XXXXXX");
        assert_non_null(mkdtemp(dir));
        assert_int_equal(chmod(dir, 0755), 0);
        (void) snprintf(path, sizeof path, "%s/workspaces.d", dir);
        assert_int_equal(mkdir(path, 0755), 0);
        put("codexd.json", "{}", 0644);
        put("workspaces.d/10.json", "{\"match\": \"/a/{workspace}\"}", 0644);
        return 0;
}

static int tear_down(void **state)
{
        return nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static int read_dir(void **ret, size_t *ret_n, struct error *err)
{
        _cleanup_fd_ int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        assert_true(fd >= 0);
        memset(err, 0, sizeof *err);
        return config_bundle_read(fd, "CONF", geteuid(), ret, ret_n, err);
}

static void refused(const char *what, const char *says)
{
        void *bundle = NULL;
        struct error err;
        size_t n = 0;
        int r = read_dir(&bundle, &n, &err);

        if (r >= 0 || bundle || n > 0 || err.kind != ERROR_CONFIG_INVALID ||
            strncmp(err.message, says, strlen(says)) != 0)
                fail_msg("%s: %d, \"%s\", not \"%s...\"", what, r, err.message, says);
}

static void accepted(const char *what, size_t files)
{
        struct config_file *list;
        void *bundle = NULL;
        struct error err;
        size_t n, count;

        CHECK_OK(read_dir(&bundle, &n, &err), err);
        CHECK_OK(config_bundle_parse(bundle, n, &list, &count, &err), err);
        CHECK(what, count == files);
        assert_string_equal(list[0].name, "CONF/codexd.json");
        free(list);
        free(bundle);
}

static char *at(const char *name)
{
        static char path[2][400];
        static int turn;

        turn = !turn;
        (void) snprintf(path[turn], sizeof path[turn], "%s/%s", dir, name);
        return path[turn];
}

/* ---- what is read ---- */

static void test_files_in_order(void **state)
{
        static const char *const want[] = {"codexd.json", "workspaces.d/10.json",
                                           "workspaces.d/9.json", "workspaces.d/B.json",
                                           "workspaces.d/a.json"};
        struct config_file *files;
        void *bundle;
        struct error err;
        size_t n, count;

        put("workspaces.d/a.json", "[]", 0644);
        put("workspaces.d/B.json", "[ ]", 0400);
        put("workspaces.d/9.json", "[  ]", 0644);
        put("workspaces.d/.hidden.json", "nonsense", 0644);
        put("workspaces.d/notes.txt", "nonsense", 0666);
        put("workspaces.d/10.json~", "nonsense", 0644);
        put("other.json", "nonsense", 0666);
        CHECK_OK(read_dir(&bundle, &n, &err), err);
        CHECK_OK(config_bundle_parse(bundle, n, &files, &count, &err), err);
        assert_int_equal(count, N_ELEMENTS(want));
        for (size_t i = 0; i < count; i++) {
                assert_memory_equal(files[i].name, "CONF/", 5);
                assert_string_equal(files[i].name + 5, want[i]);
        }
        assert_int_equal(files[2].n, 4);
        assert_memory_equal(files[2].text, "[  ]", 4);
        free(files);
        free(bundle);
}

static void test_what_is_missing(void **state)
{
        assert_int_equal(unlink(at("workspaces.d/10.json")), 0);
        accepted("an empty workspaces.d", 1);
        assert_int_equal(rmdir(at("workspaces.d")), 0);
        accepted("no workspaces.d", 1);
        assert_int_equal(unlink(at("codexd.json")), 0);
        refused("no codexd.json", "CONF/codexd.json: No such file");
}

static void test_modes(void **state)
{
        static const struct {
                const char *name, *message;
                mode_t bad[3], good[3];
        } cases[] = {
                {"codexd.json",
                 "CONF/codexd.json: has mode ",
                 {0664, 0646, 0666},
                 {0644, 0600, 0444}},
                {"workspaces.d/10.json",
                 "CONF/workspaces.d/10.json: has mode ",
                 {0664, 0646, 0622},
                 {0644, 0600, 0640}},
                {"workspaces.d",
                 "CONF/workspaces.d: has mode ",
                 {0775, 01777, 0757},
                 {0755, 0700, 0750}},
                {".", "CONF: has mode ", {0775, 01777, 0757}, {0755, 0700, 0750}},
        };

        for (size_t i = 0; i < N_ELEMENTS(cases); i++)
                for (size_t k = 0; k < 3; k++) {
                        assert_int_equal(chmod(at(cases[i].name), cases[i].bad[k]), 0);
                        refused(cases[i].name, cases[i].message);
                        assert_int_equal(chmod(at(cases[i].name), cases[i].good[k]), 0);
                        accepted(cases[i].name, 2);
                }
}

static void test_owners(void **state)
{
        static const struct {
                const char *name, *message;
        } cases[] = {
                {"codexd.json", "CONF/codexd.json: belongs to uid 12345; must belong to uid 0"},
                {"workspaces.d/10.json", "CONF/workspaces.d/10.json: belongs to uid 12345"},
                {"workspaces.d", "CONF/workspaces.d: belongs to uid 12345"},
                {".", "CONF: belongs to uid 12345"},
        };

        if (geteuid() != 0)
                skip();
        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                assert_int_equal(chown(at(cases[i].name), 12345, 0), 0);
                refused(cases[i].name, cases[i].message);
                assert_int_equal(chown(at(cases[i].name), 0, 12345), 0);
                accepted(cases[i].name, 2); /* whose group it is matters not: it cannot write */
        }
}

static void test_links_and_other_kinds(void **state)
{
        put("elsewhere", "{}", 0644);
        assert_int_equal(unlink(at("codexd.json")), 0);
        assert_int_equal(symlink("elsewhere", at("codexd.json")), 0);
        refused("codexd.json a link", "CONF/codexd.json: is a symbolic link");
        assert_int_equal(unlink(at("codexd.json")), 0);
        assert_int_equal(mkdir(at("codexd.json"), 0755), 0);
        refused("codexd.json a directory", "CONF/codexd.json: is no regular file");
        assert_int_equal(rmdir(at("codexd.json")), 0);
        assert_int_equal(mkfifo(at("codexd.json"), 0644), 0);
        refused("codexd.json a FIFO", "CONF/codexd.json: is no regular file"); /* and no hanging */
        assert_int_equal(unlink(at("codexd.json")), 0);
        put("codexd.json", "{}", 0644);

        assert_int_equal(symlink("../elsewhere", at("workspaces.d/20.json")), 0);
        refused("a rule a link", "CONF/workspaces.d/20.json: is a symbolic link");
        assert_int_equal(unlink(at("workspaces.d/20.json")), 0);
        assert_int_equal(symlink("nowhere", at("workspaces.d/20.json")), 0);
        refused("a dead link", "CONF/workspaces.d/20.json: is a symbolic link");
        assert_int_equal(unlink(at("workspaces.d/20.json")), 0);
        assert_int_equal(mkdir(at("workspaces.d/20.json"), 0755), 0);
        refused("a rule a directory", "CONF/workspaces.d/20.json: is no regular file");
        assert_int_equal(rmdir(at("workspaces.d/20.json")), 0);
        put("workspaces.d/a b.json", "{}", 0644);
        refused("an odd name", "CONF/workspaces.d: has a .json file whose name is odd");
        assert_int_equal(unlink(at("workspaces.d/a b.json")), 0);
        accepted("none of it", 2);

        assert_int_equal(rename(at("workspaces.d"), at("real.d")), 0);
        assert_int_equal(symlink("real.d", at("workspaces.d")), 0);
        refused("workspaces.d a link", "CONF/workspaces.d: is a symbolic link");
        assert_int_equal(unlink(at("workspaces.d")), 0);
        put("workspaces.d", "", 0644);
        refused("workspaces.d a file", "CONF/workspaces.d: Not a directory");
}

static void test_sizes(void **state)
{
        assert_int_equal(truncate(at("codexd.json"), CONF_FILE_MAX), 0);
        accepted("the longest file", 2);
        assert_int_equal(truncate(at("codexd.json"), CONF_FILE_MAX + 1), 0);
        refused("one byte more", "CONF/codexd.json: File too large");
        assert_int_equal(truncate(at("codexd.json"), CONF_FILE_MAX), 0);
        put("workspaces.d/20.json", "", 0644);
        put("workspaces.d/21.json", "", 0644);
        put("workspaces.d/22.json", "", 0644);
        assert_int_equal(truncate(at("workspaces.d/20.json"), CONF_FILE_MAX), 0);
        assert_int_equal(truncate(at("workspaces.d/21.json"), CONF_FILE_MAX), 0);
        accepted("three of them", 5);
        assert_int_equal(truncate(at("workspaces.d/22.json"), CONF_FILE_MAX), 0);
        refused("four of them", "CONF/workspaces.d/22.json: all files together are too long");
}

/* ---- the form ---- */

static struct made made;

static int parse(const void *bytes, size_t n, struct error *err)
{
        struct config_file *files = NULL;
        char *copy = malloc(n + (n == 0)); /* to the byte, for the sanitizers */
        size_t count;
        int r;

        assert_non_null(copy);
        memcpy(copy, bytes, n);
        memset(err, 0, sizeof *err);
        r = config_bundle_parse(copy, n, &files, &count, err);
        if (r == 0) {
                volatile char last;

                for (size_t i = 0; i < count; i++) {
                        assert_true(strlen(files[i].name) > 0);
                        for (size_t k = 0; k < files[i].n; k++)
                                last = files[i].text[k];
                }
                (void) last;
                free(files);
        } else {
                assert_null(files);
                assert_int_equal(err->kind, ERROR_CONFIG_INVALID);
        }
        free(copy);
        return r;
}

static void test_prefixes_and_more(void **state)
{
        _cleanup_(config_freep) struct config *config = NULL;
        struct error err;

        made_bundle(&made, "{}", "{\"match\": \"/a/{workspace}\"}", "[]");
        for (size_t n = 0; n < made.n; n++)
                assert_int_equal(parse(made.bytes, n, &err), -EINVAL);
        CHECK_OK(parse(made.bytes, made.n, &err), err);
        CHECK_OK(config_new(&config, made.bytes, made.n, &err), err);
        assert_int_equal(parse(made.bytes, made.n + 1, &err), -EINVAL); /* nothing rides along */
}

static void test_every_byte_corrupted(void **state)
{
        static const unsigned char masks[] = {0x01, 0x80, 0xff};
        struct error err;

        made_bundle(&made, "{}", "{\"match\": \"/a/{workspace}\"}", "[]");
        for (size_t i = 0; i < made.n; i++)
                for (size_t k = 0; k < N_ELEMENTS(masks); k++) {
                        _cleanup_(config_freep) struct config *config = NULL;
                        int r;

                        made.bytes[i] = (char) (made.bytes[i] ^ masks[k]);
                        (void) parse(made.bytes, made.n, &err);
                        if (i < 12 + 8) /* magic, count, the first lengths */
                                assert_int_equal(parse(made.bytes, made.n, &err), -EINVAL);
                        r = config_new(&config, made.bytes, made.n, &err);
                        assert_true((r == 0) == (config != NULL));
                        made.bytes[i] = (char) (made.bytes[i] ^ masks[k]);
                }
}

static const struct {
        const char *what;
        uint32_t count, name, text;
} forms[] = {
        {"no files", 0, 12, 2},
        {"a file too many", 2, 12, 2},
        {"more than memory", UINT32_MAX, 12, 2},
        {"more than allowed", CONFIG_FILES_MAX + 1, 12, 2},
        {"no name", 1, 0, 14},
        {"an empty name", 1, 1, 13},
        {"a name cut short", 1, 11, 3},
        {"a name into the text", 1, 13, 1},
        {"an endless name", 1, UINT32_MAX, 2},
        {"an endless text", 1, 12, UINT32_MAX},
        {"lengths that wrap", 1, 12 - 1000, 2 + 1000},
        {"a short text", 1, 12, 1},
        {"a long text", 1, 12, 3},
        {"a text over the limit", 1, 12, CONF_FILE_MAX + 1},
};

static void test_numbers_that_lie(void **state)
{
        struct error err;

        made_bundle(&made, "{}", NULL, NULL);
        CHECK_OK(parse(made.bytes, made.n, &err), err);
        for (size_t i = 0; i < N_ELEMENTS(forms); i++) {
                memcpy(made.bytes + 8, &forms[i].count, 4);
                memcpy(made.bytes + 12, &forms[i].name, 4);
                memcpy(made.bytes + 16, &forms[i].text, 4);
                CHECK(forms[i].what, parse(made.bytes, made.n, &err) == -EINVAL);
        }
}

static void test_size_of_all(void **state)
{
        char *bytes = calloc(1, CONFIG_BUNDLE_MAX + 1);
        struct error err;

        assert_non_null(bytes);
        assert_int_equal(parse(bytes, CONFIG_BUNDLE_MAX + 1, &err), -EINVAL);
        assert_non_null(strstr(err.message, "its size"));
        for (uint32_t n = CONF_FILE_MAX; n <= CONF_FILE_MAX + 1; n++) {
                made_bundle(&made, "", NULL, NULL);
                memcpy(made.bytes + 16, &n, 4);
                memcpy(bytes, made.bytes, made.n);
                assert_int_equal(parse(bytes, made.n + n, &err), n > CONF_FILE_MAX ? -EINVAL : 0);
        }
        free(bytes);
}

int main(void)
{
#define WITH_DIR(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
        const struct CMUnitTest tests[] = {
                WITH_DIR(test_files_in_order),
                WITH_DIR(test_what_is_missing),
                WITH_DIR(test_modes),
                WITH_DIR(test_owners),
                WITH_DIR(test_links_and_other_kinds),
                WITH_DIR(test_sizes),
                cmocka_unit_test(test_prefixes_and_more),
                cmocka_unit_test(test_every_byte_corrupted),
                cmocka_unit_test(test_numbers_that_lie),
                cmocka_unit_test(test_size_of_all),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
