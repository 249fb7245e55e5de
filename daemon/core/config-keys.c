/* Every key there is: one row each. conf/ holds the same as samples and as schemas for editors, and
 * the tests hold those against these rows. */
#include "config-internal.h"

#include <string.h>

#define DAY     UINT64_C(86400)
#define YEAR    (366 * DAY)
#define LETTERS CONF_LOWER CONF_UPPER

/* ---- what strings may be ---- */

static const char *check_path(const char *value)
{
        if (value[0] != '/' || !name_is_relative_path(value + 1, CONF_ITEM_MAX + 1) || !value[1])
                return "is no such path; must be absolute, without \".\", \"..\", \"//\" or a "
                       "trailing \"/\", and not \"/\" itself";
        for (const char *c = value; *c; c++)
                if ((unsigned char) *c < ' ' || *c == 0x7f)
                        return "has a control character; must be a printable path";
        return NULL;
}

static const char *check_directory(const char *value)
{
        if (strchr(value, '{') || strchr(value, '}'))
                return "has a brace; {workspace} may stand in \"match\" only";
        return check_path(value);
}

static const char *check_match(const char *value)
{
        const char *found = strstr(value, CONFIG_PLACEHOLDER), *rest;
        size_t before;

        if (!found)
                return "has no {workspace}; must have it once, as a directory's name or part of it";
        rest = found + strlen(CONFIG_PLACEHOLDER);
        before = (size_t) (found - value);
        if (memchr(value, '{', before) || memchr(value, '}', before) || strpbrk(rest, "{}"))
                return "has further braces; must have {workspace} exactly once";
        return check_path(value);
}

static const char *check_workspace(const char *value)
{
        return name_is_workspace(value) ? NULL
                                        : "is no workspace name; must be a letter, digit or \"_\", "
                                          "then letters, digits, \".\", \"_\" and \"-\"";
}

/* A login or group name as useradd(8) makes them; numbers would hide who is meant. */
static const char *check_account(const char *value)
{
        if (!conf_is_word(value, LETTERS "_", LETTERS CONF_DIGIT "_.-", 32))
                return "is no account's name; must be a letter or \"_\", then letters, digits, "
                       "\".\", "
                       "\"_\" and \"-\" (numbers are not taken)";
        if (strcmp(value, "root") == 0)
                return "is root; a job never runs as root, so must be another";
        if (strcmp(value, "codexd") == 0 || strncmp(value, "codexd-", 7) == 0)
                return "is codexd's own; must be another, as it may read all tenants' jobs";
        return NULL;
}

static const char *check_user(const char *value)
{
        return strcmp(value, "owner") == 0 ? NULL : check_account(value);
}

static const char *check_user_pattern(const char *value)
{
        return conf_is_word(value, LETTERS "_*?", LETTERS CONF_DIGIT "_.-*?", 64)
                       ? NULL
                       : "is no pattern of login names; must have letters, digits, \".\", \"_\", "
                         "\"-\", \"*\" and \"?\"";
}

static const char *check_mode(const char *value)
{
        return strcmp(value, policy_sandbox_mode_name(POLICY_EXTERNAL_SANDBOX)) == 0
                       ? "is programmatic only: no rule may set it; with "
                         "\"allow_external_sandbox\" "
                         "a job of root may ask for it"
                       : NULL;
}

static const char *check_model(const char *value)
{
        return name_is_model(value)
                       ? NULL
                       : "is no model's name; must have letters, digits and \"._:/-\", "
                         "and no \"-\" first";
}

static const char *check_server(const char *value)
{
        return conf_is_word(value, LETTERS CONF_DIGIT "_", LETTERS CONF_DIGIT "_-", 64)
                       ? NULL
                       : "is no server's name; must have letters, digits, \"_\" and \"-\"";
}

/* The shape only: what a pattern means is the proxy's to say. */
static const char *check_domain(const char *value)
{
        return conf_is_word(value, LETTERS CONF_DIGIT "*?[_", LETTERS CONF_DIGIT "*?[]_.:-!", 261)
                       ? NULL
                       : "is no domain pattern; must be as \"example.org\", \"*.example.org\" or "
                         "\"example.org:8443\", without scheme or path";
}

