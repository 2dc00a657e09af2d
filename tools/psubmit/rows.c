/* SPDX-License-Identifier: MIT */
/*
 * rows.c - what is printed of submissions, jobs and nodes: tables and objects.
 */
#include "tools/psubmit/rows.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tools/psubmit/job.h"

/* ---- submissions ---- */

int rows_submission_heading(struct pcore_buf *b)
{
	return pcore_buf_addf(b, "%8s %-9s %8s %8s %8s %9s  %s\n", "ID", "STATE", "JOBS", "ENDED", "FAILED", "SECONDS", "COMMAND");
}

/* What is to be said of it in a word. */
static const char *state_of(const struct pcore_wire_submission *s)
{
	if (s->running > 0)
		return "running";
	if (s->queued > 0)
		return "queued";
	if (s->waiting > 0)
		return "waiting";
	if (s->failed > 0)
		return "failed";
	if (s->lost > 0)
		return "lost";
	return s->cancelled > 0 ? "cancelled" : "done";
}

static int64_t wall_of(const struct pcore_wire_submission *s)
{
	bool known = s->has & PCORE_WIRE_HAS(PCORE_WIRE_SUBMISSION_START) && s->has & PCORE_WIRE_HAS(PCORE_WIRE_SUBMISSION_END);

	return known && s->end_ns > s->start_ns ? s->end_ns - s->start_ns : 0;
}

static int add_words(struct pcore_buf *b, struct pcore_wire_words words)
{
	const char *word, *space = "";
	char safe[1024];
	int r = 0;

	while (r == 0 && (word = pcore_wire_word(&words))) {
		(void)pcore_escape(safe, sizeof(safe), word, strlen(word));
		r = pcore_buf_addf(b, "%s%s", space, safe);
		space = " ";
	}
	return r;
}

int rows_submission(struct pcore_buf *b, const struct pcore_wire_submission *s)
{
	uint64_t ended = s->succeeded + s->failed + s->cancelled + s->lost;
	int64_t wall = wall_of(s);
	char seconds[32] = "-";
	int r;

	if (s->has & PCORE_WIRE_HAS(PCORE_WIRE_SUBMISSION_END))
		(void)snprintf(seconds, sizeof(seconds), "%" PRId64 ".%03d", wall / NS_PER_S, (int)(wall % NS_PER_S / NS_PER_MS));
	r = pcore_buf_addf(b, "%8" PRIu64 " %-9s %8" PRIu64 " %8" PRIu64 " %8" PRIu64 " %9s  ", s->number, state_of(s), s->count, ended,
		ended - s->succeeded, seconds);
	r = r < 0 ? r : add_words(b, s->argv);
	return r < 0 ? r : pcore_buf_addc(b, '\n');
}

void rows_number(struct pcore_json *j, const char *key, uint64_t value)
{
	pcore_json_key(j, key);
	pcore_json_u64(j, value);
}

void rows_time(struct pcore_json *j, const char *key, bool known, int64_t ns)
{
	char time[PCORE_ISO8601_MAX];

	pcore_json_key(j, key);
	pcore_json_str(j, known ? pcore_iso8601_utc(time, ns) : NULL);
}

int rows_submission_json(struct pcore_buf *b, const struct pcore_wire_submission *s)
{
	struct pcore_json j = PCORE_JSON_INIT(b);
	struct pcore_wire_words words = s->argv;
	const char *word;

	pcore_json_object(&j);
	rows_number(&j, "id", s->number);
	pcore_json_key(&j, "state");
	pcore_json_str(&j, state_of(s));
	pcore_json_key(&j, "argv");
	pcore_json_array(&j);
	while ((word = pcore_wire_word(&words)))
		pcore_json_str(&j, word);
	pcore_json_array_end(&j);
	rows_number(&j, "jobs", s->count);
	rows_number(&j, "waiting", s->waiting);
	rows_number(&j, "queued", s->queued);
	rows_number(&j, "running", s->running);
	rows_number(&j, "succeeded", s->succeeded);
	rows_number(&j, "failed", s->failed);
	rows_number(&j, "cancelled", s->cancelled);
	rows_number(&j, "lost", s->lost);
	pcore_json_key(&j, "priority");
	pcore_json_i64(&j, s->priority);
	pcore_json_key(&j, "owner");
	pcore_json_str(&j, s->owner);
	rows_time(&j, "submit", true, s->submit_ns);
	rows_time(&j, "start", s->has & PCORE_WIRE_HAS(PCORE_WIRE_SUBMISSION_START), s->start_ns);
	rows_time(&j, "end", s->has & PCORE_WIRE_HAS(PCORE_WIRE_SUBMISSION_END), s->end_ns);
	pcore_json_object_end(&j);
	return j.error < 0 ? j.error : pcore_buf_addc(b, '\n');
}

