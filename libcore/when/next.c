/* SPDX-License-Identifier: MIT */
/*
 * next.c - the next run, found field by field from the year down.
 */
#include "libcore/when/next.h"

void pcore_when_init(struct pcore_when *w)
{
	*w = (struct pcore_when){
		.years = { UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX },
		.months = UINT16_MAX,
		.days = UINT32_MAX,
		.weekdays = UINT8_MAX,
		.hours = UINT32_MAX,
		.minutes = UINT64_MAX,
		.seconds = (UINT64_C(1) << 60) - 1,
		.interval = true,
	};
}

/* ---- wall-clock times ---- */

struct month {
	unsigned len, first_weekday;
};

/* Is the day, which is a Monday to Friday, the nearest such one to a day of near_days? */
static bool is_near(const struct pcore_when *w, const struct month *m, unsigned day, unsigned weekday)
{
	uint32_t near = w->near_days & ~UINT32_C(1);
	bool monday = weekday == 1, friday = weekday == 5;

	if (w->near_days & 1)
		near |= UINT32_C(1) << m->len;
	if (weekday == 0 || weekday == 6)
		return false;
	if (near >> day & 1)
		return true;
	if (friday && day < m->len && near >> (day + 1) & 1) /* Saturday: the day before */
		return true;
	if (monday && day > 1 && near >> (day - 1) & 1) /* Sunday: the day after */
		return true;
	if (monday && day == 3 && near >> 1 & 1) /* Saturday the 1st: not in the month before */
		return true;
	return friday && day + 2 == m->len && near >> m->len & 1; /* Sunday the last: not in the month after */
}

static bool day_matches(const struct pcore_when *w, const struct month *m, unsigned day)
{
	unsigned weekday = (m->first_weekday + day - 1) % 7;
	bool by_date, by_weekday;

	by_date = w->days >> day & 1 || w->days_from_end >> (m->len + 1 - day) & 1 || (w->near_days && is_near(w, m, day, weekday));
	by_weekday = w->weekdays >> weekday & 1 || w->nth_weekdays[(day - 1) / 7] >> weekday & 1 ||
		     (day + 7 > m->len && w->last_weekdays >> weekday & 1);
	return w->either ? by_date || by_weekday : by_date && by_weekday;
}

/* The first matching ns within a minute at or after from, or -1. */
static int64_t next_second(const struct pcore_when *w, int64_t from)
{
	int64_t second = (from + NS_PER_S - 1) / NS_PER_S;
	uint64_t later = w->seconds >> second;
	int64_t best = later ? (second + __builtin_ctzll(later)) * NS_PER_S : -1;

	for (size_t i = 0; i < w->n_parts; i++) {
		const struct pcore_when_seconds *s = &w->parts[i];
		int64_t v = s->first;

		if (from > v)
			v += (from - v + s->step - 1) / s->step * s->step;
		if (v <= s->last && (best < 0 || v < best))
			best = v;
	}
	return best;
}

/* The first matching ns within a day at or after from, or -1. */
static int64_t next_in_day(const struct pcore_when *w, int64_t from)
{
	int hour = (int)(from / (3600 * NS_PER_S)), minute = (int)(from / (60 * NS_PER_S) % 60);
	int64_t ns = from % (60 * NS_PER_S);

	for (; hour < 24; hour++, minute = 0, ns = 0) {
		if (!(w->hours >> hour & 1))
			continue;
		for (; minute < 60; minute++, ns = 0) {
			int64_t v = w->minutes >> minute & 1 ? next_second(w, ns) : -1;

			if (v >= 0)
				return (hour * 60 + minute) * 60 * NS_PER_S + v;
		}
	}
	return -1;
}

static bool has_year(const struct pcore_when *w, int year)
{
	unsigned i = (unsigned)(year - PCORE_WHEN_FIRST_YEAR);

	return w->years[i / 64] >> i % 64 & 1;
}