static const char *check_base_url(const char *value)
{
        const char *host = strncmp(value, "https://", 8) == 0  ? value + 8
                           : strncmp(value, "http://", 7) == 0 ? value + 7
                                                               : "";

        if (strchr(host, '@'))
                return "has a user or password, which needs the model gateway; must have none";
        return conf_is_word(host, LETTERS CONF_DIGIT "[", LETTERS CONF_DIGIT "._~:/%[]-", 1024)
                       ? NULL
                       : "is no such URL; must be http:// or https://, a host, and a path without "
                         "query, quotes and spaces";
}

static const char *check_provider(const char *value)
{
        return conf_is_word(value, LETTERS CONF_DIGIT, LETTERS CONF_DIGIT " ._-", 64)
                       ? NULL
                       : "is no provider's name; must have letters, digits, \" \", \".\", \"_\" "
                         "and "
                         "\"-\"";
}

static const char *check_version(const char *value)
{
        return conf_is_word(value, CONF_DIGIT, LETTERS CONF_DIGIT ".+-", 31)
                       ? NULL
                       : "is no version; must be as \"0.169.0\"";
}

/* What makes a loader, shell or interpreter run other code, what codexd sets itself, and what is
 * likely to hold a secret: the value would be the daemon's own. */
static const char *check_env(const char *value)
{
        static const char *const exact[] = {
                "PATH",
                "HOME",
                "USER",
                "LOGNAME",
                "SHELL",
                "PWD",
                "OLDPWD",
                "TMPDIR",
                "IFS",
                "ENV",
                "BASH_ENV",
                "BASHOPTS",
                "SHELLOPTS",
                "PS4",
                "PROMPT_COMMAND",
                "NODE_OPTIONS",
                "NODE_PATH",
                "PYTHONPATH",
                "PYTHONHOME",
                "PYTHONSTARTUP",
                "PERL5LIB",
                "PERL5OPT",
                "PERLLIB",
                "PERL5DB",
                "RUBYOPT",
                "RUBYLIB",
                "JAVA_TOOL_OPTIONS",
                "GCONV_PATH",
                "GLIBC_TUNABLES",
                "LOCPATH",
                "NLSPATH",
                "HOSTALIASES",
                "RESOLV_HOST_CONF",
                "RES_OPTIONS",
                "NOTIFY_SOCKET",
                "WATCHDOG_PID",
                "WATCHDOG_USEC",
                "JOURNAL_STREAM",
                "CREDENTIALS_DIRECTORY",
                "SSH_AUTH_SOCK",
                "TOKEN",
                "API_KEY",
                "PASSWORD",
                "PASSPHRASE",
                "SSH_ASKPASS",
                "DBUS_SESSION_BUS_ADDRESS",
        };
        static const char *const starts[] = {"LD_",     "DYLD_",   "CODEX_",  "OPENAI_",
                                             "MALLOC_", "LISTEN_", "GIT_SSH", "GIT_CONFIG"};
        static const char *const ends[] = {"_API_KEY",    "_TOKEN",       "_KEY",  "_KEY_ID",
                                           "_CREDENTIAL", "_CREDENTIALS", "_AUTH", "_PASS",
                                           "_PASSPHRASE", "_DSN"};
        static const char dangerous[] =
                "is a variable that may run code, hold a secret, or is set by codexd; must be "
                "another";
        size_t n = strlen(value);

        if (!conf_is_word(value, CONF_UPPER "_", CONF_UPPER CONF_DIGIT "_", 64))
                return "is no variable's name; must have A to Z, 0 to 9 and \"_\", and no digit "
                       "first";
        for (size_t i = 0; i < N_ELEMENTS(exact); i++)
                if (strcmp(value, exact[i]) == 0)
                        return dangerous;
        for (size_t i = 0; i < N_ELEMENTS(starts); i++)
                if (strncmp(value, starts[i], strlen(starts[i])) == 0)
                        return dangerous;
        for (size_t i = 0; i < N_ELEMENTS(ends); i++)
                if (n > strlen(ends[i]) && strcmp(value + n - strlen(ends[i]), ends[i]) == 0)
                        return dangerous;
        return strstr(value, "SECRET") || strstr(value, "PASSWORD") ? dangerous : NULL;
}

