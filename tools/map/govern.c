/* SPDX-License-Identifier: MIT */
/*
 * govern.c - what holds new jobs back.
 *
 * A trigger of the kernel's pressure files tells when pressure rises, but not when it falls, and not every user may set
 * one. The averages are there for all, are computed every two seconds, and one timer serves them like the other figures.
 */
#include "tools/map/govern.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/map/map.h"

#define INTERVAL_NS (250 * NS_PER_MS)
#define TELL_AFTER_NS NS_PER_S
/* Workers do a million jobs a second; a process takes about as long as this to start. */
#define LOOK_AGAIN_NS NS_PER_MS

enum { PROC_TEXT_MAX = 8192, WHY_MAX = 128, SIZE_TEXT_MAX = 48, JOBS_TEXT_MAX = 24 };

static const char *const resources[GOVERN_RESOURCES] = { "cpu", "memory", "io" };

/* ---- options ---- */

static int set_load(void *opts, const char *name, const char *value)
{
	struct govern_opts *o = opts;
	int r = cli_parse_share(value, cli_cpus(), &o->load);

	return r < 0 ? cli_opt_bad(name, value, r == -ERANGE ? "out of range" : "must be N or N%") : 0;
}

static int set_pressure(void *opts, const char *name, const char *value)
{
	struct govern_opts *o = opts;
	const char *equals = strchr(value, '=');
	double percent;

	for (size_t i = 0; equals && i < GOVERN_RESOURCES; i++) {
		size_t len = strlen(resources[i]);

		if ((size_t)(equals - value) != len || strncmp(value, resources[i], len) != 0)
			continue;
		if (pcore_parse_decimal(equals + 1, &percent) < 0 || percent > 100)
			break;
		o->pressure[i].given = true;
		o->pressure[i].percent = percent;
		return 0;
	}
	return cli_opt_bad(name, value, "must be cpu, memory or io, then = and a number from 0 to 100");
}

#define AT(member) offsetof(struct govern_opts, member)

const struct cli_opt govern_table[] = {
	{ .name = "Load and memory", .kind = CLI_OPT_HEADING },
	{ .name = "memfree", .kind = CLI_OPT_SIZE, .arg = "SIZE", .offset = AT(memfree), .help = "start jobs only while so much memory is available" },
	{ .name = "load", .kind = CLI_OPT_CALL, .arg = "N|N%", .set = set_load, .help = "start jobs only while fewer threads can run" },
	{ .name = "pressure", .kind = CLI_OPT_CALL, .arg = "WHAT=PERCENT", .set = set_pressure, .help = "start jobs only while tasks wait no longer than\nthat for WHAT: cpu, memory or io" },
	{ .name = NULL },
};

/* ---- figures: 1 with a reason when new jobs have to wait, 0 when not, -errno ---- */

static void size_text(char text[static SIZE_TEXT_MAX], uint64_t bytes)
{
	static const char units[] = "KMGT";
	uint64_t unit = 1;
	size_t i = 0;

	for (; i < sizeof(units) - 1 && bytes / unit >= 1024; i++)
		unit *= 1024;
	if (bytes % unit)
		(void)snprintf(text, SIZE_TEXT_MAX, "%" PRIu64 ".%" PRIu64 "%.1s", bytes / unit, bytes % unit * 10 / unit, units + i - 1);
	else
		(void)snprintf(text, SIZE_TEXT_MAX, "%" PRIu64 "%.1s", bytes / unit, i ? units + i - 1 : "");
}

static int judge_memory(const struct govern_opts *o, const char *text, char why[static WHY_MAX])
{
	const char *line = strstr(text, "MemAvailable:");
	char have[SIZE_TEXT_MAX], want[SIZE_TEXT_MAX];
	uint64_t kib;

	if (!line || sscanf(line, "MemAvailable: %" SCNu64 " kB", &kib) != 1)
		return -EBADMSG;
	if (kib * 1024 >= o->memfree)
		return 0;
	size_text(have, kib * 1024);
	size_text(want, o->memfree);
	(void)snprintf(why, WHY_MAX, "memory available %s is below %s", have, want);
	return 1;
}

static int judge_load(const struct govern_opts *o, const char *text, char why[static WHY_MAX])
{
	uint64_t n;

	if (sscanf(text, "%*s %*s %*s %" SCNu64 "/", &n) != 1)
		return -EBADMSG;
	if (n > 0)
		n--; /* it is us who run and read this */
	if (n < o->load)
		return 0;
	(void)snprintf(why, WHY_MAX, "load %" PRIu64 " is not below %" PRIu64, n, o->load);
	return 1;
}

static int judge_pressure(const struct govern_opts *o, enum govern_resource which, const char *text, char why[static WHY_MAX])
{
	double percent, limit = o->pressure[which].percent;

	if (sscanf(text, "some avg10=%lf", &percent) != 1)
		return -EBADMSG;
	if (percent <= limit)
		return 0;
	(void)snprintf(why, WHY_MAX, "%s pressure %.2f%% is above %g%%", resources[which], percent, limit);
	return 1;
}

/* why holds the path from here on, until there is a reason. */
static int read_figures(const struct govern *g, const char *name, char text[static PROC_TEXT_MAX], char why[static WHY_MAX])
{
	ssize_t n;

	(void)snprintf(why, WHY_MAX, "%s/%s", g->proc, name);
	n = pcore_file_read(AT_FDCWD, why, text, PROC_TEXT_MAX);
	return n < 0 ? (int)n : 0;
}

