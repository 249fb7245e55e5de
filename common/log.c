#include "log.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

static int max_level = LOG_INFO;

void log_set_max_level(int level)
{
        max_level = level;
}

void log_line(int level, const char *fmt, ...)
{
        char line[1024];
        int used;
        va_list ap;

        if (level > max_level)
                return;
        used = snprintf(line, sizeof line, "<%d>", level);
        va_start(ap, fmt);
        (void) vsnprintf(line + used, sizeof line - (size_t) used - 1, fmt, ap);
        va_end(ap);
        for (used = 0; line[used]; used++)
                if (line[used] == '\n') /* one record a line, whatever a file name holds */
                        line[used] = ' ';
        line[used++] = '\n';
        /* A diagnostic that cannot be written has nobody to tell. */
        if (write(STDERR_FILENO, line, (size_t) used) < 0)
                return;
}