/* ---- the policy keys ---- */

static const char *const modes[] = {"read-only", "workspace-write", "danger-full-access",
                                    "external-sandbox", NULL};
static const char *const approvals[] = {"never", "on-request", "on-failure", "untrusted", NULL};
_Static_assert(N_ELEMENTS(modes) == _POLICY_SANDBOX_MODE_MAX + 1, "a word for each mode");
_Static_assert(N_ELEMENTS(approvals) == _POLICY_APPROVAL_MAX + 1, "a word for each approval");

static int find_word(const char *const *words, const char *word)
{
        for (int i = 0; words[i]; i++)
                if (strcmp(words[i], word) == 0)
                        return i;
        return -EINVAL;
}

const char *policy_sandbox_mode_name(enum policy_sandbox_mode mode)
{
        return (unsigned) mode < _POLICY_SANDBOX_MODE_MAX ? modes[mode] : "invalid";
}

int policy_sandbox_mode_from_name(const char *name)
{
        return find_word(modes, name);
}

const char *policy_approval_name(enum policy_approval approval)
{
        return (unsigned) approval < _POLICY_APPROVAL_MAX ? approvals[approval] : "invalid";
}

int policy_approval_from_name(const char *name)
{
        return find_word(approvals, name);
}

#define NETWORK(member) CONF_FIELD(struct policy_network, member)
static const struct conf_row network_rows[] = {
        {"enabled", CONF_BOOL, "false", NETWORK(enabled),
         .help = "Whether the network is the proxy only. False: the rest of this object is idle."},
        {"http_port", CONF_INT, "3128", 1, 65535, NETWORK(http_port),
         .help = "Port of the HTTP proxy on the worker's own loopback interface."},
        {"socks_port", CONF_INT, "8081", 1, 65535, NETWORK(socks_port),
         .help = "Port of the SOCKS5 proxy on the worker's own loopback interface."},
        {"allow_upstream_proxy", CONF_BOOL, "false", NETWORK(allow_upstream_proxy),
         .help = "Whether the proxy may itself go through the proxy of the host's environment."},
        {"allowed_domains", CONF_STRINGS, "[]", 0, 4096, NETWORK(allowed_domains),
         .check = check_domain,
         .help = "Domain patterns that may be reached. Empty or absent: none may."},
        {"denied_domains", CONF_STRINGS, "[]", 0, 4096, NETWORK(denied_domains),
         .check = check_domain,
         .help = "Domain patterns that may not be reached; stronger than allowed_domains."},
        {"allow_unix_sockets", CONF_STRINGS, "[]", 0, 64, NETWORK(allow_unix_sockets),
         .check = check_directory,
         .help = "Paths of Unix sockets of the host that are shown to the worker."},
        {"allow_local_binding", CONF_BOOL, "false", NETWORK(allow_local_binding),
         .help = "Whether private and local addresses may be reached, where listed."},
};
static const struct conf_table network_table = CONF_TABLE_OF(network_rows);

#define LIMITS(member) CONF_FIELD(struct policy_limits, member)
static const struct conf_row limits_rows[] = {
        {"memory_max", CONF_SIZE, "0", 0, UINT64_C(1) << 46, LIMITS(memory_max),
         .help = "Memory of the whole process tree, as 2147483648 or \"2G\". 0: no limit."},
        {"pids_max", CONF_INT, "0", 0, 4194304, LIMITS(pids_max),
         .help = "Processes and threads of the tree. 0: no limit."},
        {"cpu_weight", CONF_INT, "0", 0, 10000, LIMITS(cpu_weight),
         .help = "Share of the processor against others' 100. 0: the kernel's default."},
};
static const struct conf_table limits_table = CONF_TABLE_OF(limits_rows);

