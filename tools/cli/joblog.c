/* SPDX-License-Identifier: MIT */
/*
 * joblog.c - lines of a job log, written and read.
 */
#include "tools/cli/joblog.h"

#include <inttypes.h>
#include <string.h>

#include "tools/cli/template.h"

enum { FIELDS = 9 };

/* ---- writing ---- */

static bool is_control(char c)
{
	return (unsigned char)c < 0x20 || c == 0x7f;
}

static bool has_control(const char *s)
{
	while (*s && !is_control(*s))
		s++;
	return *s != '\0';
}

/* Three octal digits: \x would take what follows along, where that looks like a digit. */
static int add_dollar_quoted(struct pcore_buf *b, const char *word)
{
	int r = pcore_buf_adds(b, "$'");

	for (; r == 0 && *word; word++) {
		if (*word == '\n')
			r = pcore_buf_adds(b, "\\n");
		else if (*word == '\t')
			r = pcore_buf_adds(b, "\\t");
		else if (is_control(*word))
			r = pcore_buf_addf(b, "\\%03o", (unsigned)(unsigned char)*word);
		else if (*word == '\'' || *word == '\\')
			r = pcore_buf_add(b, (char[]){ '\\', *word }, 2);
		else
			r = pcore_buf_addc(b, *word);
	}
	return r < 0 ? r : pcore_buf_addc(b, '\'');
}

int cli_joblog_command(struct pcore_buf *b, char *const *argv, bool shell)
{
	bool plain = true;
	int r = 0;

	for (size_t i = 0; argv[i]; i++)
		plain = plain && !has_control(argv[i]);
	if (plain)
		return shell ? pcore_buf_adds(b, argv[2]) : cli_shell_words(b, argv);

	for (size_t i = 0; r == 0 && argv[i]; i++) {
		char *word[] = { argv[i], NULL };

		if (i > 0)
			r = pcore_buf_addc(b, ' ');
		if (r == 0)
			r = has_control(argv[i]) ? add_dollar_quoted(b, argv[i]) : cli_shell_words(b, word);
	}
	return r;
}

int cli_joblog_add(struct pcore_buf *b, const struct cli_joblog_line *l, const char *command, size_t command_len)
{
	int64_t start_ms = l->start_ns / NS_PER_MS, wall_ms = l->wall_ns / NS_PER_MS;
	int r = pcore_buf_addf(b,
		"%" PRIu64 "\t%s\t%" PRId64 ".%03d\t%6" PRId64 ".%03d\t%" PRIu64 "\t%" PRIu64 "\t%d\t%d\t", l->seq, l->host ? l->host : ":",
		start_ms / 1000, (int)(start_ms % 1000), wall_ms / 1000, (int)(wall_ms % 1000), l->sent, l->received,
		l->exit, l->signal);

	if (r == 0)
		r = pcore_buf_add(b, command, command_len);
	return r < 0 ? r : pcore_buf_addc(b, '\n');
}

/* ---- reading ---- */

/* FNV-1a: the log is the user's own, nobody gains by a collision. */
uint64_t cli_joblog_hash(const char *command, size_t len)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < len; i++)
		h = (h ^ (unsigned char)command[i]) * UINT64_C(0x100000001b3);
	return h;
}

static bool is_number(const char *s)
{
	s += strspn(s, " ");
	return *s && !s[strspn(s, "0123456789.-")];
}

int cli_joblog_parse(char *line, size_t len, struct cli_joblog_entry *ret)
{
	char *fields[FIELDS] = { line }, *end = line + len;
	uint64_t seq = 0;
	int64_t status = 0, sig = 0;

	if (strcmp(line, "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand") == 0)
		return 0;

	for (size_t i = 1; i < FIELDS; i++) {
		char *tab = memchr(fields[i - 1], '\t', (size_t)(end - fields[i - 1]));

		if (!tab)
			return -EINVAL;
		*tab = '\0';
		fields[i] = tab + 1;
	}
	if (pcore_parse_u64(fields[0], 1, UINT64_MAX, &seq) < 0 || !*fields[1])
		return -EINVAL;
	for (size_t i = 2; i < 6; i++)
		if (!is_number(fields[i]))
			return -EINVAL;
	if (pcore_parse_i64(fields[6], INT32_MIN, INT32_MAX, &status) < 0 || pcore_parse_i64(fields[7], 0, INT32_MAX, &sig) < 0)
		return -EINVAL;
	*ret = (struct cli_joblog_entry){
		.seq = seq,
		.hash = cli_joblog_hash(fields[8], (size_t)(end - fields[8])),
		.failed = status != 0 || sig != 0,
	};
	return 1;
}

/* ---- the set ---- */

void cli_joblog_set_done(struct cli_joblog_set *s)
{
	free(s->entries);
	*s = (struct cli_joblog_set){ 0 };
}

int cli_joblog_set_add(struct cli_joblog_set *s, const struct cli_joblog_entry *e)
{
	if (s->n == s->cap) {
		size_t cap = s->cap ? s->cap * 2 : 64;
		struct cli_joblog_entry *entries = reallocarray(s->entries, cap, sizeof(*entries));

		if (!entries)
			return -ENOMEM;
		s->entries = entries;
		s->cap = cap;
	}
	s->entries[s->n] = *e;
	s->entries[s->n].order = s->n & (UINT64_MAX >> 1);
	s->n++;
	return 0;
}

static int by_seq(const void *a, const void *b)
{
	const struct cli_joblog_entry *x = a, *y = b;

	if (x->seq != y->seq)
		return x->seq < y->seq ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

void cli_joblog_set_sort(struct cli_joblog_set *s)
{
	size_t kept = 0;

	if (s->n == 0)
		return;
	qsort(s->entries, s->n, sizeof(*s->entries), by_seq);
	for (size_t i = 1; i < s->n; i++) {
		if (s->entries[i].seq != s->entries[kept].seq)
			kept++;
		s->entries[kept] = s->entries[i];
	}
	s->n = kept + 1;
}

const struct cli_joblog_entry *cli_joblog_set_find(const struct cli_joblog_set *s, uint64_t seq)
{
	size_t low = 0, high = s->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (s->entries[mid].seq == seq)
			return &s->entries[mid];
		if (s->entries[mid].seq < seq)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

uint64_t cli_joblog_set_last(const struct cli_joblog_set *s)
{
	return s->n ? s->entries[s->n - 1].seq : 0;
}
