#include "api.h"
#include "cleanup.h"

#include <errno.h>
#include <string.h>

static const struct verb {
        const char *name;
        enum access access;
        api_handler *handle;
} verbs[] = {
        {"io.codexd.Submit", ACCESS_OWNER, api_submit},
        {"io.codexd.Attach", ACCESS_OWNER, api_attach},
        {"io.codexd.Wait", ACCESS_OWNER, api_wait},
        {"io.codexd.Cancel", ACCESS_OWNER, api_cancel},
        {"io.codexd.Get", ACCESS_OWNER, api_get},
        {"io.codexd.List", ACCESS_OWNER, api_list},
        {"io.codexd.Ping", ACCESS_ANY, api_ping},
        {"io.codexd.Stats", ACCESS_ANY, api_stats},
        {"io.codexd.Reload", ACCESS_ROOT, api_reload},
        {"io.codexd.Drain", ACCESS_ROOT, api_drain},
        {"io.codexd.Resume", ACCESS_ROOT, api_resume},
        {"org.varlink.service.GetInfo", ACCESS_ANY, api_get_info},
        {"org.varlink.service.GetInterfaceDescription", ACCESS_ANY, api_get_interface},
};

static const struct verb *find(const char *method)
{
        for (size_t i = 0; i < N_ELEMENTS(verbs); i++)
                if (strcmp(verbs[i].name, method) == 0)
                        return &verbs[i];
        return NULL;
}

int api_access(const char *method, enum access *ret)
{
        const struct verb *verb = find(method);

        if (!verb)
                return -ENOENT;
        *ret = verb->access;
        return 0;
}

static void not_found(struct call *call, const char *method)
{
        const char *dot = strrchr(method, '.');
        char interface[VARLINK_METHOD_MAX + 1] = "";

        if (dot && (size_t) (dot - method) < sizeof interface)
                memcpy(interface, method, (size_t) (dot - method));
        if (strcmp(interface, "io.codexd") == 0 || strcmp(interface, "org.varlink.service") == 0)
                call_service_error(call, "MethodNotFound", "method", method);
        else
                call_service_error(call, "InterfaceNotFound", "interface", interface);
}

void api_dispatch(struct call *call)
{
        const struct verb *verb = find(call->message.method);
        struct error error = {0};
        int r = access_check(verb ? verb->access : ACCESS_ANY, &call->peer, &error);

        if (r == 0 && !verb) {
                not_found(call, call->message.method);
                return;
        }
        if (r == 0)
                r = verb->handle(call, call->message.parameters, &error);
        if (r < 0)
                call_error(call, &error, error.kind == ERROR_NO_MEMORY ? 1 : 0);
}
