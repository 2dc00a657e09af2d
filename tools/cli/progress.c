/* SPDX-License-Identifier: MIT */
/*
 * progress.c - one line on stderr that says how far a run is.
 */
#include "tools/cli/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define INTERVAL_NS (200 * NS_PER_MS)

enum { BAR_WIDTH = 20, LINE_MAX_ = 160 };

static size_t add(char *buf, size_t size, size_t at, int n)
{
	(void)buf;
	return n < 0 || at + (size_t)n >= size ? size - 1 : at + (size_t)n;
}

#define ADD(...) at = add(buf, size, at, snprintf(buf + at, size - at, __VA_ARGS__))

static size_t add_time(char *buf, size_t size, size_t at, double seconds)
{
	uint64_t s = (uint64_t)(seconds + 0.5);

	if (s >= 3600)
		ADD("%" PRIu64 "h%02" PRIu64 "m", s / 3600, s / 60 % 60);
	else if (s >= 60)
		ADD("%" PRIu64 "m%02" PRIu64 "s", s / 60, s % 60);
	else
		ADD("%" PRIu64 "s", s);
	return at;
}

void cli_progress_text(char *buf, size_t size, const struct cli_progress_state *s, int64_t elapsed_ns, bool bar)
{
	double elapsed = (double)elapsed_ns / (double)NS_PER_S;
	double rate = elapsed > 0 ? (double)s->done / elapsed : 0;
	size_t at = 0;

	buf[0] = '\0';
	if (bar && s->total) {
		int full = (int)(s->done * BAR_WIDTH / s->total);

		ADD("[%.*s%.*s] ", full, "####################", BAR_WIDTH - full, "....................");
	}
	if (s->total)
		ADD("%" PRIu64 "/%" PRIu64 " done", s->done, s->total);
	else
		ADD("%" PRIu64 " done", s->done);
	ADD(", %u running, %" PRIu64 " failed, %.1f/s", s->running, s->failed, rate);
	if (s->total && rate > 0) {
		ADD(", ");
		at = add_time(buf, size, at, (double)(s->total - s->done) / rate);
		ADD(" left");
	}
}

static void put(const char *text)
{
	if (write(STDERR_FILENO, text, strlen(text)) < 0)
		return; /* a progress line is not worth a message */
}

static void draw(struct cli_progress *p)
{
	struct cli_progress_state s = p->state(p->ctx);
	char text[LINE_MAX_], line[LINE_MAX_ + 32];
	bool red = p->colour && s.failed > 0;

	p->drawn_ns = pcore_now_ns();
	cli_progress_text(text, sizeof(text), &s, p->drawn_ns - p->started_ns, p->bar);
	if (p->terminal)
		(void)snprintf(line, sizeof(line), "\r%s%s%s\033[K", red ? "\033[31m" : "", text, red ? "\033[0m" : "");
	else
		(void)snprintf(line, sizeof(line), "%s\n", text);
	put(line);
	p->shown = p->terminal;
}

static void tick(struct pcore_op *op, int res)
{
	struct cli_progress *p = container_of(op, struct cli_progress, timer);

	if (res != -ETIME || p->stopped)
		return;
	draw(p);
	(void)pcore_op_timer(p->loop, op, PCORE_CLOCK_MONOTONIC,
		p->drawn_ns + (p->terminal ? INTERVAL_NS : 5 * INTERVAL_NS));
}

void cli_progress_start(struct cli_progress *p, struct pcore_loop *lp)
{
	const char *no_color = getenv("NO_COLOR");

	p->loop = lp;
	p->terminal = isatty(STDERR_FILENO);
	p->colour = p->terminal && !(no_color && *no_color);
	p->started_ns = pcore_now_ns();
	p->timer.done = tick;
	(void)pcore_op_timer(lp, &p->timer, PCORE_CLOCK_MONOTONIC, p->started_ns + INTERVAL_NS);
}

void cli_progress_clear(struct cli_progress *p)
{
	if (p->shown)
		put("\r\033[K");
	p->shown = false;
}

void cli_progress_stop(struct cli_progress *p)
{
	if (!p->loop || p->stopped)
		return;

	p->stopped = true;
	pcore_op_cancel(p->loop, &p->timer);
	if (p->terminal)
		cli_progress_clear(p);
	else
		draw(p);
}
