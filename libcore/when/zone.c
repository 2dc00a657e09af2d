/* SPDX-License-Identifier: MIT */
/*
 * zone.c - time zones as tables of offsets.
 */
#include "libcore/when/zone.h"

#include <ctype.h>
#include <fcntl.h>
#include <string.h>

enum {
	HEADER_SIZE = 44,
	OFFSET_MAX_S = 26 * 3600 - 1, /* as RFC 8536 allows */
	FIRST_YEAR = 1970,	      /* of rules that stand alone */
	LAST_YEAR = 2200,
};

/* Changes further away are kept as if they were here: some files begin with the big bang. */
#define FAR_S INT64_C(9000000000)

/* Clocks differ by less than that from UTC, so a wall time is shown within that of the same instant. */
#define NEAR_NS (27 * 3600 * NS_PER_S)

struct change {
	int64_t at_ns;
	int64_t offset_ns;
};

struct pcore_zone {
	size_t n, cap;
	struct change changes[]; /* ascending; the first is at INT64_MIN; neighbours differ in their offset */
};

void pcore_zone_free(struct pcore_zone *z)
{
	free(z);
}

static void freezonep(struct pcore_zone **z)
{
	pcore_zone_free(*z);
}

static struct pcore_zone *zone_new(size_t cap, int offset_s)
{
	struct pcore_zone *z = malloc(sizeof(*z) + cap * sizeof(z->changes[0]));

	assert(cap > 0);

	if (!z)
		return NULL;
	z->cap = cap;
	z->n = 1;
	z->changes[0] = (struct change){ INT64_MIN, offset_s * NS_PER_S };
	return z;
}

/* The change comes after all others, or at the same instant as the last, which it then replaces. 0 or -EINVAL. */
static int add_change(struct pcore_zone *z, int64_t at_s, int offset_s)
{
	struct change c = { .offset_ns = offset_s * NS_PER_S };

	c.at_ns = (at_s < -FAR_S ? -FAR_S : at_s > FAR_S ? FAR_S : at_s) * NS_PER_S;
	if (c.at_ns < z->changes[z->n - 1].at_ns)
		return -EINVAL;
	if (c.at_ns == z->changes[z->n - 1].at_ns)
		z->n--;
	if (z->changes[z->n - 1].offset_ns == c.offset_ns)
		return 0;
	assert(z->n < z->cap);
	z->changes[z->n++] = c;
	return 0;
}

/* ---- POSIX rules ---- */

struct rule_day {
	char kind;	      /* 'J': 1 to 365, February 29 is never counted; 'N': 0 to 365; 'M': month, week, weekday */
	int month, week, day;
	int time_s;	      /* of the wall clock before the change */
};

struct rule {
	int std_s, dst_s; /* east of Greenwich */
	bool has_dst;
	struct rule_day start, end; /* of daylight saving time */
};

/* A number of at most three digits. */
static int cut_number(const char **s, int min, int max, int *ret)
{
	const char *p = *s;
	int v = 0;

	if (!isdigit((unsigned char)*p))
		return -EINVAL;
	for (int i = 0; isdigit((unsigned char)*p); i++, p++) {
		if (i == 3)
			return -EINVAL;
		v = v * 10 + (*p - '0');
	}
	if (v < min || v > max)
		return -EINVAL;
	*s = p;
	*ret = v;
	return 0;
}

static bool cut_char(const char **s, char c)
{
	if (**s != c)
		return false;
	(*s)++;
	return true;
}

/* [+-]h[:mm[:ss]] */
static int cut_hms(const char **s, int hours_max, int *ret_s)
{
	int h, m = 0, sec = 0;
	bool negative = cut_char(s, '-');

	if (!negative)
		(void)cut_char(s, '+');
	if (cut_number(s, 0, hours_max, &h) < 0)
		return -EINVAL;
	if (cut_char(s, ':')) {
		if (cut_number(s, 0, 59, &m) < 0 || (cut_char(s, ':') && cut_number(s, 0, 59, &sec) < 0))
			return -EINVAL;
	}
	*ret_s = ((h * 60 + m) * 60 + sec) * (negative ? -1 : 1);
	return 0;
}

/* "CET" or "<+03>" */
static int cut_abbreviation(const char **s)
{
	const char *p = *s;
	size_t len;

	if (*p == '<') {
		for (len = 1; isalnum((unsigned char)p[len]) || p[len] == '+' || p[len] == '-'; len++)
			;
		if (p[len++] != '>' || len < 5)
			return -EINVAL;
	} else {
		for (len = 0; isalpha((unsigned char)p[len]); len++)
			;
		if (len < 3)
			return -EINVAL;
	}
	*s += len;
	return 0;
}

