/* SPDX-License-Identifier: MIT */
/*
 * results.h - what jobs write, kept in files: a directory with one directory a job, or one file with a record a job.
 *
 *   DIR/SEQ/  stdout, stderr   byte for byte
 *             item             the item; several are separated by newlines
 *             status           as a shell has it, and a newline; it appears last and whole, and only for a job that is over
 *   FILE.json, FILE.csv        seq item exit signal stdout stderr, in the order the jobs finish. Until a job has finished
 *                              its output is in two files of $TMPDIR that have no name.
 *
 * Files are written at once: they are no place that has to be waited for.
 */
#ifndef PCORE_MAP_RESULTS_H
#define PCORE_MAP_RESULTS_H

#include "libcore/pool/pool.h"
#include "tools/cli/template.h"

struct results;

/* Of one job. The owner makes it with results_job_init(). */
struct results_job {
	int fds[2]; /* what it writes to stdout and stderr goes there */
	off_t sizes[2];
};

/* Does where name a file, so that there is one record a job? */
bool results_is_file(const char *where);

/* keep: what is there stays (but no torn record). CLI_GO, or a status after a message. */
int results_open(struct results **ret, const char *where, bool keep, const char *tmpdir);
void results_close(struct results *r); /* NULL is fine */

void results_job_init(struct results_job *j);
void results_job_done(struct results_job *j); /* closes what is open */

/* Each 0, or -errno: the result is lost. begin() may be called again and does it once. */
int results_begin(struct results *r, struct results_job *j, uint64_t seq, const struct cli_item *items, size_t n_items);
int results_add(struct results_job *j, enum pcore_job_stream stream, const char *data, size_t len);
int results_forget(struct results_job *j);
int results_finish(struct results *r, const struct results_job *j, const struct pcore_job *job, const struct cli_item *items,
	size_t n_items);

/* Take what follows the last whole line (with csv: record) off a file. 0 or -errno; the rest's size is in *ret_size. */
int results_cut_torn(int fd, bool csv, int64_t *ret_size);

#endif
