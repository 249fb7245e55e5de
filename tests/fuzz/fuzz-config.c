/* The configuration: a bundle as it is, or (after "J" and "R") the text of codexd.json or of a file
 * of rules, put into one. What is accepted gives policies, and every key in it was found in its
 * text. */
#include "config-internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static size_t put(char *bundle, size_t at, const void *bytes, size_t n)
{
        memcpy(bundle + at, bytes, n);
        return at + n;
}

static size_t put_file(char *bundle, size_t at, const char *name, const void *text, size_t n)
{
        uint32_t lengths[2] = {(uint32_t) strlen(name) + 1, (uint32_t) n};

        at = put(bundle, at, lengths, sizeof lengths);
        at = put(bundle, at, name, lengths[0]);
        return put(bundle, at, text, n);
}

/* Malloc'ed to the byte. */
static char *wrap(const uint8_t *bytes, size_t n, size_t *ret_n)
{
        bool rules = bytes[0] == 'R';
        uint32_t count = rules ? 2 : 1;
        size_t at = 0, head = 12 + 8 + (rules ? 2 + 2 + 8 + 2 : 2);
        char *bundle = malloc(head + n - 1);

        assert(bundle);
        at = put(bundle, at, "codexdC1", 8);
        at = put(bundle, at, &count, sizeof count);
        if (rules)
                at = put_file(bundle, at, "c", "{}", 2);
        at = put_file(bundle, at, "r", bytes + 1, n - 1);
        assert(at == head + n - 1);
        *ret_n = at;
        return bundle;
}

static void check_layer(const struct config_layer *layer)
{
        const char *key;
        json_t *value;

        json_object_foreach (layer->keys, key, value) {
                size_t i = 0;

                while (i < _POLICY_KEY_MAX &&
                       strcmp(policy_key_name((enum policy_key) i), key) != 0)
                        i++;
                assert(i < _POLICY_KEY_MAX);
                assert(layer->origins[i].file && layer->origins[i].line > 0);
        }
}

static void check_policies(const struct config *config, const char *workspace)
{
        struct policy *policies[POLICY_CANDIDATES_MAX];
        struct error err = {0};
        int n = policy_candidates(config, workspace, policies, &err);

        assert(n > 0 || err.kind == ERROR_NO_SUCH_WORKSPACE);
        for (int i = 0; i < n; i++) {
                struct wire_wish wish = {0};
                uint8_t digest[WIRE_DIGEST_SIZE];

                assert(policies[i]->directory[0] == '/' && !strchr(policies[i]->directory, '{'));
                assert(strcmp(policies[i]->user, "root") != 0);
                assert(policies[i]->sandbox_mode < POLICY_EXTERNAL_SANDBOX);
                memcpy(digest, policies[i]->digest, sizeof digest);
                assert(policy_narrow(policies[i], &wish, &err) == 0);
                assert(memcmp(digest, policies[i]->digest, sizeof digest) == 0);
                (void) policy_enforceable(policies[i], &err);
                (void) policy_free(policies[i]);
        }
}

static void ignore(void *data, const char *text)
{
        (*(int *) data)++;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
        _cleanup_(config_freep) struct config *config = NULL;
        _cleanup_free_ char *wrapped = NULL;
        struct error err = {0};
        int count = 0;

        if (n > 0 && (bytes[0] == 'J' || bytes[0] == 'R')) {
                wrapped = wrap(bytes, n, &n);
                bytes = (const uint8_t *) wrapped;
        }
        if (config_new(&config, bytes, n, &err) < 0) {
                assert(!config && err.kind == ERROR_CONFIG_INVALID && err.message[0]);
                assert(memchr(err.message, '\0', sizeof err.message));
                return 0;
        }
        check_layer(&config->defaults);
        for (size_t i = 0; i < config->nrules; i++) {
                check_layer(&config->rules[i].layer);
                assert(config->rules[i].line > 0);
                if (config->rules[i].workspace)
                        check_policies(config, config->rules[i].workspace);
        }
        check_policies(config, "any.example.org");
        assert(config_warnings(config, ignore, &count) == count);
        return 0;
}