static int cut_day(const char **s, struct rule_day *ret)
{
	struct rule_day d = { .kind = 'N', .time_s = 2 * 3600 };
	int r;

	if (cut_char(s, 'M')) {
		d.kind = 'M';
		if (cut_number(s, 1, 12, &d.month) < 0 || !cut_char(s, '.') || cut_number(s, 1, 5, &d.week) < 0 || !cut_char(s, '.'))
			return -EINVAL;
		r = cut_number(s, 0, 6, &d.day);
	} else if (cut_char(s, 'J')) {
		d.kind = 'J';
		r = cut_number(s, 1, 365, &d.day);
	} else {
		r = cut_number(s, 0, 365, &d.day);
	}
	if (r < 0 || (cut_char(s, '/') && cut_hms(s, 167, &d.time_s) < 0))
		return -EINVAL;
	*ret = d;
	return 0;
}

static int parse_rule(const char *s, struct rule *ret)
{
	struct rule rule = { .std_s = 0 };

	if (cut_abbreviation(&s) < 0 || cut_hms(&s, 24, &rule.std_s) < 0)
		return -EINVAL;
	rule.std_s = -rule.std_s; /* POSIX counts to the west */
	rule.has_dst = *s != '\0';
	if (rule.has_dst) {
		if (cut_abbreviation(&s) < 0)
			return -EINVAL;
		rule.dst_s = rule.std_s + 3600;
		if (*s != ',') {
			if (cut_hms(&s, 24, &rule.dst_s) < 0)
				return -EINVAL;
			rule.dst_s = -rule.dst_s;
		}
		if (!cut_char(&s, ',') || cut_day(&s, &rule.start) < 0 || !cut_char(&s, ',') || cut_day(&s, &rule.end) < 0)
			return -EINVAL;
	}
	if (*s)
		return -EINVAL;
	*ret = rule;
	return 0;
}

/* The instant of the change in that year, with offset_s in force until then. */
static int64_t rule_instant(const struct rule_day *d, int year, int offset_s)
{
	int64_t days, last;

	switch (d->kind) {
	case 'J':
		days = pcore_days_of(year, 1, d->day) + (d->day >= 60 && pcore_leap_year(year));
		break;
	case 'N':
		days = pcore_days_of(year, 1, d->day + 1);
		break;
	default:
		days = pcore_days_of(year, (unsigned)d->month, 1);
		last = days + pcore_month_days(year, (unsigned)d->month) - 1;
		days += (d->day + 7 - (int)pcore_weekday(days)) % 7 + (d->week - 1) * 7;
		if (days > last)
			days -= 7;
		break;
	}
	return days * 86400 + d->time_s - offset_s;
}

/* Write the rule out from first_year on; what lies at or before after_s is left alone. */
static int add_rule(struct pcore_zone *z, const struct rule *rule, int first_year, int64_t after_s)
{
	int r = 0;

	if (!rule->has_dst)
		return 0;
	for (int year = first_year; year <= LAST_YEAR && r == 0; year++) {
		int64_t start = rule_instant(&rule->start, year, rule->std_s);
		int64_t end = rule_instant(&rule->end, year, rule->dst_s);
		bool north = start < end;
		int64_t at[2] = { north ? start : end, north ? end : start };
		int offset_s[2] = { north ? rule->dst_s : rule->std_s, north ? rule->std_s : rule->dst_s };

		for (int i = 0; i < 2 && r == 0; i++)
			if (at[i] > after_s)
				r = add_change(z, at[i], offset_s[i]);
	}
	return r;
}

int pcore_zone_parse_rule(struct pcore_zone **ret, const char *text)
{
	_cleanup_(freezonep) struct pcore_zone *z = NULL;
	struct rule rule;
	int r = parse_rule(text, &rule);

	if (r < 0)
		return r;

	z = zone_new(1 + 2 * (LAST_YEAR - FIRST_YEAR + 1), rule.std_s);
	if (!z)
		return -ENOMEM;
	r = add_rule(z, &rule, FIRST_YEAR, INT64_MIN);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(z);
	return 0;
}

int pcore_zone_fixed(struct pcore_zone **ret, int offset_s)
{
	struct pcore_zone *z = zone_new(1, offset_s);

	assert(abs(offset_s) <= OFFSET_MAX_S);

	if (!z)
		return -ENOMEM;
	*ret = z;
	return 0;
}

/* ---- TZif ---- */

struct cursor {
	const unsigned char *p;
	size_t left;
};

static const unsigned char *take(struct cursor *c, size_t len)
{
	const unsigned char *p = c->p;

	if (len > c->left)
		return NULL;
	c->p += len;
	c->left -= len;
	return p;
}

