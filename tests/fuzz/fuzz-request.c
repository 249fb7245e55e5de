/* A client's frame: parsed as a call, and its parameters as Submit's, whatever the method says. */
#include "request.h"
#include "varlink.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
        struct varlink_call call;
        struct request request, again;
        struct error error = {0};
        const char *prompt;
        size_t size;
        json_t *kept;
        char *text;

        if (varlink_call_parse(&call, (const char *) bytes, n, &error) < 0) {
                assert(error.kind == ERROR_BAD_REQUEST && error.message[0]);
                return 0;
        }
        assert(strlen(call.method) <= VARLINK_METHOD_MAX);
        memset(&error, 0, sizeof error);
        if (request_parse(&request, call.parameters, "0", &prompt, &size, &error) < 0) {
                assert(error.kind != ERROR_NONE);
                /* It can be told to the client, whatever the names in it were. */
                text = varlink_error(&error, 1);
                assert(text);
                free(text);
                varlink_call_done(&call);
                return 0;
        }
        assert(name_is_workspace(request.workspace) && size > 0 && strlen(prompt) == size);
        assert(!request.thread_id[0] || name_is_uuid(request.thread_id));
        kept = request_to_json(&request);
        assert(kept && request_from_json(&again, kept, &error) == 0);
        assert(memcmp(&request, &again, sizeof request) == 0);
        json_decref(kept);
        if (request_set_cwd(&request, "/srv/one/user", &error) == 0)
                assert(name_is_relative_path(request.cwd, sizeof request.cwd));
        varlink_call_done(&call);
        return 0;
}
