/* SPDX-License-Identifier: MIT */
/*
 * columns.c - lines split into columns.
 */
#include "tools/cli/columns.h"

#include <stdio.h>
#include <string.h>

#include "tools/cli/csv.h"
#include "tools/cli/items.h"

static int bad(char *ret_why, const char *why)
{
	(void)snprintf(ret_why, CLI_COLUMNS_WHY, "%s", why);
	return -EINVAL;
}

static int compile(struct cli_columns *c, const char *pattern, char *ret_why)
{
	int r = regcomp(&c->re, pattern, REG_EXTENDED);

	if (r != 0) {
		(void)regerror(r, &c->re, ret_why, CLI_COLUMNS_WHY);
		return -EINVAL;
	}
	c->pattern = true;
	if (regexec(&c->re, "", 0, NULL, 0) == 0)
		return bad(ret_why, "the pattern matches empty text");
	return 0;
}

int cli_columns_init(struct cli_columns *c, const char *sep, bool csv, char ret_why[static CLI_COLUMNS_WHY])
{
	unsigned char byte = csv ? ',' : '\t';

	*c = (struct cli_columns){ .csv = csv };
	if (sep && !*sep)
		return bad(ret_why, "must not be empty");
	if (sep && cli_items_parse_delim(sep, &byte) < 0)
		return csv ? bad(ret_why, "must be one byte with --csv") : compile(c, sep, ret_why);
	if (csv && strchr("\"\r\n", byte))
		return bad(ret_why, "cannot separate columns of CSV");
	c->sep = (char)byte;
	return 0;
}

void cli_columns_done(struct cli_columns *c)
{
	if (!c)
		return;
	if (c->pattern)
		regfree(&c->re);
	free(c->list);
	pcore_buf_done(&c->text);
	*c = (struct cli_columns){ 0 };
}

static int add(struct cli_columns *c, const char *data, size_t len)
{
	if (c->n == c->cap) {
		size_t cap = c->cap ? 2 * c->cap : 16;
		struct cli_item *list = reallocarray(c->list, cap, sizeof(*list));

		if (!list)
			return -ENOMEM;
		c->list = list;
		c->cap = cap;
	}
	c->list[c->n++] = (struct cli_item){ data, len };
	return 0;
}

static int split_at_byte(struct cli_columns *c, struct cli_item line)
{
	const char *sep;
	int r = 0;

	while (r == 0 && line.len > 0 && (sep = memchr(line.data, c->sep, line.len))) {
		size_t len = (size_t)(sep - line.data);

		r = add(c, line.data, len);
		line.data += len + 1;
		line.len -= len + 1;
	}
	return r < 0 ? r : add(c, line.data, line.len);
}

/* A match of nothing separates nothing: it is passed over. */
static int split_at_pattern(struct cli_columns *c, struct cli_item line)
{
	size_t begin = 0, from = 0;

	while (from <= line.len) {
		regmatch_t m = { .rm_so = (regoff_t)from, .rm_eo = (regoff_t)line.len };
		int r;

		if (regexec(&c->re, line.data, 1, &m, REG_STARTEND | (from > 0 ? REG_NOTBOL : 0)) != 0)
			break;
		from = (size_t)m.rm_eo;
		if (m.rm_so == m.rm_eo) {
			from++;
			continue;
		}
		r = add(c, line.data + begin, (size_t)m.rm_so - begin);
		if (r < 0)
			return r;
		begin = from;
	}
	return add(c, line.data + begin, line.len - begin);
}

/* There is room in c->text for the whole line, so that its fields stay where they are. */
static int split_csv(struct cli_columns *c, struct cli_item line)
{
	enum cli_csv_state state = CLI_CSV_START;
	char *field = c->text.data + c->text.len, *end = field;
	int r = 0;

	for (size_t i = 0; r == 0 && i < line.len; i++) {
		char byte = line.data[i];

		if (byte == c->sep && state != CLI_CSV_QUOTED) {
			r = add(c, field, (size_t)(end - field));
			field = end;
		} else if (byte != '"' || state == CLI_CSV_PLAIN || state == CLI_CSV_CLOSING) {
			*end++ = byte;
		}
		state = cli_csv_step(state, byte, c->sep);
	}
	c->text.len = (size_t)(end - c->text.data);
	if (r == 0)
		r = add(c, field, (size_t)(end - field));
	return r == 0 && state == CLI_CSV_QUOTED ? -EILSEQ : r;
}

int cli_columns_split(struct cli_columns *c, const struct cli_item *lines, size_t n_lines)
{
	size_t total = 0;
	int r = 0;

	c->n = 0;
	pcore_buf_clear(&c->text);
	for (size_t i = 0; c->csv && i < n_lines; i++)
		total += lines[i].len;
	if (c->csv)
		r = pcore_buf_reserve(&c->text, total + 1);
	for (size_t i = 0; r == 0 && i < n_lines; i++) {
		if (c->csv)
			r = split_csv(c, lines[i]);
		else
			r = c->pattern ? split_at_pattern(c, lines[i]) : split_at_byte(c, lines[i]);
	}
	return r;
}

bool cli_columns_closed(const struct cli_columns *c, struct cli_item line)
{
	enum cli_csv_state state = CLI_CSV_START;

	for (size_t i = 0; i < line.len; i++)
		state = cli_csv_step(state, line.data[i], c->sep);
	return state != CLI_CSV_QUOTED;
}
