/* SPDX-License-Identifier: MIT */
/*
 * next.c - ptimer next: what will be due.
 */
#include "tools/ptimer/ptimer.h"
#include "tools/ptimer/schedule.h"

enum { FLUSH_SIZE = 32768 };

static void add_run(struct pcore_buf *b, const struct ptimer_opts *o, uint64_t n, const struct pcore_zone *z, int64_t due)
{
	struct pcore_json j = PCORE_JSON_INIT(b);
	int64_t offset = pcore_zone_at(z, due).offset_ns;
	char text[PCORE_WALL_TEXT_MAX];

	pcore_wall_text(text, due + offset, offset);
	if (!o->json) {
		(void)pcore_buf_adds(b, text);
	} else {
		pcore_json_object(&j);
		pcore_json_key(&j, "n");
		pcore_json_u64(&j, n);
		pcore_json_key(&j, "due");
		pcore_json_str(&j, text);
		pcore_json_key(&j, "epoch_us");
		pcore_json_i64(&j, pcore_floor_div(due, NS_PER_US));
		pcore_json_object_end(&j);
	}
	(void)pcore_buf_addc(b, '\n');
}

static int flush(struct pcore_buf *b)
{
	int r = pcore_buf_terminate(b);

	if (r < 0 || b->len == 0)
		return r < 0 ? cli_error("out of memory") : CLI_OK;
	r = cli_print(b->data);
	pcore_buf_clear(b);
	return r;
}

static int print_runs(const struct ptimer_opts *o, const struct schedule *s, const struct pcore_zone *z, int64_t from)
{
	_cleanup_(pcore_buf_done) struct pcore_buf b = PCORE_BUF_INIT(0);
	uint64_t n, wanted = o->count ? o->count : 1;
	int64_t due = from;
	int r = CLI_OK;

	for (n = 0; n < wanted && r == CLI_OK && schedule_next(s, due, &due) == 0; n++) {
		add_run(&b, o, n + 1, z, due);
		if (b.len >= FLUSH_SIZE)
			r = flush(&b);
	}
	if (n == 0)
		return o->verb == PTIMER_AT ? cli_error("'%s' has passed", o->expression) : ptimer_never(o->expression);
	return r == CLI_OK ? flush(&b) : r;
}

int ptimer_next(const struct ptimer_opts *o)
{
	int64_t from = pcore_clock_ns(CLOCK_REALTIME);
	struct schedule s = { .when = &o->when, .dst = o->dst, .until = INT64_MAX };
	struct pcore_zone *z = NULL;
	int r = o->from ? ptimer_time(o, o->from, from, &from) : CLI_GO;

	if (r == CLI_GO)
		r = ptimer_zone(o, ptimer_own_zone(o), &z, NULL);
	if (r != CLI_GO)
		return r;

	s.zone = z;
	if (o->verb == PTIMER_EVERY) {
		s.kind = SCHEDULE_EVERY;
		s.period = o->duration;
		s.first = pcore_ns_add(from, o->phase >= 0 ? o->phase : o->duration);
		s.until = (int64_t)(pcore_days_of(PCORE_WHEN_END_YEAR, 1, 1) * PCORE_NS_PER_DAY - 1);
	} else if (o->verb == PTIMER_AT) {
		s.kind = SCHEDULE_ONCE;
		s.first = pcore_time_resolve(&o->time, z, from);
	} else {
		s.kind = SCHEDULE_WHEN;
	}
	r = print_runs(o, &s, z, from);
	pcore_zone_free(z);
	return r;
}
