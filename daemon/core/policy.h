/* What a workspace's jobs may do: the policy in force for one workspace, after inheritance
 * (defaults, pattern, exact rule), narrowed by what one job asked for. Answers yes or no, and why.
 * One engine: the launcher enforces with it, the others explain with it. No fd, no clock, no JSON.
 */
#pragma once

#include "cleanup.h"
#include "error.h"
#include "wire-launch.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* In the order of strength: a job may go to a smaller one, never to a larger. */
enum policy_sandbox_mode {
        POLICY_READ_ONLY,
        POLICY_WORKSPACE_WRITE,
        POLICY_DANGER_FULL_ACCESS,
        POLICY_EXTERNAL_SANDBOX,
        _POLICY_SANDBOX_MODE_MAX
};
enum policy_approval {
        POLICY_APPROVAL_NEVER,
        POLICY_APPROVAL_ON_REQUEST,
        POLICY_APPROVAL_ON_FAILURE,
        POLICY_APPROVAL_UNTRUSTED,
        _POLICY_APPROVAL_MAX
};
const char *policy_sandbox_mode_name(enum policy_sandbox_mode mode); /* "read-only"; static */
int policy_sandbox_mode_from_name(const char *name);                 /* or -EINVAL */
const char *policy_approval_name(enum policy_approval approval);
int policy_approval_from_name(const char *name);

struct policy_network {
        bool enabled, allow_upstream_proxy, allow_local_binding;
        uint16_t http_port, socks_port;
        char **allowed_domains, **denied_domains, **allow_unix_sockets; /* NULL-terminated */
};

struct policy_limits {
        uint64_t memory_max; /* bytes; 0 none */
        uint64_t pids_max;   /* 0 none */
        uint64_t cpu_weight; /* 1..10000; 0 the kernel's default */
};

struct policy_origin {    /* where a key was set */
        const char *file; /* "built-in" for the default */
        unsigned line;    /* 0 for the default */
};

/* Every key a rule may have, in the order of the sample file. */
enum policy_key {
        POLICY_KEY_USER,
        POLICY_KEY_USER_PATTERN,
        POLICY_KEY_GROUPS,
        POLICY_KEY_SANDBOX_MODE,
        POLICY_KEY_APPROVAL_POLICY,
        POLICY_KEY_SKIP_GIT_REPO_CHECK,
        POLICY_KEY_ADDITIONAL_DIRECTORIES,
        POLICY_KEY_READABLE_DIRECTORIES,
        POLICY_KEY_NETWORK_ACCESS,
        POLICY_KEY_NETWORK,
        POLICY_KEY_LIMITS,
        POLICY_KEY_ENV,
        POLICY_KEY_MCP_SERVERS,
        POLICY_KEY_DEVELOPER_INSTRUCTIONS,
        POLICY_KEY_BEST_EFFORT,
        POLICY_KEY_MODEL,
        POLICY_KEY_MAX_WORKERS,
        _POLICY_KEY_MAX
};

struct policy {
        char workspace[NAME_WORKSPACE_MAX + 8];
        char *directory; /* absolute: the rule's `match` with the name put in, or its `directory` */
        char *user;      /* "owner": of the directory; else a login name */
        char *user_pattern; /* glob(7) for the login name; NULL any */
        char **groups;      /* supplementary groups, by name: exactly these */
        enum policy_sandbox_mode sandbox_mode;
        enum policy_approval approval_policy;
        bool skip_git_repo_check, network_access, best_effort;
        struct policy_network network;
        struct policy_limits limits;
        char **additional_directories, **readable_directories, **env;
        char *mcp_servers; /* JSON text, "{}" when empty */
        char *developer_instructions;
        char *model;                                   /* NULL: Codex's own default */
        uint32_t max_workers;                          /* at once for this workspace */
        bool allow_external_sandbox;                   /* codexd.json's: no key of a rule */
        struct policy_origin origins[_POLICY_KEY_MAX]; /* borrowed from the config */
        uint8_t digest[WIRE_DIGEST_SIZE]; /* SHA-256 over every key above in a fixed form */
};
struct policy *policy_free(struct policy *policy);
DEFINE_CLEANUP(struct policy *, policy_free);

struct config;

#define POLICY_CANDIDATES_MAX 16
/* The directories that rules name for this workspace, best rule first (an exact one shadows all
 * patterns). Which of them exists is for the caller to find out (launcher: by descriptor): none is
 * ERROR_NO_SUCH_WORKSPACE, more than one pattern's is ambiguous and refused. Gives policies without
 * narrowing; returns how many, or negative errno with `err` set (no rule fits the name). */
int policy_candidates(const struct config *config, const char *workspace,
                      struct policy *ret[POLICY_CANDIDATES_MAX], struct error *err);

/* Narrows by a job's wish and makes the digest anew. ERROR_POLICY_REFUSED names the key that asked
 * for more. `wish` comes from a stranger: every number in it is checked. */
int policy_narrow(struct policy *policy, const struct wire_wish *wish, struct error *err);

/* Whether this build can carry the policy out in full; ERROR_POLICY_UNSUPPORTED names the key. A
 * policy is never run weaker than it reads. */
int policy_enforceable(const struct policy *policy, struct error *err);

/* For people: a key's name (static), and its value as JSON (malloc'ed; NULL without memory). Both
 * take every enum policy_key; `network` and `limits` are objects, inherited key by key, and their
 * origin is the last rule that set any of theirs. */
const char *policy_key_name(enum policy_key key);
char *policy_key_value(const struct policy *policy, enum policy_key key);

/* glob with '*' and '?', for user_pattern. */
bool policy_glob_match(const char *pattern, const char *string);
