/* Diagnostics of a daemon on stderr, one line each, with systemd's "<N>" priority prefix
 * (sd-daemon(3)). What operators act on goes through report.h instead. Whoever turns a failure into
 * an answer or an action logs it, once; the code below returns it. */
#pragma once

#include <syslog.h>

void log_set_max_level(int level); /* LOG_INFO at first; LOG_DEBUG shows all */
void log_line(int level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_debug(...)   log_line(LOG_DEBUG, __VA_ARGS__)
#define log_info(...)    log_line(LOG_INFO, __VA_ARGS__)
#define log_warning(...) log_line(LOG_WARNING, __VA_ARGS__)
#define log_error(...)   log_line(LOG_ERR, __VA_ARGS__)