#define POLICY(member) CONF_FIELD(struct policy, member)
static const struct conf_row policy_rows[_POLICY_KEY_MAX] = {
        [POLICY_KEY_USER] = {"user", CONF_STRING, "\"owner\"", 1, 32, POLICY(user),
                             .check = check_user,
                             .help = "Who jobs run as: \"owner\" (of the directory) or a login "
                                     "name. Never root."},
        [POLICY_KEY_USER_PATTERN] = {"user_pattern", CONF_STRING, "null", 1, 64,
                                     POLICY(user_pattern), .check = check_user_pattern,
                                     .help = "Login names that `user` may come out as, with * and "
                                             "?. Null: any but root."},
        [POLICY_KEY_GROUPS] =
                {"groups", CONF_STRINGS, "[]", 0, 32, POLICY(groups), .check = check_account,
                 .help = "Supplementary groups of jobs: exactly these, whatever group(5) says."},
        [POLICY_KEY_SANDBOX_MODE] =
                {"sandbox_mode", CONF_ENUM, "\"read-only\"", POLICY(sandbox_mode), .choices = modes,
                 .check = check_mode,
                 .help = "What files a job may reach. \"external-sandbox\" cannot be set here."},
        [POLICY_KEY_APPROVAL_POLICY] = {"approval_policy", CONF_ENUM, "\"never\"",
                                        POLICY(approval_policy), .choices = approvals,
                                        .help = "When Codex asks before it acts."},
        [POLICY_KEY_SKIP_GIT_REPO_CHECK] =
                {"skip_git_repo_check", CONF_BOOL, "false", POLICY(skip_git_repo_check),
                 .help = "Whether jobs may run outside a git repository."},
        [POLICY_KEY_ADDITIONAL_DIRECTORIES] =
                {"additional_directories", CONF_STRINGS, "[]", 0, 64,
                 POLICY(additional_directories), .check = check_directory,
                 .help = "Directories that are writable beside the workspace, in workspace-write."},
        [POLICY_KEY_READABLE_DIRECTORIES] =
                {"readable_directories", CONF_STRINGS, "[]", 0, 64, POLICY(readable_directories),
                 .check = check_directory,
                 .help = "Directories that are readable beside the workspace, in sandboxed modes."},
        [POLICY_KEY_NETWORK_ACCESS] =
                {"network_access", CONF_BOOL, "false", POLICY(network_access),
                 .help = "Whether jobs reach more than the model. `network` says how."},
        [POLICY_KEY_NETWORK] =
                {"network", CONF_TABLE, NULL, POLICY(network), .table = &network_table,
                 .help = "The proxy, the only way out of a worker. Inherited key by key."},
        [POLICY_KEY_LIMITS] = {"limits", CONF_TABLE, NULL, POLICY(limits), .table = &limits_table,
                               .help = "Limits of a job's control group. Inherited key by key."},
        [POLICY_KEY_ENV] =
                {"env", CONF_STRINGS, "[]", 0, 64, POLICY(env), .check = check_env,
                 .help = "Names of variables that a job may set (by its env, not in this "
                         "build yet). Nothing is inherited from codexd's own."},
        [POLICY_KEY_MCP_SERVERS] =
                {"mcp_servers", CONF_OBJECTS, "{}", 0, 65536, POLICY(mcp_servers),
                 .check = check_server,
                 .help = "MCP servers, by name, with the keys of Codex's own mcp_servers."},
        [POLICY_KEY_DEVELOPER_INSTRUCTIONS] =
                {"developer_instructions", CONF_STRING, "\"\"", 0, 32768,
                 POLICY(developer_instructions),
                 .help = "Instructions that stand before every prompt."},
        [POLICY_KEY_BEST_EFFORT] =
                {"best_effort", CONF_BOOL, "false", POLICY(best_effort),
                 .help = "Whether jobs run where the kernel cannot carry the policy out in full."},
        [POLICY_KEY_MODEL] = {"model", CONF_STRING, "null", 1, NAME_MODEL_MAX, POLICY(model),
                              .check = check_model,
                              .help = "The model where a job names none. Null: Codex's own."},
        [POLICY_KEY_MAX_WORKERS] = {"max_workers", CONF_INT, "2", 1, 1024, POLICY(max_workers),
                                    .help = "Jobs of the workspace that run at once."},
};
const struct conf_table config_policy_table = CONF_TABLE_OF(policy_rows);