static uint32_t be32(const unsigned char *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static int64_t be64(const unsigned char *p)
{
	return (int64_t)((uint64_t)be32(p) << 32 | be32(p + 4));
}

struct header {
	char version;
	size_t n_isut, n_isstd, n_leaps, n_times, n_types, n_chars;
};

static int take_header(struct cursor *c, struct header *ret)
{
	const unsigned char *p = take(c, HEADER_SIZE);

	if (!p || memcmp(p, "TZif", 4) != 0)
		return -EBADMSG;
	*ret = (struct header){
		.version = (char)p[4],
		.n_isut = be32(p + 20),
		.n_isstd = be32(p + 24),
		.n_leaps = be32(p + 28),
		.n_times = be32(p + 32),
		.n_types = be32(p + 36),
		.n_chars = be32(p + 40),
	};
	return 0;
}

/* The bytes of a data block whose times have time_size bytes. All counts are below 2^32, so that nothing overflows. */
static size_t block_size(const struct header *h, size_t time_size)
{
	return h->n_times * (time_size + 1) + h->n_types * 6 + h->n_chars + h->n_leaps * (time_size + 4) + h->n_isstd + h->n_isut;
}

static int type_offset(const struct header *h, const unsigned char *types, unsigned type, int *ret_s)
{
	int32_t offset;

	if (type >= h->n_types)
		return -EBADMSG;
	offset = (int32_t)be32(types + type * 6);
	if (offset < -OFFSET_MAX_S || offset > OFFSET_MAX_S)
		return -EBADMSG;
	*ret_s = offset;
	return 0;
}

/* "\nRULE\n"; an empty one says nothing about later times. */
static int add_footer(struct pcore_zone *z, struct cursor *c, int first_year, int64_t after_s)
{
	const unsigned char *end = c->left > 1 ? memchr(c->p + 1, '\n', c->left - 1) : NULL;
	char text[128];
	struct rule rule;
	size_t len;

	if (!end || c->p[0] != '\n')
		return -EBADMSG;
	len = (size_t)(end - c->p) - 1;
	if (len == 0)
		return 0;
	if (len >= sizeof(text) || memchr(c->p, '\0', len + 1))
		return -EBADMSG;
	memcpy(text, c->p + 1, len);
	text[len] = '\0';
	return parse_rule(text, &rule) < 0 || add_rule(z, &rule, first_year, after_s) < 0 ? -EBADMSG : 0;
}

/* The second header and what follows it. */
static int parse_body(struct pcore_zone **ret, struct cursor *c)
{
	_cleanup_(freezonep) struct pcore_zone *z = NULL;
	const unsigned char *times, *indices, *types;
	int64_t last_s = INT64_MIN;
	int offset_s, first_year = FIRST_YEAR;
	struct header h;

	if (take_header(c, &h) < 0 || block_size(&h, 8) > c->left || h.n_types == 0)
		return -EBADMSG;
	if (h.n_leaps > 0)
		return -EOPNOTSUPP;
	times = take(c, h.n_times * 8);
	indices = take(c, h.n_times);
	types = take(c, h.n_types * 6);
	(void)take(c, h.n_chars + h.n_isstd + h.n_isut);
	if (type_offset(&h, types, 0, &offset_s) < 0)
		return -EBADMSG;

	z = zone_new(1 + h.n_times + 2 * (LAST_YEAR - FIRST_YEAR + 1), offset_s);
	if (!z)
		return -ENOMEM;
	for (size_t i = 0; i < h.n_times; i++) {
		int64_t at_s = be64(times + i * 8);

		if ((i > 0 && at_s <= last_s) || type_offset(&h, types, indices[i], &offset_s) < 0 || add_change(z, at_s, offset_s) < 0)
			return -EBADMSG;
		last_s = at_s;
	}
	if (last_s > FAR_S)
		last_s = FAR_S;
	if (last_s > 0)
		first_year = pcore_date_of(last_s / 86400).year;
	if (add_footer(z, c, first_year, last_s) < 0)
		return -EBADMSG;
	*ret = TAKE_PTR(z);
	return 0;
}

int pcore_zone_parse(struct pcore_zone **ret, const void *data, size_t len)
{
	struct cursor c = { data, len };
	struct header h;

	if (take_header(&c, &h) < 0 || h.version < '2' || !take(&c, block_size(&h, 4)))
		return -EBADMSG;
	return parse_body(ret, &c);
}

/* ---- where zones come from ---- */

static int read_zone(struct pcore_zone **ret, const char *path)
{
	_cleanup_(freep) char *data = malloc(PCORE_ZONE_FILE_MAX);
	ssize_t n;

	if (!data)
		return -ENOMEM;
	n = pcore_file_read(AT_FDCWD, path, data, PCORE_ZONE_FILE_MAX);
	return n < 0 ? (int)n : pcore_zone_parse(ret, data, (size_t)n);
}

/* A name that stays below the directory. */
static bool is_name(const char *s)
{
	size_t len = strlen(s);

	if (len == 0 || len > PCORE_ZONE_NAME_MAX || !isalpha((unsigned char)s[0]) || strstr(s, ".."))
		return false;
	for (; *s; s++)
		if (!isalnum((unsigned char)*s) && !strchr("/_+-.", *s))
			return false;
	return true;
}

static int two_digits(const char *s)
{
	return isdigit((unsigned char)s[0]) && isdigit((unsigned char)s[1]) ? (s[0] - '0') * 10 + s[1] - '0' : -1;
}

int pcore_zone_scan_offset(const char **s, int *ret_s)
{
	const char *p = *s;
	bool negative = *p == '-', colon;
	int parts[3] = { 0 };

	if (*p != '+' && *p != '-')
		return -EINVAL;
	parts[0] = two_digits(++p);
	if (parts[0] < 0 || parts[0] > 24)
		return -EINVAL;
	p += 2;
	colon = *p == ':';
	for (int i = 1; i < 3 && colon == (*p == ':') && two_digits(p + colon) >= 0; i++) {
		parts[i] = two_digits(p + colon);
		p += colon + 2;
		if (parts[i] > 59)
			return -EINVAL;
	}
	*s = p;
	*ret_s = ((parts[0] * 60 + parts[1]) * 60 + parts[2]) * (negative ? -1 : 1);
	return 0;
}

int pcore_zone_open(struct pcore_zone **ret, const char *name)
{
	char path[PCORE_ZONE_NAME_MAX + 32] = "/usr/share/zoneinfo/";
	const char *rest = name;
	int offset_s, r;

	if (pcore_zone_scan_offset(&rest, &offset_s) == 0 && !*rest)
		return pcore_zone_fixed(ret, offset_s);
	if (strcmp(name, "UTC") == 0 || strcmp(name, "Z") == 0)
		return pcore_zone_fixed(ret, 0);
	if (name[0] == '/')
		return read_zone(ret, name);
	if (is_name(name)) {
		r = read_zone(ret, strcat(path, name));
		if (r != -ENOENT && r != -EISDIR && r != -ENOTDIR)
			return r;
	}
	r = pcore_zone_parse_rule(ret, name);
	return r == -EINVAL ? -ENOENT : r;
}

int pcore_zone_open_local(struct pcore_zone **ret)
{
	int r = read_zone(ret, "/etc/localtime");

	return r == -ENOENT ? pcore_zone_fixed(ret, 0) : r;
}

/* ---- asking ---- */

/* The last change at or before the instant. */
static size_t find(const struct pcore_zone *z, int64_t instant_ns)
{
	size_t low = 0, high = z->n; /* at low: at or before; at high: after */

	while (high - low > 1) {
		size_t mid = low + (high - low) / 2;

		if (z->changes[mid].at_ns <= instant_ns)
			low = mid;
		else
			high = mid;
	}
	return low;
}

static struct pcore_zone_span span(const struct pcore_zone *z, size_t i)
{
	return (struct pcore_zone_span){
		.start_ns = z->changes[i].at_ns,
		.end_ns = i + 1 < z->n ? z->changes[i + 1].at_ns : INT64_MAX,
		.offset_ns = z->changes[i].offset_ns,
	};
}

struct pcore_zone_span pcore_zone_at(const struct pcore_zone *z, int64_t instant_ns)
{
	return span(z, find(z, instant_ns));
}

int64_t pcore_zone_instant(const struct pcore_zone *z, int64_t wall_ns, bool *ret_skipped)
{
	size_t i = find(z, wall_ns - NEAR_NS);
	struct pcore_zone_span s = span(z, i);
	bool skipped;

	while (s.end_ns != INT64_MAX && wall_ns - s.offset_ns >= s.end_ns)
		s = span(z, ++i);
	skipped = wall_ns - s.offset_ns < s.start_ns;
	if (ret_skipped)
		*ret_skipped = skipped;
	return skipped ? s.start_ns : wall_ns - s.offset_ns;
}

int64_t pcore_zone_unseen(const struct pcore_zone *z, int64_t instant_ns)
{
	size_t i = find(z, instant_ns);
	int64_t unseen = instant_ns + z->changes[i].offset_ns + 1;

	/* The walls before an earlier change have been seen as well, whatever the clocks were put back to then. */
	for (; i > 0 && z->changes[i].at_ns > instant_ns - 2 * NEAR_NS; i--) {
		int64_t end = z->changes[i].at_ns + z->changes[i - 1].offset_ns;

		unseen = end > unseen ? end : unseen;
	}
	return unseen;
}
