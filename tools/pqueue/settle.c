/* SPDX-License-Identifier: MIT */
/*
 * settle.c - pqueue work: what becomes of an item, told to the queue.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/wait.h>

#include "tools/pqueue/work.h"

int64_t work_backoff(int64_t first, int64_t max, uint32_t attempt, uint64_t random)
{
	int64_t delay = first;

	for (uint32_t i = 1; i < attempt && delay < max; i++)
		delay = delay > INT64_MAX / 2 ? INT64_MAX : delay * 2;
	if (delay > max)
		delay = max;
	return delay > 1 ? delay - (int64_t)(random % (uint64_t)(delay / 2 + 1)) : delay;
}

/* "5s", "0.25s": as exact as it has to be. */
static void print_seconds(char *buf, size_t size, int64_t ns)
{
	int len = snprintf(buf, size, "%" PRIi64 ".%09" PRIi64, ns / NS_PER_S, ns % NS_PER_S);

	while (len > 0 && buf[len - 1] == '0')
		len--;
	if (len > 0 && buf[len - 1] == '.')
		len--;
	(void)snprintf(buf + len, size - (size_t)len, "s");
}

void work_reason(char buf[static WORK_REASON_MAX], const struct pcore_job_result *r, int64_t timeout, const char *command)
{
	char seconds[40], name[PCORE_SIGNAL_NAME_MAX];

	if (r->error.code < 0) {
		cli_spawn_text(buf, WORK_REASON_MAX, &r->error, command);
	} else if (r->timed_out) {
		print_seconds(seconds, sizeof(seconds), timeout);
		(void)snprintf(buf, WORK_REASON_MAX, "timed out after %s", seconds);
	} else if (r->exit.code == CLD_EXITED) {
		(void)snprintf(buf, WORK_REASON_MAX, "exit %d", r->exit.status);
	} else {
		(void)snprintf(buf, WORK_REASON_MAX, "%s%s", pcore_signal_name(r->exit.status, name),
			r->exit.code == CLD_DUMPED ? " (core dumped)" : "");
	}
}

void work_fail(struct work *w, const char *what, int error)
{
	int status = pqueue_error(what, w->opts->name, error);

	w->status = w->status == CLI_GO ? status : w->status;
	pcore_pool_stop(w->pool, PCORE_POOL_DRAIN);
}

/* The queue was told; r is what it said. */
static void told(struct work *w, const struct work_job *j, int r)
{
	if (r == -ENOENT || r == -ESTALE)
		cli_warn("the lease of item %" PRIu64 " of '%s' ended before its command did", j->id, w->opts->name);
	else if (r < 0)
		work_fail(w, "use", r);
}

static void bury(struct work *w, const struct work_job *j, uint32_t attempts, const char *reason)
{
	int r = pcore_queue_bury(w->queue, j->id, j->attempt, reason, strlen(reason));

	told(w, j, r);
	if (r < 0)
		return;
	w->died++;
	cli_warn("item %" PRIu64 " of '%s' died after %" PRIu32 " attempt%s: %s", j->id, w->opts->name, attempts,
		attempts == 1 ? "" : "s", reason);
}

bool work_taken_too_often(struct work *w, const struct work_job *j)
{
	if (j->tries <= w->opts->attempts)
		return false;
	bury(w, j, j->tries - 1, "its worker died, or its lease ended");
	return true;
}

void work_refuse(struct work *w, const struct work_job *j, const char *reason)
{
	bury(w, j, j->tries, reason);
}

static void failed(struct work *w, const struct work_job *j)
{
	const struct work_opts *o = w->opts;
	char reason[WORK_REASON_MAX];
	uint64_t random;

	if (j->tries >= o->attempts) {
		work_reason(reason, &j->job.result, o->job.timeout, w->argv && w->argv[0] ? w->argv[0] : o->words[0]);
		bury(w, j, j->tries, reason);
		return;
	}
	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		random = 0; /* then it is kept back for the whole time */
	w->returned++;
	told(w, j, pcore_queue_nack(w->queue, j->id, j->attempt, work_backoff(o->backoff, o->backoff_max, j->tries, random)));
}

/* A command that failed because we were told to end was no attempt, whatever it makes of the signal. */
void work_settle(struct work *w, const struct work_job *j)
{
	bool ran = j->job.state == PCORE_JOB_DONE;

	if (ran && pcore_job_succeeded(&j->job))
		told(w, j, pcore_queue_ack(w->queue, j->id, j->attempt));
	else if (!ran || w->ended_by || pcore_pool_stopping(w->pool) >= PCORE_POOL_END)
		told(w, j, pcore_queue_untake(w->queue, j->id, j->attempt));
	else
		failed(w, j);
}
