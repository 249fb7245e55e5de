/* A job on disk: the directory JOBS/ID/ with
 *
 *   job.json   what was asked and of whom, without the prompt; written once
 *   prompt     removed when the job has ended
 *   events     codexd's own events (stream.h): the only truth about how far the job came
 *   cursor     the seq of the next event that the journal was not told of
 *   ended      a summary of an ended job, so that a restart need not read its events; can be made
 * anew
 *
 * Functions marked "blocks" wait for the disk: they belong on a thread of their own. To be replaced
 * by one transaction of a database; nothing outside knows these names. Errors are negative errno.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Opens, or makes (0700), STATE_DIR/jobs; gives a descriptor. */
int jobfile_open_all(const char *state_dir);

struct jobfile_content { /* all borrowed */
        const char *json, *prompt, *queued_event;
        size_t prompt_size;
        uint64_t time_usec;
};
/* Makes the directory, whole and durable, or nothing at all; *ret_own is `events`, for reading and
 * appending. Blocks. */
int jobfile_create(int jobs_fd, uint64_t id, const struct jobfile_content *content, int *ret_own);
/* The job's last event, durable; then its summary, and the prompt goes. After a failure it may be
 * called again. Blocks. */
int jobfile_end(int jobs_fd, uint64_t id, int own_fd, uint64_t at, uint64_t time_usec,
                const char *event, const char *summary);
int jobfile_remove(int jobs_fd, uint64_t id); /* blocks */

int jobfile_open_own(int jobs_fd, uint64_t id);    /* for reading and appending, repaired */
int jobfile_open_prompt(int jobs_fd, uint64_t id); /* for reading; -ENOENT once it ended */
/* A small file's text, malloc'ed; -ENOENT: there is none. */
int jobfile_read(int jobs_fd, uint64_t id, const char *name, char **ret, size_t *ret_n);
int jobfile_write_summary(int jobs_fd, uint64_t id, const char *summary);
int jobfile_write_cursor(int jobs_fd, uint64_t id, uint64_t seq);
uint64_t jobfile_read_cursor(int jobs_fd, uint64_t id); /* 0 if there is none */

/* Calls `each` for every job's id, in no order; clears away what jobfile_create left unfinished. */
int jobfile_list(int jobs_fd, int (*each)(uint64_t id, void *data), void *data);
/* "123" to 123; 0 for what is no id. */
uint64_t jobfile_id(const char *name);
