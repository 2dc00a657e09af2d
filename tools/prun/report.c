/* SPDX-License-Identifier: MIT */
/*
 * report.c - what became of a run: a line a command.
 */
#include <stdio.h>
#include <string.h>

#include "tools/prun/run.h"

static const char *killed_by(const struct run *r, const struct side *s, const struct cli_attempt *a, char *buf, size_t size)
{
	char name[PCORE_SIGNAL_NAME_MAX];

	if (a->timed_out)
		return "timeout";
	if (s->out_of_memory)
		return "memory";
	if (s->proc.killed_by == PCORE_KILLED_CANCEL)
		return "cancel";
	if (!a->ran || a->exit.code == CLD_EXITED || a->exit.status != r->last_signal)
		return NULL;
	(void)snprintf(buf, size, "signal:%s", pcore_signal_name(r->last_signal, name));
	return buf;
}

static int report_side(struct run *r, const struct side *s, struct pcore_buf *line)
{
	const struct cli_attempt *attempts = (const struct cli_attempt *)(const void *)r->attempts.data;
	bool first = s == &r->sides[0];
	uint64_t bytes[2] = { r->output.streams[0].bytes, r->output.streams[1].bytes };
	char by[32];
	struct cli_report report = {
		.argv = s->argv,
		.pid = s->proc.pid,
		.method = s->tree ? pcore_tree_method_name(s->tree) : NULL,
		.setup_error = first && r->err.code ? &r->err : NULL,
		.io = &s->proc.io,
		.survivors = s->proc.survivors,
		.output_bytes = first && r->use_output ? bytes : NULL,
		.memory_limit = r->memory_limit,
		.truncated = first && (r->output.streams[0].truncated || r->output.streams[1].truncated),
		.attempts = first ? attempts : &s->attempt,
		.n_attempts = first ? r->attempts.len / sizeof(*attempts) : 1,
	};

	if (report.n_attempts > 0)
		report.killed_by = killed_by(r, s, &report.attempts[report.n_attempts - 1], by, sizeof(by));
	return cli_report_write(line, &report);
}

int run_write_report(struct run *r)
{
	_cleanup_(pcore_buf_done) struct pcore_buf lines = PCORE_BUF_INIT(0);
	int error = report_side(r, &r->sides[0], &lines);

	if (error == 0 && r->sides[1].used)
		error = report_side(r, &r->sides[1], &lines);
	if (error == 0 && r->background)
		error = cli_job_write(r->background->dfd, "report", lines.data, lines.len);
	if (error == 0 && r->report_fd >= 0)
		error = pcore_fd_write_all(r->report_fd, lines.data, lines.len);
	if (error < 0)
		return cli_error("cannot write the report '%s': %s", r->opts->report ? r->opts->report : "", strerror(-error));
	return r->status;
}