#define RULE(member) CONF_FIELD(struct config_rule_values, member)
#define SCHEMA_ROW                                                                                 \
        {                                                                                          \
                "$schema", CONF_IGNORED, .help = "For editors; means nothing here."                \
        }
static const struct conf_row rule_rows[] = {
        SCHEMA_ROW,
        {"match", CONF_STRING, "null", 1, CONF_ITEM_MAX, RULE(match), .check = check_match,
         .help = "A rule for many: a directory with {workspace} in place of the name."},
        {"workspace", CONF_STRING, "null", 1, NAME_WORKSPACE_MAX, RULE(workspace),
         .check = check_workspace, .help = "A rule for the workspace of this name."},
        {"directory", CONF_STRING, "null", 1, CONF_ITEM_MAX, RULE(directory),
         .check = check_directory,
         .help = "Its directory. Null: as a pattern says, and the rule refines that one."},
};
const struct conf_table config_rule_table = {rule_rows, N_ELEMENTS(rule_rows),
                                             &config_policy_table};

/* ---- codexd.json ---- */

#define GATEWAY                                                                                    \
        "needs the model gateway, which this build has not; must go: model.base_url alone is "     \
        "used, without authentication"
#define SECRETS                                                                                    \
        {"*api*key*", CONF_REFUSED, .help = GATEWAY},                                              \
                {"*env_key*", CONF_REFUSED, .help = GATEWAY},                                      \
                {"*token*", CONF_REFUSED, .help = GATEWAY},                                        \
                {"*auth*", CONF_REFUSED, .help = GATEWAY},                                         \
                {"*secret*", CONF_REFUSED, .help = GATEWAY},                                       \
                {"*password*", CONF_REFUSED, .help = GATEWAY},                                     \
        {                                                                                          \
                "*_headers", CONF_REFUSED, .help = GATEWAY                                         \
        }

#define SETTING(member) CONF_FIELD(struct settings, member)
static const struct conf_row codex_rows[] = {
        {"path", CONF_STRING, "\"/usr/local/bin/codex\"", 1, CONF_ITEM_MAX, SETTING(codex_path),
         .check = check_directory, .help = "The codex binary."},
        {"version", CONF_STRING, "null", 1, 31, SETTING(codex_version), .check = check_version,
         .help = "What `codex --version` must say. Null: any."},
};
static const struct conf_table codex_table = CONF_TABLE_OF(codex_rows);

static const struct conf_row model_rows[] = {
        {"base_url", CONF_STRING, "null", 1, 1032, SETTING(model_base_url), .check = check_base_url,
         .help = "Where the model answers (Responses API), without authentication. Null: nowhere."},
        {"provider_name", CONF_STRING, "\"codexd\"", 1, 64, SETTING(model_provider_name),
         .check = check_provider, .help = "What Codex calls the provider in its messages."},
        SECRETS,
};
static const struct conf_table model_table = CONF_TABLE_OF(model_rows);

static const struct conf_row retention_rows[] = {
        {"jobs", CONF_INT, "1000", 1, 10000000, SETTING(retention_jobs),
         .help = "Ended jobs that are kept."},
        {"age_s", CONF_SECONDS, "604800", 60, 10 * YEAR, SETTING(retention_s),
         .help = "How long an ended job is kept."},
};
static const struct conf_table retention_table = CONF_TABLE_OF(retention_rows);

static const struct conf_row clients_rows[] = {
        {"max", CONF_INT, "1024", 1, 65536, SETTING(clients_max), .help = "Connections at once."},
        {"max_per_uid", CONF_INT, "256", 1, 65536, SETTING(clients_max_per_uid),
         .help = "Connections at once of one user."},
        {"first_byte_s", CONF_SECONDS, "30", 1, 3600, SETTING(client_first_byte_s),
         .help = "How long a new connection may be silent."},
        {"frame_s", CONF_SECONDS, "30", 1, 3600, SETTING(client_frame_s),
         .help = "How long a message may take from its first byte to its last."},
};
static const struct conf_table clients_table = CONF_TABLE_OF(clients_rows);

