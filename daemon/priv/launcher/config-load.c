/* Reading the configuration: all of it or nothing. What is in force is a parsed config for
 * ourselves and the same bytes, sealed, for the others, under one generation number. */
#include "fd.h"
#include "launcher.h"
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

static void report_rejected(struct launcher *launcher, const struct error *err)
{
        struct report_fields f = {0};

        report_add(&f, "CODEX_ERROR", "%s", error_kind_word(err->kind));
        report_add(&f, "CODEX_REASON", "%s", err->message);
        report(launcher->reporter, REPORT_CONFIG_REJECTED, f.fields, "Configuration rejected: %s",
               err->message);
        log_error("configuration rejected: %s", err->message);
}

int config_load(struct launcher *launcher, struct error *err)
{
        _cleanup_(config_freep) struct config *config = NULL;
        _cleanup_free_ void *bundle = NULL;
        _cleanup_fd_ int dir = -EBADF, memfd = -EBADF;
        struct wire_policy m = {0};
        struct report_fields f = {0};
        size_t n;
        int r;

        dir = fd_open_absolute(launcher->options.config_dir, O_RDONLY | O_DIRECTORY);
        if (dir < 0)
                r = error_set_errno(err, ERROR_CONFIG_INVALID, -dir, "%s",
                                    launcher->options.config_dir);
        else
                r = config_bundle_read(dir, launcher->options.config_dir, 0, &bundle, &n, err);
        if (r == 0)
                r = config_new(&config, bundle, n, err);
        if (r == 0) {
                memfd = fd_sealed_memfd("codexd-policy", bundle, n);
                if (memfd < 0)
                        r = error_set_errno(err, ERROR_NO_MEMORY, -memfd, "sealing the policy");
        }
        if (r < 0) {
                report_rejected(launcher, err);
                return r;
        }
        launcher->config = config_free(launcher->config);
        launcher->config = TAKE_PTR(config);
        (void) fd_close(launcher->policy_memfd);
        launcher->policy_memfd = TAKE_FD(memfd);
        m.generation = ++launcher->generation;
        super_tell(&launcher->super, &m, WIRE_POLICY, launcher->policy_memfd);
        report_add(&f, "CODEX_GENERATION", "%" PRIu64, launcher->generation);
        report(launcher->reporter, REPORT_CONFIG_LOADED, f.fields,
               "Configuration loaded from %s, generation %" PRIu64, launcher->options.config_dir,
               launcher->generation);
        return 0;
}
