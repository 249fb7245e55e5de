/* org.varlink.service: what every Varlink service says about itself. */
#include "api.h"
#include "interfaces.h" /* made at build time from common/io.codexd.varlink and the file below */

#include <string.h>

int api_get_info(struct call *call, json_t *parameters, struct error *err)
{
        int r = varlink_params(parameters, NULL, 0, err);

        if (r == 0)
                call_reply(call, json_pack("{s:s, s:s, s:s, s:s, s:[s, s]}", "vendor", "codexd",
                                           "product", "codexd", "version", CODEXD_VERSION, "url",
                                           "https://varlink.org/", "interfaces",
                                           "org.varlink.service", "io.codexd"));
        return r;
}

int api_get_interface(struct call *call, json_t *parameters, struct error *err)
{
        const char *name;
        const struct varlink_param table[] = {{"interface", VARLINK_STRING, true, &name}};
        int r = varlink_params(parameters, table, 1, err);

        if (r < 0)
                return r;
        if (strcmp(name, "io.codexd") == 0)
                call_reply(call, json_pack("{s:s}", "description", interface_codexd));
        else if (strcmp(name, "org.varlink.service") == 0)
                call_reply(call, json_pack("{s:s}", "description", interface_service));
        else
                call_service_error(call, "InterfaceNotFound", "interface", name);
        return 0;
}
