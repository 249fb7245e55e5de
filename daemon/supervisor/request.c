#include "request.h"
#include "cleanup.h"
#include "policy.h"
#include "text.h"
#include "varlink.h"

#include <stdio.h>
#include <string.h>

struct raw { /* as the table below fills it */
        const char *workspace, *prompt, *cwd, *thread_id, *model, *sandbox_mode, *approval_policy;
        const char *owner, *class, *on_disconnect;
        int network_access, skip_git_repo_check;
        int64_t deadline_s;
};

static int copy(char *to, size_t room, const char *key, const char *from, struct error *err)
{
        if (strlen(from) >= room)
                return error_set_key(err, ERROR_BAD_REQUEST, key, "\"%s\" is longer than %zu bytes",
                                     key, room - 1);
        (void) snprintf(to, room, "%s", from);
        return 0;
}

static int set_wish(struct request *request, const struct raw *raw, struct error *err)
{
        struct wire_wish *wish = &request->wish;
        int r;

        if (raw->model) {
                if (!name_is_model(raw->model))
                        return error_set_key(err, ERROR_BAD_REQUEST, "model",
                                             "\"model\" must be of A-Z a-z 0-9 . _ : / - and at "
                                             "most %d bytes",
                                             NAME_MODEL_MAX);
                (void) snprintf(wish->model, sizeof wish->model, "%s", raw->model);
        }
        if (raw->sandbox_mode) {
                r = policy_sandbox_mode_from_name(raw->sandbox_mode);
                if (r < 0)
                        return error_set_key(err, ERROR_BAD_REQUEST, "sandbox_mode",
                                             "\"sandbox_mode\" must be read-only, workspace-write, "
                                             "danger-full-access or external-sandbox");
                wish->sandbox_mode = (uint32_t) r + 1;
        }
        if (raw->approval_policy) {
                r = policy_approval_from_name(raw->approval_policy);
                if (r < 0)
                        return error_set_key(err, ERROR_BAD_REQUEST, "approval_policy",
                                             "\"approval_policy\" must be never, on-request, "
                                             "on-failure or untrusted");
                wish->approval_policy = (uint32_t) r + 1;
        }
        wish->network_access = (uint32_t) (raw->network_access + 1);
        wish->skip_git_repo_check = (uint32_t) (raw->skip_git_repo_check + 1);
        return 0;
}

static int set_texts(struct request *request, const struct raw *raw, struct error *err)
{
        int r;

        if (!name_is_workspace(raw->workspace))
                return error_set_key(err, ERROR_BAD_REQUEST, "workspace",
                                     "\"workspace\" must be of A-Z a-z 0-9 . _ - , begin with a "
                                     "letter, digit or _, and have at most %d bytes",
                                     NAME_WORKSPACE_MAX);
        (void) snprintf(request->workspace, sizeof request->workspace, "%s", raw->workspace);
        if (raw->thread_id) {
                if (!name_is_uuid(raw->thread_id))
                        return error_set_key(err, ERROR_BAD_REQUEST, "thread_id",
                                             "\"thread_id\" must be a UUID");
                (void) snprintf(request->thread_id, sizeof request->thread_id, "%s",
                                raw->thread_id);
        }
        if (raw->cwd) {
                r = copy(request->cwd, sizeof request->cwd, "cwd", raw->cwd, err);
                if (r < 0)
                        return r;
        }
        if (!text_is_printable(raw->owner, REQUEST_OWNER_MAX))
                return error_set_key(err, ERROR_BAD_REQUEST, "owner",
                                     "\"owner\" must be 1 to %d printable ASCII characters",
                                     REQUEST_OWNER_MAX);
        (void) snprintf(request->owner, sizeof request->owner, "%s", raw->owner);
        return 0;
}

static int set_rest(struct request *request, const struct raw *raw, struct error *err)
{
        request->class = JOB_CHAT;
        if (raw->class) {
                int class = job_class_from_name(raw->class);

                if (class < 0)
                        return error_set_key(err, ERROR_BAD_REQUEST, "class",
                                             "\"class\" must be chat or automation");
                request->class = (enum job_class) class;
        }
        if (raw->deadline_s != INT64_MIN) {
                if (raw->deadline_s < 1 || raw->deadline_s > REQUEST_DEADLINE_MAX)
                        return error_set_key(err, ERROR_BAD_REQUEST, "deadline_s",
                                             "\"deadline_s\" must be between 1 and %u",
                                             REQUEST_DEADLINE_MAX);
                request->deadline_s = (uint32_t) raw->deadline_s;
        }
        if (raw->on_disconnect && strcmp(raw->on_disconnect, "detach") != 0) {
                if (strcmp(raw->on_disconnect, "cancel") == 0)
                        return error_set_key(err, ERROR_POLICY_UNSUPPORTED, "on_disconnect",
                                             "\"on_disconnect\": only detach is supported yet");
                return error_set_key(err, ERROR_BAD_REQUEST, "on_disconnect",
                                     "\"on_disconnect\" must be detach or cancel");
        }
        return 0;
}

static int check_prompt(const char *prompt, size_t n, struct error *err)
{
        size_t count = text_count(prompt, n);

        if (n == 0)
                return error_set_key(err, ERROR_BAD_REQUEST, "prompt", "\"prompt\" is empty");
        if (count > REQUEST_PROMPT_MAX)
                return error_set_key(err, ERROR_PROMPT_TOO_LONG, "prompt",
                                     "the prompt has %zu characters; Codex takes %u", count,
                                     REQUEST_PROMPT_MAX);
        return 0;
}