/* ---- jobs ---- */

int rows_done_heading(struct pcore_buf *b)
{
	return pcore_buf_addf(b, "%12s %-9s %6s %9s %8s  %s\n", "ID", "STATE", "EXIT", "SECONDS", "ATTEMPT", "NODE");
}

int rows_state(struct pcore_buf *b, const char *name, const char *state, const char *node)
{
	return pcore_buf_addf(b, "%12s %-9s %6s %9s %8s  %s\n", name, state, "-", "-", "-", node && *node ? node : "-");
}

int rows_state_json(struct pcore_buf *b, const char *name, const char *state, const char *node)
{
	struct pcore_json j = PCORE_JSON_INIT(b);

	pcore_json_object(&j);
	pcore_json_key(&j, "id");
	pcore_json_str(&j, name);
	pcore_json_key(&j, "state");
	pcore_json_str(&j, state);
	pcore_json_key(&j, "node");
	pcore_json_str(&j, node);
	pcore_json_object_end(&j);
	return j.error < 0 ? j.error : pcore_buf_addc(b, '\n');
}

int rows_done(struct pcore_buf *b, const char *name, const char *node, const struct pcore_wire_done *d)
{
	char exit[24] = "-", signal[PCORE_SIGNAL_NAME_MAX];

	if (d->code == CLD_EXITED)
		(void)snprintf(exit, sizeof(exit), "%u", d->status);
	else if (d->code != 0)
		(void)snprintf(exit, sizeof(exit), "%s", pcore_signal_name(d->status, signal) + strlen("SIG"));
	return pcore_buf_addf(b, "%12s %-9s %6s %5" PRId64 ".%03d %8" PRIu32 "  %s\n", name, job_state(d), exit, d->wall_ns / NS_PER_S,
		(int)(d->wall_ns % NS_PER_S / NS_PER_MS), (uint32_t)d->tries, *node ? node : "-");
}

int rows_done_json(struct pcore_buf *b, const char *name, const char *node, const struct pcore_wire_done *d)
{
	char signal[PCORE_SIGNAL_NAME_MAX];
	struct pcore_json j = PCORE_JSON_INIT(b);
	bool signalled = d->code == CLD_KILLED || d->code == CLD_DUMPED;

	pcore_json_object(&j);
	pcore_json_key(&j, "id");
	pcore_json_str(&j, name);
	pcore_json_key(&j, "state");
	pcore_json_str(&j, job_state(d));
	pcore_json_key(&j, "exit");
	if (d->code == CLD_EXITED)
		pcore_json_u64(&j, d->status);
	else
		pcore_json_null(&j);
	pcore_json_key(&j, "signal");
	pcore_json_str(&j, signalled ? pcore_signal_name(d->status, signal) : NULL);
	pcore_json_key(&j, "timed_out");
	pcore_json_bool(&j, d->flags & PCORE_WIRE_TIMED_OUT);
	rows_time(&j, "start", d->start_ns > 0, d->start_ns);
	pcore_json_key(&j, "wall_s");
	pcore_json_seconds(&j, d->wall_ns);
	pcore_json_key(&j, "user_s");
	pcore_json_seconds(&j, d->user_ns);
	pcore_json_key(&j, "sys_s");
	pcore_json_seconds(&j, d->system_ns);
	rows_number(&j, "maxrss_kib", d->maxrss_kib);
	rows_number(&j, "stdout_bytes", d->bytes[0]);
	rows_number(&j, "stderr_bytes", d->bytes[1]);
	pcore_json_key(&j, "node");
	pcore_json_str(&j, *node ? node : NULL);
	rows_number(&j, "attempt", d->tries);
	pcore_json_object_end(&j);
	return j.error < 0 ? j.error : pcore_buf_addc(b, '\n');
}

