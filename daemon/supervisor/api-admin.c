#include "api.h"
#include "pool.h"
#include "server.h"
#include "supervisor.h"
#include "wire-error.h"

#include <stdlib.h>

int api_ping(struct call *call, json_t *parameters, struct error *err)
{
        int r = varlink_params(parameters, NULL, 0, err);

        if (r == 0)
                call_reply(call, json_pack("{s:s, s:I}", "version", CODEXD_VERSION, "generation",
                                           (json_int_t) call->sup->generation));
        return r;
}

int api_stats(struct call *call, json_t *parameters, struct error *err)
{
        const struct supervisor *sup = call->sup;
        struct report_counts reported = {0};
        struct pool_counts counts;
        int r = varlink_params(parameters, NULL, 0, err);

        if (r < 0)
                return r;
        pool_counts(sup->pool, &counts);
        if (sup->reporter)
                reporter_counts(sup->reporter, &reported);
        call_reply(call,
                   json_pack("{s:s, s:I, s:I, s:i, s:i, s:i, s:i, s:I, s:I, s:b, s:I, s:I, s:I}",
                             "version", CODEXD_VERSION, "uptime_usec",
                             (json_int_t) (supervisor_now(sup) - sup->counts.started_usec),
                             "generation", (json_int_t) sup->generation, "running",
                             (int) counts.running, "queued", (int) counts.queued, "max_workers",
                             (int) counts.max_workers, "clients", (int) sup->server->count,
                             "finished", (json_int_t) sup->counts.finished, "failed",
                             (json_int_t) sup->counts.failed, "draining", (int) counts.draining,
                             "events", (json_int_t) sup->counts.events, "journal_sent",
                             (json_int_t) reported.sent, "journal_dropped",
                             (json_int_t) (reported.dropped + reported.failed)));
        return 0;
}

struct reload {
        struct ask ask;
        struct call *call;
};

static void reload_gone(struct call *call)
{
        struct reload *reload = call->data;

        ask_cancel(&reload->ask);
        free(reload);
}

static void reload_answer(struct ask *ask, const union wire_launch_any *message)
{
        struct reload *reload = container_of(ask, struct reload, ask);
        struct call *call = reload->call;
        struct error error;

        free(reload);
        wire_error_read(&message->failed.error, &error);
        if (error.kind != ERROR_NONE)
                call_error(call, &error, 0);
        else
                call_reply(call,
                           json_pack("{s:I}", "generation", (json_int_t) call->sup->generation));
}

int api_reload(struct call *call, json_t *parameters, struct error *err)
{
        struct wire_ping message = {.cookie = 0};
        struct reload *reload;
        int r = varlink_params(parameters, NULL, 0, err);

        if (r < 0)
                return r;
        reload = calloc(1, sizeof *reload);
        if (!reload)
                return error_set(err, ERROR_NO_MEMORY, "no memory");
        reload->call = call;
        reload->ask.answer = reload_answer;
        r = ask_send(call->sup, &reload->ask, WIRE_RELOAD, &message, -EBADF);
        if (r < 0) {
                free(reload);
                return error_set_errno(err, ERROR_INTERNAL, -r, "asking the launcher");
        }
        call->data = reload;
        call->gone = reload_gone;
        return 0;
}

struct drain {
        struct list link; /* supervisor::drained */
        struct call *call;
};

static void reply_counts(struct call *call)
{
        struct pool_counts counts;

        pool_counts(call->sup->pool, &counts);
        call_reply(call, json_pack("{s:i, s:i}", "running", (int) counts.running, "queued",
                                   (int) counts.queued));
}

static void drain_gone(struct call *call)
{
        struct drain *drain = call->data;

        list_remove(&drain->link);
        free(drain);
}

static bool idle(const struct supervisor *sup)
{
        struct pool_counts counts;

        pool_counts(sup->pool, &counts);
        return counts.running == 0 && counts.queued == 0;
}

void api_drained(struct supervisor *sup)
{
        while (!list_empty(&sup->drained) && idle(sup)) {
                struct drain *drain = list_entry(sup->drained.next, struct drain, link);
                struct call *call = drain->call;

                drain_gone(call);
                reply_counts(call);
        }
}

int api_drain(struct call *call, json_t *parameters, struct error *err)
{
        int wait;
        const struct varlink_param table[] = {{"wait", VARLINK_BOOL, false, &wait}};
        struct drain *drain;
        int r = varlink_params(parameters, table, 1, err);

        if (r < 0)
                return r;
        drain = calloc(1, sizeof *drain);
        if (!drain)
                return error_set(err, ERROR_NO_MEMORY, "no memory");
        pool_set_draining(call->sup->pool, true);
        supervisor_changed(call->sup);
        if (wait != 1 || idle(call->sup)) {
                free(drain);
                reply_counts(call);
                return 0;
        }
        drain->call = call;
        list_append(&call->sup->drained, &drain->link);
        call->data = drain;
        call->gone = drain_gone;
        return 0;
}

int api_resume(struct call *call, json_t *parameters, struct error *err)
{
        int r = varlink_params(parameters, NULL, 0, err);

        if (r < 0)
                return r;
        pool_set_draining(call->sup->pool, false);
        supervisor_changed(call->sup);
        reply_counts(call);
        return 0;
}
