/* Everything that codexd.json and the files of workspaces.d say. The launcher reads the files once
 * per load into one bundle of bytes, parses that, and hands the same bytes on as a sealed memfd:
 * whoever parses them with this module holds the same policy. Immutable once made. */
#pragma once

#include "cleanup.h"
#include "error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct settings_class { /* limits on each turn of a class; seconds, 0 none */
        uint32_t wall_clock_s, no_progress_s;
};

enum settings_class_id { SETTINGS_CHAT, SETTINGS_AUTOMATION, _SETTINGS_CLASS_MAX };

struct settings { /* codexd.json, but for the policy keys; strings are never NULL unless said */
        char *codex_path;     /* absolute path of the codex binary */
        char *codex_version;  /* what `codex --version` must say; NULL: any */
        char *model_base_url; /* of the provider, without authentication; NULL: none configured */
        char *model_provider_name;
        uint32_t max_workers;
        uint32_t queue_max, queue_deadline_s;
        uint32_t start_timeout_s, kill_grace_s;
        uint64_t job_output_max; /* bytes of raw output a job may write */
        uint32_t retention_jobs; /* ended jobs kept */
        uint32_t retention_s;
        uint32_t clients_max, clients_max_per_uid;
        uint32_t client_first_byte_s, client_frame_s; /* timeouts: first byte, rest of a frame */
        uint32_t journal_queue_max;                   /* records waiting for journald */
        bool allow_external_sandbox;
        struct settings_class classes[_SETTINGS_CLASS_MAX];
};

struct config;
struct config *config_free(struct config *config);
DEFINE_CLEANUP(struct config *, config_free);
const struct settings *config_settings(const struct config *config);

#define CONFIG_BUNDLE_MAX (16u << 20)
/* Reads DIRFD/codexd.json and what ends in .json in DIRFD/workspaces.d (by name, in strcmp order)
 * into one bundle (malloc'ed, the caller's). Each file and directory must be owned by `owner` (0 in
 * earnest) and not writable by group or others, no symlink on the way: else ERROR_CONFIG_INVALID
 * naming it. `dirname` is for messages; the directories above it are the caller's to judge. A
 * missing workspaces.d is no error, a missing codexd.json is. */
int config_bundle_read(int dirfd, const char *dirname, uint32_t owner, void **ret, size_t *ret_n,
                       struct error *err);
/* Parses a bundle, which need not outlive it. ERROR_CONFIG_INVALID: "FILE:LINE: KEY: what is wrong,
 * what is allowed". */
int config_new(struct config **ret, const void *bundle, size_t n, struct error *err);

/* For people: the rules as they stand, patterns first, then by name. */
struct config_rule_info {
        const char *workspace; /* NULL: a pattern */
        const char *path;      /* `match` of a pattern, or `directory`, or NULL */
        const char *file;
        unsigned line;
};
size_t config_rules(const struct config *config);
void config_rule_get(const struct config *config, size_t i, struct config_rule_info *ret);
/* Calls `warn` for what is valid, and yet will not run or has no effect: a rule that this build
 * cannot carry out, a key that is idle, no rules at all, no model. Returns how many there were, or
 * -ENOMEM. */
int config_warnings(const struct config *config, void (*warn)(void *data, const char *text),
                    void *data);