/* ---- nodes ---- */

static void seconds(char buf[static 24], int64_t ns)
{
	(void)snprintf(buf, 24, "%" PRId64 ".%03d", ns / NS_PER_S, (int)(ns % NS_PER_S / NS_PER_MS));
}

int rows_node_heading(struct pcore_buf *b)
{
	return pcore_buf_addf(b, "%-16s %6s %8s %10s %12s %12s %12s\n", "NODE", "CPUS", "JOBS", "SEC/JOB", "NODE TIME", "SENT", "RECEIVED");
}

static void cpus_text(char buf[static 16], uint32_t cpus)
{
	(void)snprintf(buf, 16, cpus ? "%" PRIu32 : "-", cpus);
}

int rows_node(struct pcore_buf *b, const struct rows_node *n)
{
	char each[24], all[24], cpus[16];

	seconds(each, n->jobs ? n->job_ns / (int64_t)n->jobs : 0);
	seconds(all, n->job_ns);
	cpus_text(cpus, n->cpus);
	return pcore_buf_addf(b, "%-16s %6s %8" PRIu64 " %10s %12s %12" PRIu64 " %12" PRIu64 "\n", n->name, cpus, n->jobs, each, all, n->sent,
		n->received);
}

int rows_node_json(struct pcore_buf *b, const struct rows_node *n)
{
	struct pcore_json j = PCORE_JSON_INIT(b);

	pcore_json_object(&j);
	pcore_json_key(&j, "node");
	pcore_json_str(&j, n->name);
	rows_number(&j, "cpus", n->cpus);
	rows_number(&j, "jobs", n->jobs);
	pcore_json_key(&j, "job_s");
	pcore_json_seconds(&j, n->jobs ? n->job_ns / (int64_t)n->jobs : 0);
	pcore_json_key(&j, "node_s");
	pcore_json_seconds(&j, n->job_ns);
	rows_number(&j, "sent_bytes", n->sent);
	rows_number(&j, "received_bytes", n->received);
	pcore_json_object_end(&j);
	return j.error < 0 ? j.error : pcore_buf_addc(b, '\n');
}

static int64_t thousandths(int64_t job_ns, int64_t wall_ns)
{
	return wall_ns > 0 ? (int64_t)((double)job_ns * 1000 / (double)wall_ns) : 0;
}

int rows_total(struct pcore_buf *b, int64_t job_ns, int64_t wall_ns)
{
	int64_t speed = thousandths(job_ns, wall_ns);
	char job[24], wall[24];

	seconds(job, job_ns);
	seconds(wall, wall_ns);
	return pcore_buf_addf(b, "job time %s, wall time %s, speed-up %" PRId64 ".%03d\n", job, wall, speed / 1000, (int)(speed % 1000));
}

int rows_total_json(struct pcore_buf *b, int64_t job_ns, int64_t wall_ns)
{
	struct pcore_json j = PCORE_JSON_INIT(b);

	pcore_json_object(&j);
	pcore_json_key(&j, "job_s");
	pcore_json_seconds(&j, job_ns);
	pcore_json_key(&j, "wall_s");
	pcore_json_seconds(&j, wall_ns);
	pcore_json_key(&j, "speedup");
	pcore_json_seconds(&j, thousandths(job_ns, wall_ns) * NS_PER_MS);
	pcore_json_object_end(&j);
	return j.error < 0 ? j.error : pcore_buf_addc(b, '\n');
}