int request_parse(struct request *ret, json_t *parameters, const char *owner,
                  const char **ret_prompt, size_t *ret_prompt_size, struct error *err)
{
        struct raw raw = {.deadline_s = INT64_MIN};
        const struct varlink_param table[] = {
                {"workspace", VARLINK_STRING, true, &raw.workspace},
                {"prompt", VARLINK_STRING, true, &raw.prompt},
                {"cwd", VARLINK_STRING, false, &raw.cwd},
                {"thread_id", VARLINK_STRING, false, &raw.thread_id},
                {"model", VARLINK_STRING, false, &raw.model},
                {"sandbox_mode", VARLINK_STRING, false, &raw.sandbox_mode},
                {"network_access", VARLINK_BOOL, false, &raw.network_access},
                {"approval_policy", VARLINK_STRING, false, &raw.approval_policy},
                {"skip_git_repo_check", VARLINK_BOOL, false, &raw.skip_git_repo_check},
                {"owner", VARLINK_STRING, false, &raw.owner},
                {"class", VARLINK_STRING, false, &raw.class},
                {"deadline_s", VARLINK_INT, false, &raw.deadline_s},
                {"on_disconnect", VARLINK_STRING, false, &raw.on_disconnect},
                {"idempotency_key", VARLINK_UNSUPPORTED, false, NULL},
                {"output_schema", VARLINK_UNSUPPORTED, false, NULL},
                {"images", VARLINK_UNSUPPORTED, false, NULL},
                {"env", VARLINK_UNSUPPORTED, false, NULL},
                {"additional_directories", VARLINK_UNSUPPORTED, false, NULL},
        };
        struct request request = {0};
        size_t n;
        int r;

        r = varlink_params(parameters, table, N_ELEMENTS(table), err);
        if (r < 0)
                return r;
        if (!raw.owner)
                raw.owner = owner;
        n = json_string_length(json_object_get(parameters, "prompt"));
        r = check_prompt(raw.prompt, n, err);
        if (r == 0)
                r = set_texts(&request, &raw, err);
        if (r == 0)
                r = set_wish(&request, &raw, err);
        if (r == 0)
                r = set_rest(&request, &raw, err);
        if (r < 0)
                return r;
        *ret = request;
        *ret_prompt = raw.prompt;
        *ret_prompt_size = n;
        return 0;
}

int request_set_cwd(struct request *request, const char *directory, struct error *err)
{
        const char *cwd = request->cwd;
        char relative[WIRE_CWD_MAX];
        size_t n;

        if (cwd[0] == '/') {
                n = strlen(directory);
                while (n > 1 && directory[n - 1] == '/')
                        n--;
                if (strncmp(cwd, directory, n) != 0 || (cwd[n] != '/' && cwd[n] != '\0'))
                        return error_set_key(err, ERROR_POLICY_REFUSED, "cwd",
                                             "\"cwd\" is not inside the workspace, %.200s",
                                             directory);
                cwd += n;
                while (*cwd == '/')
                        cwd++;
        }
        memset(relative, 0, sizeof relative);
        n = (size_t) snprintf(relative, sizeof relative, "%s", cwd);
        while (n > 0 && relative[n - 1] == '/')
                relative[--n] = '\0';
        if (strcmp(relative, ".") == 0)
                relative[0] = '\0';
        if (!name_is_relative_path(relative, sizeof relative))
                return error_set_key(err, ERROR_BAD_REQUEST, "cwd",
                                     "\"cwd\" must be a path inside the workspace without empty, "
                                     "\".\" or \"..\" components");
        memcpy(request->cwd, relative, sizeof request->cwd); /* zero-filled: it goes on the wire */
        return 0;
}

static void set_string(json_t *json, const char *key, const char *value)
{
        if (value[0])
                (void) json_object_set_new(json, key, json_string(value));
}

json_t *request_to_json(const struct request *request)
{
        const struct wire_wish *wish = &request->wish;
        json_t *json = json_pack("{s:s, s:s, s:s}", "workspace", request->workspace, "owner",
                                 request->owner, "class", job_class_name(request->class));

        if (!json)
                return NULL;
        set_string(json, "cwd", request->cwd);
        set_string(json, "thread_id", request->thread_id);
        set_string(json, "model", wish->model);
        if (wish->sandbox_mode)
                set_string(json, "sandbox_mode", policy_sandbox_mode_name(wish->sandbox_mode - 1));
        if (wish->approval_policy)
                set_string(json, "approval_policy",
                           policy_approval_name(wish->approval_policy - 1));
        if (wish->network_access)
                (void) json_object_set_new(json, "network_access",
                                           json_boolean(wish->network_access == 2));
        if (wish->skip_git_repo_check)
                (void) json_object_set_new(json, "skip_git_repo_check",
                                           json_boolean(wish->skip_git_repo_check == 2));
        if (request->deadline_s)
                (void) json_object_set_new(json, "deadline_s", json_integer(request->deadline_s));
        return json;
}

int request_from_json(struct request *ret, json_t *json, struct error *err)
{
        json_t *copy_of = json_deep_copy(json);
        const char *prompt;
        size_t n;
        int r;

        if (!copy_of)
                return error_set(err, ERROR_NO_MEMORY, "no memory");
        (void) json_object_set_new(copy_of, "prompt", json_string("-"));
        r = request_parse(ret, copy_of, "", &prompt, &n, err);
        json_decref(copy_of);
        return r;
}