/* The first reason that is found. -errno with the path of the figure that cannot be read in why. */
static int look(const struct govern *g, char why[static WHY_MAX])
{
	static const char *const files[GOVERN_RESOURCES] = { "pressure/cpu", "pressure/memory", "pressure/io" };
	const struct govern_opts *o = g->opts;
	char text[PROC_TEXT_MAX];
	int r = 0;

	if (o->memfree && (r = read_figures(g, "meminfo", text, why)) == 0)
		r = judge_memory(o, text, why);
	if (r == 0 && o->load && (r = read_figures(g, "loadavg", text, why)) == 0)
		r = judge_load(o, text, why);
	for (enum govern_resource i = 0; r == 0 && i < GOVERN_RESOURCES; i++)
		if (o->pressure[i].given && (r = read_figures(g, files[i], text, why)) == 0)
			r = judge_pressure(o, i, text, why);
	return r;
}

/* ---- the hold ---- */

static void hold_step(struct govern *g, bool busy, const char *why, int64_t now)
{
	switch (g->state) {
	case GOVERN_FREE:
		if (!busy)
			return;
		g->state = GOVERN_HELD;
		g->since_ns = now;
		g->hold(g->ctx, true);
		return;
	case GOVERN_HELD:
		if (busy && !g->kept_waiting(g->ctx)) /* there is nothing to tell of */
			g->since_ns = now;
		if (busy && now - g->since_ns >= TELL_AFTER_NS) {
			g->state = GOVERN_TOLD;
			g->before_message(g->ctx);
			cli_warn("holding back new jobs: %s", why);
		}
		break;
	case GOVERN_TOLD:
		break;
	}
	if (busy)
		return;
	g->state = GOVERN_FREE;
	g->hold(g->ctx, false);
}

static void look_now(struct govern *g, int64_t now)
{
	char why[WHY_MAX];
	int r = look(g, why);

	g->looked_ns = now;
	/* What cannot be read for once, for want of a descriptor perhaps, holds nothing back: a hold ends for certain. */
	hold_step(g, r > 0, why, now);
}

void govern_look(struct govern *g)
{
	int64_t now;

	if (!g->loop)
		return;
	now = pcore_now_ns();
	if (now - g->looked_ns >= LOOK_AGAIN_NS)
		look_now(g, now);
}

/* ---- the file ---- */

/* -ENOTSUP: no regular file, which could neither be read twice nor without waiting. */
static int read_number(const char *path, unsigned cpus, uint64_t *ret)
{
	_cleanup_(fd_closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	char text[JOBS_TEXT_MAX];
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -ENOTSUP;
	n = read(fd, text, sizeof(text));
	if (n < 0)
		return -errno;
	if (n == sizeof(text))
		return -EINVAL;

	while (n > 0 && strchr(" \t\r\n", text[n - 1]))
		n--;
	text[n] = '\0';
	return strlen(text) == (size_t)n ? cli_parse_jobs(text, cpus, ret) : -EINVAL;
}

static const char *number_error(int error)
{
	switch (error) {
	case -EINVAL:
		return "must hold N, N% or +N";
	case -ERANGE:
		return "out of range";
	case -ENOTSUP:
		return "not a regular file";
	default:
		return strerror(-error);
	}
}

static void look_at_file(struct govern *g)
{
	uint64_t jobs = g->file_jobs;
	int r = read_number(g->opts->jobs_file, g->cpus, &jobs);

	if (r != g->file_error) {
		g->file_error = r;
		g->file_error_told = false; /* told when it is the same next time: somebody may be writing the file now */
	} else if (r < 0 && !g->file_error_told) {
		g->file_error_told = true;
		g->before_message(g->ctx);
		cli_warn("cannot take the number of jobs from '%s': %s, ignoring", g->opts->jobs_file, number_error(r));
	}
	if (jobs != g->file_jobs) {
		g->file_jobs = jobs;
		g->jobs_changed(g->ctx, jobs);
	}
}

/* ---- time ---- */

static bool has_limits(const struct govern_opts *o)
{
	bool any = o->memfree || o->load;

	for (size_t i = 0; i < GOVERN_RESOURCES; i++)
		any = any || o->pressure[i].given;
	return any;
}

static void arm(struct govern *g)
{
	(void)pcore_op_timer(g->loop, &g->timer, PCORE_CLOCK_MONOTONIC, pcore_ns_add(pcore_now_ns(), INTERVAL_NS));
}

static void tick(struct pcore_op *op, int res)
{
	struct govern *g = container_of(op, struct govern, timer);

	if (res != -ETIME || !g->loop)
		return;
	if (g->opts->jobs_file)
		look_at_file(g);
	look_now(g, pcore_now_ns());
	arm(g);
}

int govern_prepare(struct govern *g, uint64_t *ret_jobs)
{
	const char *file = g->opts->jobs_file;
	char why[WHY_MAX];
	int r = look(g, why);

	if (r < 0)
		return cli_error("cannot read '%s': %s", why, strerror(-r));
	if (!file)
		return CLI_GO;
	g->cpus = cli_cpus();
	r = read_number(file, g->cpus, &g->file_jobs);
	if (r < 0)
		return cli_error("cannot take the number of jobs from '%s': %s", file, number_error(r));
	*ret_jobs = g->file_jobs;
	return CLI_GO;
}

void govern_start(struct govern *g, struct pcore_loop *lp)
{
	if (!has_limits(g->opts) && !g->opts->jobs_file)
		return;

	g->loop = lp;
	g->timer.done = tick;
	arm(g);
	look_now(g, pcore_now_ns());
}

void govern_stop(struct govern *g)
{
	if (!g->loop)
		return;
	pcore_op_cancel(g->loop, &g->timer);
	g->loop = NULL;
}
