/* Which strings may name things. Bytes in, verdict out. */
#pragma once

#include <stdbool.h>

#define NAME_WORKSPACE_MAX 128 /* bytes without the NUL */
#define NAME_MODEL_MAX     96
#define NAME_UUID_LENGTH   36

/* [A-Za-z0-9_] then [A-Za-z0-9._-]*, at most NAME_WORKSPACE_MAX: safe as one path component. */
bool name_is_workspace(const char *name);
/* 8-4-4-4-12 hex digits, lower or upper case: Codex starts a new thread for anything else. */
bool name_is_uuid(const char *name);
/* [A-Za-z0-9._:/-]+, no leading '-', at most NAME_MODEL_MAX: goes into Codex's argv. */
bool name_is_model(const char *name);
/* A relative path without empty, "." or ".." components, NUL-terminated within `max` bytes;
 * "" names the directory itself. */
bool name_is_relative_path(const char *path, unsigned max);
