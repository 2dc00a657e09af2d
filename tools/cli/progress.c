/* SPDX-License-Identifier: MIT */
/*
 * progress.c - a line on stderr that says how far a run is.
 */
#include "tools/cli/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define IN_PLACE_INTERVAL_NS (200 * NS_PER_MS)
#define JSON_INTERVAL_NS (500 * NS_PER_MS)
#define LINES_INTERVAL_NS NS_PER_S

enum { BAR_WIDTH = 20, TEXT_MAX = 320 };

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

static size_t add_bar(char *buf, size_t size, size_t at, const struct cli_progress_state *s)
{
	int full = s->done < s->total ? (int)((double)s->done / (double)s->total * BAR_WIDTH) : BAR_WIDTH;

	ADD("[%.*s%.*s] ", full, "####################", BAR_WIDTH - full, "....................");
	return at;
}

/* left_s is negative when nobody knows. */
static void human_text(char *buf, size_t size, const struct cli_progress_state *s, double rate, double left_s, bool bar)
{
	size_t at = 0;

	if (bar && s->total_known)
		at = add_bar(buf, size, at, s);
	if (s->total_known)
		ADD("%" PRIu64 "/%" PRIu64 " done", s->done, s->total);
	else
		ADD("%" PRIu64 " done", s->done);
	ADD(", %u running, %" PRIu64 " failed, %.1f/s", s->running, s->failed, rate);
	if (left_s >= 0) {
		ADD(", ");
		at = add_time(buf, size, at, left_s);
		ADD(" left");
	}
}

static void json_text(
	char *buf, size_t size, const struct cli_progress_state *s, double rate, double left_s, double elapsed_s)
{
	size_t at = 0;

	ADD("{\"done\":%" PRIu64 ",\"failed\":%" PRIu64 ",\"running\":%u,", s->done, s->failed, s->running);
	if (s->total_known)
		ADD("\"total\":%" PRIu64 ",", s->total);
	else
		ADD("\"total\":null,");
	ADD("\"rate\":%.3f,", rate);
	if (left_s >= 0)
		ADD("\"eta_s\":%.3f,", left_s);
	else
		ADD("\"eta_s\":null,");
	ADD("\"elapsed_s\":%.6f}", elapsed_s);
}

void cli_progress_text(
	char *buf, size_t size, const struct cli_progress_state *s, int64_t elapsed_ns, enum cli_progress_style style)
{
	double elapsed_s = (double)elapsed_ns / (double)NS_PER_S;
	double rate = elapsed_s > 0 ? (double)s->done / elapsed_s : 0;
	double left_s = -1;

	if (s->total_known && rate > 0)
		left_s = s->done < s->total ? (double)(s->total - s->done) / rate : 0;
	if (style == CLI_PROGRESS_JSON)
		json_text(buf, size, s, rate, left_s, elapsed_s);
	else
		human_text(buf, size, s, rate, left_s, style == CLI_PROGRESS_BAR);
}

static void put(const char *text)
{
	if (write(STDERR_FILENO, text, strlen(text)) < 0)
		return; /* a progress line is not worth a message */
}

/* What is wider than the terminal would go on in a new line, each time. */
static void cut_to_width(char *text)
{
	struct winsize size;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && strlen(text) >= size.ws_col)
		text[size.ws_col - 1] = '\0';
}

static void draw(struct cli_progress *p)
{
	struct cli_progress_state s = p->state(p->ctx);
	char text[TEXT_MAX], line[TEXT_MAX + 32];
	bool red = p->colour && s.failed > 0;

	p->drawn_ns = pcore_now_ns();
	cli_progress_text(text, sizeof(text), &s, p->drawn_ns - p->started_ns, p->style);
	if (p->in_place)
		cut_to_width(text);
	if (p->in_place)
		(void)snprintf(line, sizeof(line), "\r%s%s%s\033[K", red ? "\033[31m" : "", text, red ? "\033[0m" : "");
	else
		(void)snprintf(line, sizeof(line), "%s\n", text);
	put(line);
	p->shown = p->in_place;
}

static int64_t interval_ns(const struct cli_progress *p)
{
	if (p->in_place)
		return IN_PLACE_INTERVAL_NS;
	return p->style == CLI_PROGRESS_JSON ? JSON_INTERVAL_NS : LINES_INTERVAL_NS;
}

static void tick(struct pcore_op *op, int res)
{
	struct cli_progress *p = container_of(op, struct cli_progress, timer);

	if (res != -ETIME || p->stopped)
		return;
	if (p->in_place && p->writing && p->writing(p->ctx))
		p->drawn_ns = pcore_now_ns();
	else
		draw(p);
	(void)pcore_op_timer(p->loop, op, PCORE_CLOCK_MONOTONIC, p->drawn_ns + interval_ns(p));
}

void cli_progress_start(struct cli_progress *p, struct pcore_loop *lp)
{
	const char *no_color = getenv("NO_COLOR");

	p->loop = lp;
	p->in_place = p->style != CLI_PROGRESS_JSON && isatty(STDERR_FILENO);
	p->colour = p->in_place && !(no_color && *no_color);
	p->started_ns = pcore_now_ns();
	p->timer.done = tick;
	(void)pcore_op_timer(lp, &p->timer, PCORE_CLOCK_MONOTONIC, p->started_ns + interval_ns(p));
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
	if (p->in_place)
		cli_progress_clear(p);
	else
		draw(p);
}