#define CLASS(member)       CONF_FIELD(struct settings_class, member)
#define CLASS_HELP_CLOCK    .help = "How long a turn may take. 0: for ever."
#define CLASS_HELP_PROGRESS .help = "How long a turn may go without an event. 0: for ever."
static const struct conf_row chat_rows[] = {
        {"wall_clock_s", CONF_SECONDS, "3600", 0, 30 * DAY, CLASS(wall_clock_s), CLASS_HELP_CLOCK},
        {"no_progress_s", CONF_SECONDS, "900", 0, 30 * DAY, CLASS(no_progress_s),
         CLASS_HELP_PROGRESS},
};
static const struct conf_row automation_rows[] = {
        {"wall_clock_s", CONF_SECONDS, "7200", 0, 30 * DAY, CLASS(wall_clock_s), CLASS_HELP_CLOCK},
        {"no_progress_s", CONF_SECONDS, "1800", 0, 30 * DAY, CLASS(no_progress_s),
         CLASS_HELP_PROGRESS},
};
static const struct conf_table chat_table = CONF_TABLE_OF(chat_rows);
static const struct conf_table automation_table = CONF_TABLE_OF(automation_rows);

static const struct conf_row classes_rows[] = {
        {"chat", CONF_TABLE, NULL, SETTING(classes[SETTINGS_CHAT]), .table = &chat_table,
         .help = "Turns that somebody waits for."},
        {"automation", CONF_TABLE, NULL, SETTING(classes[SETTINGS_AUTOMATION]),
         .table = &automation_table, .help = "Turns that nobody waits for."},
};
static const struct conf_table classes_table = CONF_TABLE_OF(classes_rows);

#define VALUE(member) CONF_FIELD(struct config_values, member)
static const struct conf_row codexd_rows[] = {
        SCHEMA_ROW,
        {"codex", CONF_TABLE, NULL, VALUE(settings), .table = &codex_table,
         .help = "The program that is run."},
        {"model", CONF_TABLE, NULL, VALUE(settings), .table = &model_table,
         .help = "Where Codex finds its model."},
        {"max_workers", CONF_INT, "8", 1, 4096, VALUE(settings.max_workers),
         .help = "Jobs that run at once, of all workspaces."},
        {"queue_max", CONF_INT, "1000", 0, 1000000, VALUE(settings.queue_max),
         .help = "Jobs that may wait. 0: a job that cannot start at once is refused."},
        {"queue_deadline_s", CONF_SECONDS, "600", 1, 7 * DAY, VALUE(settings.queue_deadline_s),
         .help = "How long a job may wait before it is ended unstarted."},
        {"start_timeout_s", CONF_SECONDS, "30", 1, 3600, VALUE(settings.start_timeout_s),
         .help = "How long Codex may take from exec to its first event."},
        {"kill_grace_s", CONF_SECONDS, "5", 0, 600, VALUE(settings.kill_grace_s),
         .help = "How long a cancelled job may take to end before its whole tree is killed."},
        {"job_output_max", CONF_SIZE, "\"256M\"", 65536, UINT64_C(1) << 40,
         VALUE(settings.job_output_max), .help = "Bytes that a job may write."},
        {"retention", CONF_TABLE, NULL, VALUE(settings), .table = &retention_table,
         .help = "How long ended jobs can be read; whichever limit is reached first."},
        {"clients", CONF_TABLE, NULL, VALUE(settings), .table = &clients_table,
         .help = "Limits on connections to the socket."},
        {"journal_queue_max", CONF_INT, "4096", 16, 1048576, VALUE(settings.journal_queue_max),
         .help = "Records that may wait for journald before some are dropped, and counted."},
        {"allow_external_sandbox", CONF_BOOL, "false", VALUE(settings.allow_external_sandbox),
         .help = "Whether a job of root may ask for \"external-sandbox\"."},
        {"classes", CONF_TABLE, NULL, VALUE(settings), .table = &classes_table,
         .help = "Limits on each turn, by the job's class."},
        {"defaults", CONF_TABLE, NULL, VALUE(defaults), .table = &config_policy_table,
         .help = "What holds in every workspace, unless its rules say otherwise."},
        SECRETS,
};
const struct conf_table config_codexd_table = CONF_TABLE_OF(codexd_rows);
