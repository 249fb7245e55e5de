/* Who may do what: the whole table, every peer against every verb and owner. */
#include "api.h"
#include "peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define GROUP 900

static const struct {
        const char *text;
        bool inside;
} cgroups[] = {
        {"0::/system.slice/cron.service\n", false},
        {"0::/\n", false},
        {"1:name=systemd:/user.slice\n0::/user.slice/user-1.slice\n", false},
        {"0::/system.slice/codexd-workers.service/anchor\n", false},
        {"0::/system.slice/codexd-workers.service/w-1/job\n", true},
        {"0::/system.slice/codexd-workers.service/w-184467/keeper\n", true},
        {"0::/w-1\n", true},
        {"0::/../../w-12/job/deeper\n", true},
        {"4:memory:/w-3/job\n0::/\n", true},
        {"0::/\n4:memory:/a/w-3\n", true},
        {"0::/w-\n", false},
        {"0::/w-1x\n", false},
        {"0::/xw-1\n", false},
        {"0::/w-a\n", false},
        {"2:cpu,cpuacct:/a:w-1\n", false}, /* a colon within a name */
        {"2:cpu,cpuacct:/a:b/w-1\n", true},
        /* not what the kernel writes: nobody can tell */
        {"", true},
        {"0::/system.slice", true},
        {"\n", true},
        {"0:/a\n", true},
        {"nonsense\n", true},
        {"0::relative\n", true},
};

static void test_cgroups(void **state)
{
        for (size_t i = 0; i < sizeof cgroups / sizeof cgroups[0]; i++) {
                print_message("%s\n", cgroups[i].text);
                assert_int_equal(peer_cgroup_inside(cgroups[i].text, strlen(cgroups[i].text)),
                                 cgroups[i].inside);
        }
        assert_true(peer_cgroup_inside("0::/a\0b\n", 8));
}

static const struct peer peers[] = {
        {.uid = 0, .gid = 0, .pid = 1},
        {.uid = 50, .gid = 50, .pid = 1, .member = true},
        {.uid = 1234, .gid = 1234, .pid = 1},
        {.uid = 0, .gid = 0, .pid = 1, .from_worker = true},
        {.uid = 1234, .gid = 1234, .pid = 1, .from_worker = true},
        {.uid = (uid_t) -1, .gid = (gid_t) -1, .pid = 1},
};
enum { ROOT, MEMBER, OWNER, ROOT_INSIDE, OWNER_INSIDE, NOBODY, PEERS };

/* Every verb of the interface, and for whom it is: R root, M member, O an owner. */
static const struct {
        const char *method, *may;
} verbs[] = {
        {"io.codexd.Submit", "RMO"},
        {"io.codexd.Attach", "RMO"},
        {"io.codexd.Wait", "RMO"},
        {"io.codexd.Cancel", "RMO"},
        {"io.codexd.Get", "RMO"},
        {"io.codexd.List", "RMO"},
        {"io.codexd.Ping", "RMO"},
        {"io.codexd.Stats", "RMO"},
        {"io.codexd.Reload", "R"},
        {"io.codexd.Drain", "R"},
        {"io.codexd.Resume", "R"},
        {"org.varlink.service.GetInfo", "RMO"},
        {"org.varlink.service.GetInterfaceDescription", "RMO"},
};

static void test_verbs(void **state)
{
        static const char letters[PEERS] = {[ROOT] = 'R', [MEMBER] = 'M', [OWNER] = 'O'};

        for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
                enum access access;

                assert_int_equal(api_access(verbs[i].method, &access), 0);
                for (int who = 0; who < PEERS; who++) {
                        struct error error = {0};
                        bool may = letters[who] && strchr(verbs[i].may, letters[who]);

                        print_message("%s %d\n", verbs[i].method, who);
                        assert_int_equal(access_check(access, &peers[who], &error) == 0, may);
                        if (peers[who].from_worker)
                                assert_int_equal(error.kind, ERROR_NOT_FROM_WORKER);
                        else if (!may)
                                assert_int_equal(error.kind, ERROR_NOT_PERMITTED);
                }
        }
        {
                enum access access;

                assert_int_equal(api_access("io.codexd.Shutdown", &access), -ENOENT);
                assert_int_equal(api_access("io.codexd.submit", &access), -ENOENT);
        }
}

static void test_owners(void **state)
{
        static const struct {
                int who;
                uid_t uid;
                bool may;
        } cases[] = {
                {ROOT, 1234, true},         {ROOT, 0, true},         {MEMBER, 1234, true},
                {OWNER, 1234, true},        {OWNER, 1235, false},    {OWNER, 0, false},
                {OWNER, (uid_t) -1, false}, {ROOT_INSIDE, 0, false}, {OWNER_INSIDE, 1234, false},
                {NOBODY, 1234, false},      {NOBODY, 0, false},
        };

        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
                assert_int_equal(access_to(&peers[cases[i].who], cases[i].uid), cases[i].may);
}

static void test_of_this_process(void **state)
{
        int pair[2];
        struct peer peer;

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        assert_int_equal(peer_read(&peer, pair[0], (gid_t) -1), 0);
        assert_int_equal(peer.uid, getuid());
        assert_int_equal(peer.pid, getpid());
        assert_false(peer.member);
        assert_false(peer.from_worker);
        assert_int_equal(peer_read(&peer, pair[0], getegid()), 0);
        assert_true(peer.member);
        (void) close(pair[0]);
        (void) close(pair[1]);
        assert_int_equal(peer_read(&peer, -1, 0), -EBADF);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_cgroups),
                cmocka_unit_test(test_verbs),
                cmocka_unit_test(test_owners),
                cmocka_unit_test(test_of_this_process),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
