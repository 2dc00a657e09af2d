/* SPDX-License-Identifier: MIT */
/*
 * output.c - a command's output on its way through prun.
 */
#include "tools/prun/output.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tools/cli/cli.h"

enum { READ_SIZE = 128 * 1024, READ_SIZE_LOGS = 16 * 1024, STAMP_MAX = 48 };

/* "2026-11-25T23:28:04.123+01:00<TAB>" */
static size_t make_stamp(char stamp[static STAMP_MAX])
{
	int64_t now = pcore_clock_ns(CLOCK_REALTIME);
	time_t seconds = now / NS_PER_S;
	struct tm tm = { 0 };
	char zone[8] = "";
	size_t n;

	(void)localtime_r(&seconds, &tm);
	n = strftime(stamp, STAMP_MAX, "%Y-%m-%dT%H:%M:%S", &tm);
	(void)strftime(zone, sizeof(zone), "%z", &tm);
	n += (size_t)snprintf(stamp + n, STAMP_MAX - n, ".%03d%.3s:%.2s\t", (int)(now % NS_PER_S / NS_PER_MS), zone, zone + 3);
	return n;
}

/* Does a whole line of this stream equal the one that says the command is ready? */
static bool look_for_line(struct output_stream *s, const char *line, const char *data, size_t len)
{
	size_t want = strlen(line);

	for (size_t i = 0; i < len; i++) {
		if (data[i] == '\n') {
			if (s->matched == want)
				return true;
			s->matched = 0;
		} else if (s->matched < want && data[i] == line[s->matched]) {
			s->matched++;
		} else {
			s->matched = SIZE_MAX;
		}
	}
	return false;
}

static size_t cut(struct output_stream *s, size_t n)
{
	uint64_t before = s->bytes;
	uint64_t max = s->output->spec.max;

	s->bytes += n;
	if (max == 0 || s->bytes <= max)
		return n;
	s->truncated = true;
	return before < max ? (size_t)(max - before) : 0;
}

static void closed(struct output_stream *s, ssize_t error)
{
	struct output *o = s->output;

	s->open = false;
	if (error < 0 && error != -EIO) /* how a terminal says that its other end is closed */
		cli_warn("cannot read the command's output: %s", strerror((int)-error));
	if (!output_open(o))
		o->spec.closed(o->spec.ctx);
}

static void pass(struct output_stream *s, int i, const char *data, size_t n)
{
	struct output *o = s->output;
	char stamp[STAMP_MAX];
	int r = 0;

	if (o->spec.timestamps) {
		pcore_buf_clear(&o->stamped);
		r = cli_prefix_lines(&o->stamped, &s->mid_line, stamp, make_stamp(stamp), data, n);
		data = o->stamped.data;
		n = o->stamped.len;
	}
	if (r == 0 && o->spec.tee_fd >= 0)
		r = pcore_fd_write_all(o->spec.tee_fd, data, n);
	if (r == 0 && o->spec.logs)
		r = cli_log_write(&o->spec.logs[i], data, n);
	if (r < 0) {
		o->dropped = true;
		o->spec.failed(o->spec.ctx, 3, r);
	} else if (!o->spec.logs && !cli_output_add(o->out, i, data, n))
		pcore_reader_pause(&s->reader);
}

static void arrived(struct output_stream *s, int i, const char *data, ssize_t n)
{
	struct output *o = s->output;
	size_t kept;

	if (n <= 0) {
		closed(s, n);
		return;
	}
	if (o->spec.ready_line && !o->is_ready && look_for_line(s, o->spec.ready_line, data, (size_t)n)) {
		o->is_ready = true;
		o->spec.ready(o->spec.ctx);
	}
	kept = cut(s, (size_t)n);
	if (kept > 0 && !o->dropped)
		pass(s, i, data, kept);
}

static void stdout_arrived(struct pcore_reader *r, const char *data, ssize_t n)
{
	arrived(container_of(r, struct output_stream, reader), 0, data, n);
}

static void stderr_arrived(struct pcore_reader *r, const char *data, ssize_t n)
{
	arrived(container_of(r, struct output_stream, reader), 1, data, n);
}

static void resume(void *ctx, void *owner)
{
	struct output *o = ctx;

	(void)owner;
	for (int i = 0; i < 2; i++)
		if (o->streams[i].open)
			(void)pcore_reader_resume(&o->streams[i].reader);
}

static void room(void *ctx)
{
	(void)ctx;
}

static void write_failed(void *ctx, int fd, int error)
{
	struct output *o = ctx;

	if (fd == STDERR_FILENO && error == -EPIPE)
		return;
	o->dropped = true;
	cli_collator_drop(o->collator);
	o->spec.failed(o->spec.ctx, fd, error);
}

int output_init(struct output *o, struct pcore_loop *lp, const struct output_spec *spec)
{
	const char *tmpdir = getenv("TMPDIR");
	struct cli_collator_spec c = {
		.loop = lp,
		.mode = spec->capture ? CLI_UNORDERED : CLI_THROUGH,
		.buffer = spec->buffer,
		.window = 1,
		.hold = true,
		.tmpdir = tmpdir && *tmpdir ? tmpdir : "/tmp",
		.ctx = o,
		.resume = resume,
		.room = room,
		.failed = write_failed,
	};

	*o = (struct output){ .spec = *spec, .loop = lp };
	o->buf_size = spec->logs ? READ_SIZE_LOGS : READ_SIZE; /* in the background memory counts more */
	o->buf = malloc(o->buf_size);
	if (!o->buf || cli_collator_new(&o->collator, &c) < 0)
		return -ENOMEM;

	o->out = cli_output_new(o->collator, o, NULL);
	return o->out ? 0 : -ENOMEM;
}

void output_done(struct output *o)
{
	if (o->out)
		output_end(o, false);
	cli_collator_free(o->collator);
	pcore_buf_done(&o->stamped);
	free(o->buf);
}

static int start_stream(struct output *o, int i, int fd)
{
	struct output_stream *s = &o->streams[i];
	int r;

	if (fd < 0)
		return 0;

	*s = (struct output_stream){ .output = o };
	s->reader.buf = o->buf;
	s->reader.buf_size = o->buf_size;
	s->reader.data = i == 0 ? stdout_arrived : stderr_arrived;
	r = pcore_reader_start(&s->reader, o->loop, fd);
	s->open = r == 0;
	return r;
}

int output_start(struct output *o, int out_fd, int err_fd)
{
	int r = start_stream(o, 0, out_fd);

	return r < 0 ? r : start_stream(o, 1, err_fd);
}

bool output_open(const struct output *o)
{
	return o->streams[0].open || o->streams[1].open;
}

void output_finish(struct output *o)
{
	for (int i = 0; i < 2; i++)
		if (o->streams[i].open)
			pcore_reader_finish(&o->streams[i].reader);
}

void output_forget(struct output *o)
{
	cli_output_forget(o->out);
}

void output_end(struct output *o, bool print)
{
	struct cli_output *out = o->out;

	o->out = NULL;
	if (!print)
		cli_output_forget(out);
	cli_output_finish(out);
}
