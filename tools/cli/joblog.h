/* SPDX-License-Identifier: MIT */
/*
 * joblog.h - the log of a run's jobs, in the format of GNU parallel's --joblog, and what a log says when a run is resumed.
 *
 * A header, then a line a job, nine fields separated by TABs: Seq Host Starttime JobRuntime Send Receive Exitval Signal
 * Command. A job that a signal ended has Exitval 0 and the Signal; one that was timed out Exitval -1. Pure: no I/O.
 */
#ifndef PCORE_CLI_JOBLOG_H
#define PCORE_CLI_JOBLOG_H

#include "libcore/base/base.h"

#define CLI_JOBLOG_HEADER "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n"

struct cli_joblog_line {
	uint64_t seq;
	const char *host; /* where it ran; NULL: here */
	int64_t start_ns; /* realtime */
	int64_t wall_ns;
	uint64_t sent, received;
	int exit, signal;
};

/* Append argv as one line without control characters that a shell reads back: words that hold one are written $'...'.
 * With shell, argv is { sh, -c, text } and the text is written as it is where it holds none. 0, -ENOMEM. */
int cli_joblog_command(struct pcore_buf *b, char *const *argv, bool shell);

/* Append a line. 0, -ENOMEM. */
int cli_joblog_add(struct pcore_buf *b, const struct cli_joblog_line *l, const char *command, size_t command_len);

/* What a log says about a job. */
struct cli_joblog_entry {
	uint64_t seq;
	uint64_t hash; /* of Command */
	uint64_t order : 63;
	uint64_t failed : 1;
};

uint64_t cli_joblog_hash(const char *command, size_t len);

/* Read a line, without its newline but with a NUL there; its TABs are overwritten. 1, 0 for the header, -EINVAL. */
int cli_joblog_parse(char *line, size_t len, struct cli_joblog_entry *ret);

/* Entries by number. Zero it. Add all, sort once, then look up. */
struct cli_joblog_set {
	struct cli_joblog_entry *entries;
	size_t n, cap;
};

void cli_joblog_set_done(struct cli_joblog_set *s);
int cli_joblog_set_add(struct cli_joblog_set *s, const struct cli_joblog_entry *e); /* 0, -ENOMEM */
void cli_joblog_set_sort(struct cli_joblog_set *s); /* of several entries with one number the last added stays */
const struct cli_joblog_entry *cli_joblog_set_find(const struct cli_joblog_set *s, uint64_t seq); /* or NULL */
uint64_t cli_joblog_set_last(const struct cli_joblog_set *s); /* the highest number, 0 when there is none */

#endif
