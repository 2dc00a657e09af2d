/* SPDX-License-Identifier: MIT */
/*
 * job.c - which jobs are meant, and what became of one.
 */
#include "tools/psubmit/job.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tools/cli/cli.h"

static bool parse_range(char *text, struct job_id *id)
{
	char *dash = strchr(text, '-');

	if (dash)
		*dash++ = '\0';
	if (pcore_parse_u64(text, 1, INT64_MAX, &id->from) < 0)
		return false;
	id->to = id->from;
	return !dash || pcore_parse_u64(dash, id->from, INT64_MAX, &id->to) == 0;
}

static int parse_id(const char *word, struct job_id *ret)
{
	char text[64], *dot;
	bool fine;

	*ret = (struct job_id){ .word = word, .from = 1, .to = PCORE_WIRE_TO_END };
	fine = (size_t)snprintf(text, sizeof(text), "%s", word) < sizeof(text);
	dot = strchr(text, '.');
	if (dot)
		*dot++ = '\0';
	fine = fine && pcore_parse_u64(text, 1, INT64_MAX, &ret->submission) == 0 && (!dot || parse_range(dot, ret));
	return fine ? CLI_GO : cli_usage("invalid id '%s': must be N, N.M or N.M-L", word);
}

int job_ids_parse(char *const *words, struct job_id **ret, size_t *ret_n)
{
	struct job_id *ids;
	size_t n = 0;

	while (words[n])
		n++;
	ids = calloc(n ? n : 1, sizeof(*ids));
	if (!ids)
		return cli_error("out of memory");
	for (size_t i = 0; i < n; i++)
		if (parse_id(words[i], &ids[i]) != CLI_GO) {
			free(ids);
			return CLI_FAILURE;
		}
	*ret = ids;
	*ret_n = n;
	return CLI_GO;
}

char *job_name(char buf[static JOB_NAME_MAX], const struct job_id *id, uint64_t seq)
{
	if (seq > 0)
		(void)snprintf(buf, JOB_NAME_MAX, "%" PRIu64 ".%" PRIu64, id->submission, seq);
	else
		(void)snprintf(buf, JOB_NAME_MAX, "%" PRIu64, id->submission);
	return buf;
}

static int could_not_run(const struct pcore_wire_done *d)
{
	struct pcore_err err;
	int step = PCORE_STEP_NONE;

	while (step + 1 < PCORE_STEP_COUNT && strcmp(pcore_step_name((enum pcore_step)step), d->step) != 0)
		step++;
	(void)pcore_err_set(&err, -(int)d->error, (enum pcore_step)step, d->subject);
	return cli_spawn_error(&err, NULL);
}

int job_status(const struct pcore_wire_done *d, const char *name)
{
	if (d->error)
		return could_not_run(d);
	if (d->flags & (PCORE_WIRE_CUT_STDOUT | PCORE_WIRE_CUT_STDERR))
		cli_warn("job %s wrote more than it may; the rest is cut", name);
	if (d->flags & PCORE_WIRE_TIMED_OUT)
		return CLI_TIMEOUT;
	if (d->code == CLD_EXITED)
		return d->status;
	if (d->code != 0)
		return CLI_SIGNALLED + d->status;
	switch (d->reason) {
	case PCORE_WIRE_REASON_LOST: (void)cli_error("job %s was lost with its node", name); break;
	case PCORE_WIRE_REASON_CRASHED: (void)cli_error("job %s was set aside: every node it ran on died", name); break;
	case PCORE_WIRE_REASON_DEPENDENCY: (void)cli_error("job %s never ran: one that it had to wait for did not succeed", name); break;
	case PCORE_WIRE_REASON_NONE:
	case PCORE_WIRE_REASONS: (void)cli_error("job %s was cancelled", name); break;
	}
	return CLI_NO;
}

const char *job_state(const struct pcore_wire_done *d)
{
	if (d->error == 0 && !(d->flags & PCORE_WIRE_TIMED_OUT) && d->code == CLD_EXITED && d->status == 0)
		return "done";
	if (d->reason != PCORE_WIRE_REASON_NONE)
		return "lost";
	return d->flags & PCORE_WIRE_CANCELLED && d->code != CLD_EXITED ? "cancelled" : "failed";
}
