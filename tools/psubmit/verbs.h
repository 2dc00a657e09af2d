/* SPDX-License-Identifier: MIT */
/*
 * verbs.h - the verbs for jobs that outlive psubmit. Each parses what follows it, argv[0] being the verb itself, and returns the
 * status to leave with.
 */
#ifndef PCORE_PSUBMIT_VERBS_H
#define PCORE_PSUBMIT_VERBS_H

#include "tools/psubmit/job.h"
#include "tools/psubmit/session.h"

int psubmit_apply(int argc, char **argv);
int psubmit_async(int argc, char **argv);
int psubmit_get(int argc, char **argv);
int psubmit_wait(int argc, char **argv);
int psubmit_logs(int argc, char **argv);
int psubmit_attach(int argc, char **argv);
int psubmit_status_verb(int argc, char **argv);
int psubmit_list(int argc, char **argv);
int psubmit_cancel(int argc, char **argv);
int psubmit_forget(int argc, char **argv);
int psubmit_explain(int argc, char **argv);
int psubmit_nodes(int argc, char **argv);
int psubmit_stats(int argc, char **argv);

/* ---- parsing ---- */

/* What those that ask have. */
struct ask_opts {
	int64_t timeout;
	bool json, any, all, follow, kill, forget;
	char **words;
	size_t n_words;
};

/* Options of table and of the scheduler, and at least min operands, at most max (0: any number). CLI_GO, or a status. */
int ask_parse(struct ask_opts *o, int argc, char **argv, const struct cli_opts *how, const struct cli_opt *table, size_t min, size_t max);

/* ---- following jobs ---- */

/* Jobs one after the other: what they write is printed, and the first that failed makes the status. */
struct follow {
	struct session *session;
	struct pcore_watch watch;
	struct job_id *ids;
	size_t n, at;
	unsigned flags;
	bool plain; /* their status is not ours */
	uint64_t wrote; /* the job whose attempt has written something, or 0 */
	int status;
	void (*over)(struct follow *f); /* all of it */
};

void follow_begin(struct follow *f);

#endif
