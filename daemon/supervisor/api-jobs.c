#include "api.h"
#include "attach.h"
#include "submit.h"
#include "task.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIST_DEFAULT 100
#define LIST_MAX     1000

int api_submit(struct call *call, json_t *parameters, struct error *err)
{
        struct request request;
        const char *prompt;
        char owner[32];
        size_t size;
        int r;

        (void) snprintf(owner, sizeof owner, "%u", (unsigned) call->peer.uid);
        r = request_parse(&request, parameters, owner, &prompt, &size, err);
        return r < 0 ? r : submit_begin(call, &request, prompt, size, err);
}

/* The one way to a job: another's looks like none. */
static int find(struct call *call, int64_t id, struct task **ret, struct error *err)
{
        struct task *task = id > 0 ? task_find(call->sup, (uint64_t) id) : NULL;

        if (!task || !task->durable || !access_to(&call->peer, task->job->uid))
                return error_set(err, ERROR_NO_SUCH_JOB, "there is no job %" PRId64, id);
        *ret = task;
        return 0;
}

static int find_only(struct call *call, json_t *parameters, struct task **ret, struct error *err)
{
        int64_t id = 0;
        const struct varlink_param table[] = {{"job", VARLINK_INT, true, &id}};
        int r = varlink_params(parameters, table, N_ELEMENTS(table), err);

        return r < 0 ? r : find(call, id, ret, err);
}

int api_attach(struct call *call, json_t *parameters, struct error *err)
{
        int64_t id = 0, from = 0;
        const struct varlink_param table[] = {{"job", VARLINK_INT, true, &id},
                                              {"from_seq", VARLINK_INT, false, &from}};
        struct task *task;
        int r = varlink_params(parameters, table, N_ELEMENTS(table), err);

        if (r == 0)
                r = find(call, id, &task, err);
        if (r == 0 && from < 0)
                r = error_set_key(err, ERROR_BAD_REQUEST, "from_seq",
                                  "\"from_seq\" must not be negative");
        if (r == 0)
                attach_begin(call, task, (uint64_t) from);
        return r;
}

struct wait {
        struct task_reader reader;
        struct later later;
        struct call *call;
        struct task *task;
};

static void wait_free(struct wait *wait)
{
        later_cancel(&wait->later);
        task_reader_remove(&wait->reader);
        free(wait);
}

static void wait_gone(struct call *call)
{
        wait_free(call->data);
}

/* Not from within task_changed(): an answer may lead to the client's next call, and that to
 * anything. */
static void wait_answer(struct later *later)
{
        struct wait *wait = container_of(later, struct wait, later);
        struct call *call = wait->call;
        json_t *json = task_to_json(wait->task);

        wait_free(wait);
        call_reply(call, json_pack("{s:o}", "job", json));
}

static void wait_changed(struct task_reader *reader)
{
        struct wait *wait = container_of(reader, struct wait, reader);

        if (wait->task->ended)
                later_push(&wait->task->sup->laters, &wait->later);
}

int api_wait(struct call *call, json_t *parameters, struct error *err)
{
        struct task *task;
        struct wait *wait;
        int r = find_only(call, parameters, &task, err);

        if (r < 0)
                return r;
        wait = calloc(1, sizeof *wait);
        if (!wait)
                return error_set(err, ERROR_NO_MEMORY, "no memory");
        wait->call = call;
        wait->task = task;
        wait->reader.changed = wait_changed;
        wait->later.run = wait_answer;
        call->data = wait;
        call->gone = wait_gone;
        task_reader_add(task, &wait->reader);
        wait_changed(&wait->reader);
        return 0;
}

int api_cancel(struct call *call, json_t *parameters, struct error *err)
{
        struct error cancelled;
        struct task *task;
        int r = find_only(call, parameters, &task, err);
        json_t *json;

        if (r < 0)
                return r;
        (void) error_set(&cancelled, ERROR_CANCELLED, "cancelled by uid %u",
                         (unsigned) call->peer.uid);
        task_cancel(task, JOB_CANCELLED, &cancelled, WIRE_INTERRUPT);
        json = task_to_json(task);
        call_reply(call, json_pack("{s:O}", "state", json_object_get(json, "state")));
        json_decref(json);
        return 0;
}

int api_get(struct call *call, json_t *parameters, struct error *err)
{
        struct task *task;
        int r = find_only(call, parameters, &task, err);

        if (r == 0)
                call_reply(call, json_pack("{s:o}", "job", task_to_json(task)));
        return r;
}

int api_list(struct call *call, json_t *parameters, struct error *err)
{
        const char *workspace, *state;
        int64_t limit = LIST_DEFAULT;
        const struct varlink_param table[] = {{"workspace", VARLINK_STRING, false, &workspace},
                                              {"state", VARLINK_STRING, false, &state},
                                              {"limit", VARLINK_INT, false, &limit}};
        int r = varlink_params(parameters, table, N_ELEMENTS(table), err);
        json_t *jobs;

        if (r < 0)
                return r;
        if (state && job_state_from_name(state) < 0)
                return error_set_key(err, ERROR_BAD_REQUEST, "state",
                                     "\"state\" must be queued, starting, running, cancelling or "
                                     "finished");
        if (limit < 1 || limit > LIST_MAX)
                return error_set_key(err, ERROR_BAD_REQUEST, "limit",
                                     "\"limit\" must be between 1 and %d", LIST_MAX);
        jobs = json_array();
        for (struct list *link = call->sup->tasks.prev;
             link != &call->sup->tasks && (int64_t) json_array_size(jobs) < limit;
             link = link->prev) {
                struct task *task = list_entry(link, struct task, link);

                if (!task->durable || !access_to(&call->peer, task->job->uid) ||
                    (workspace && strcmp(workspace, task->job->workspace) != 0) ||
                    (state && strcmp(state, task_state_name(task)) != 0))
                        continue;
                if (json_array_append_new(jobs, task_to_json(task)) < 0)
                        break;
        }
        call_reply(call, json_pack("{s:o}", "jobs", jobs));
        return 0;
}