/* The first matching day of the month from `day' on, or 0. */
static unsigned next_day(const struct pcore_when *w, int year, unsigned month, unsigned day)
{
	struct month m;

	if (!(w->months >> month & 1))
		return 0;
	m.len = pcore_month_days(year, month);
	m.first_weekday = pcore_weekday(pcore_days_of(year, month, 1));
	for (; day <= m.len; day++)
		if (day_matches(w, &m, day))
			return day;
	return 0;
}

/* The first matching wall-clock time at or after from. 0, or -ENOENT. */
static int first_wall(const struct pcore_when *w, int64_t from, int64_t *ret)
{
	int64_t in_day = -1;
	struct pcore_date d;

	if (from < 0)
		from = 0;
	d = pcore_date_of(from / PCORE_NS_PER_DAY);
	if (d.year < PCORE_WHEN_END_YEAR && has_year(w, d.year) && next_day(w, d.year, d.month, d.day) == d.day) {
		in_day = next_in_day(w, from % PCORE_NS_PER_DAY);
		d.day += in_day < 0; /* not on this day any more */
	}
	if (in_day < 0)
		in_day = next_in_day(w, 0);
	if (in_day < 0)
		return -ENOENT;

	for (; d.year < PCORE_WHEN_END_YEAR; d.year++, d.month = 1, d.day = 1) {
		if (!has_year(w, d.year))
			continue;
		for (; d.month <= 12; d.month++, d.day = 1) {
			unsigned day = next_day(w, d.year, d.month, d.day);

			if (day > 0) {
				*ret = pcore_days_of(d.year, d.month, day) * PCORE_NS_PER_DAY + in_day;
				return 0;
			}
		}
	}
	return -ENOENT;
}

/* ---- instants ---- */

static int next_fixed(const struct pcore_when *w, const struct pcore_zone *z, bool skip, int64_t after_ns, int64_t *ret_ns)
{
	int64_t wall = pcore_zone_unseen(z, after_ns), instant;
	bool skipped;

	for (;;) {
		int r = first_wall(w, wall, &wall);

		if (r < 0)
			return r;
		instant = pcore_zone_instant(z, wall, &skipped);
		if (!skip || !skipped)
			break;
		wall = pcore_zone_wall(z, instant); /* what was skipped before that has no instant */
	}
	*ret_ns = instant;
	return 0;
}

/* Offset by offset. The first match is looked for again only when what was found lies behind us, or the clocks went back. */
static int next_interval(const struct pcore_when *w, const struct pcore_zone *z, int64_t after_ns, int64_t *ret_ns)
{
	int64_t from = after_ns + 1, searched = INT64_MAX, wall = 0;

	for (;;) {
		struct pcore_zone_span s = pcore_zone_at(z, from);
		int64_t least = from + s.offset_ns;

		if (least < searched || least > wall) {
			int r = first_wall(w, least, &wall);

			/* Clocks that go back could still show an earlier match, but none goes back by a year. */
			if (r < 0)
				return r;
			searched = least;
		}
		if (wall - s.offset_ns < s.end_ns) {
			*ret_ns = wall - s.offset_ns;
			return 0;
		}
		from = s.end_ns;
	}
}

int pcore_when_next(const struct pcore_when *w, const struct pcore_zone *z, enum pcore_dst dst, int64_t after_ns, int64_t *ret_ns)
{
	int64_t at = INT64_MAX, again = INT64_MAX;

	if (after_ns < -PCORE_NS_PER_DAY * 2)
		after_ns = -PCORE_NS_PER_DAY * 2;
	if (after_ns > pcore_days_of(PCORE_WHEN_END_YEAR, 1, 3) * PCORE_NS_PER_DAY)
		return -ENOENT;
	if (!w->interval)
		(void)next_fixed(w, z, dst == PCORE_DST_SKIP, after_ns, &at);
	if (w->interval || dst == PCORE_DST_BOTH)
		(void)next_interval(w, z, after_ns, &again);
	if (again < at)
		at = again;
	if (at == INT64_MAX)
		return -ENOENT;
	*ret_ns = at;
	return 0;
}
