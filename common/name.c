#include "name.h"

#include <string.h>

static bool is_alnum(char c)
{
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool name_is_workspace(const char *name)
{
        size_t n = strnlen(name, NAME_WORKSPACE_MAX + 1);

        if (n == 0 || n > NAME_WORKSPACE_MAX || !(is_alnum(name[0]) || name[0] == '_'))
                return false;
        for (size_t i = 1; i < n; i++)
                if (!is_alnum(name[i]) && !strchr("._-", name[i]))
                        return false;
        return true;
}

bool name_is_uuid(const char *name)
{
        if (strnlen(name, NAME_UUID_LENGTH + 1) != NAME_UUID_LENGTH)
                return false;
        for (int i = 0; i < NAME_UUID_LENGTH; i++) {
                bool dash = i == 8 || i == 13 || i == 18 || i == 23;

                if (dash ? name[i] != '-' : !strchr("0123456789abcdefABCDEF", name[i]))
                        return false;
        }
        return true;
}

bool name_is_model(const char *name)
{
        size_t n = strnlen(name, NAME_MODEL_MAX + 1);

        if (n == 0 || n > NAME_MODEL_MAX || name[0] == '-')
                return false;
        for (size_t i = 0; i < n; i++)
                if (!is_alnum(name[i]) && !strchr("._:/-", name[i]))
                        return false;
        return true;
}

bool name_is_relative_path(const char *path, unsigned max)
{
        size_t n = strnlen(path, max), start = 0;

        if (n == max || path[0] == '/')
                return false;
        if (n == 0)
                return true;
        for (size_t i = 0; i <= n; i++) {
                size_t length = i - start;

                if (i < n && path[i] != '/')
                        continue;
                if (length == 0 || (length == 1 && path[start] == '.') ||
                    (length == 2 && path[start] == '.' && path[start + 1] == '.'))
                        return false;
                start = i + 1;
        }
        return true;
}
