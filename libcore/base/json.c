/* SPDX-License-Identifier: MIT */
/*
 * json.c - a JSON writer.
 */
#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "libcore/base/clock.h"
#include "libcore/base/json.h"
#include "libcore/base/util.h"

static void put(struct pcore_json *j, const void *data, size_t len)
{
	if (j->error == 0)
		j->error = pcore_buf_add(j->out, data, len);
}

static void puts_raw(struct pcore_json *j, const char *s)
{
	put(j, s, strlen(s));
}

static void put_escape(struct pcore_json *j, unsigned code)
{
	if (j->error == 0)
		j->error = pcore_buf_addf(j->out, "\\u%04x", code);
}

static void begin_value(struct pcore_json *j)
{
	if (j->comma)
		puts_raw(j, ",");
	j->comma = true;
}

static void open_scope(struct pcore_json *j, const char *bracket)
{
	begin_value(j);
	puts_raw(j, bracket);
	j->comma = false;
	j->depth++;
}

static void close_scope(struct pcore_json *j, const char *bracket)
{
	assert(j->depth > 0);

	puts_raw(j, bracket);
	j->comma = true;
	j->depth--;
}

void pcore_json_object(struct pcore_json *j)
{
	open_scope(j, "{");
}

void pcore_json_object_end(struct pcore_json *j)
{
	close_scope(j, "}");
}

void pcore_json_array(struct pcore_json *j)
{
	open_scope(j, "[");
}

void pcore_json_array_end(struct pcore_json *j)
{
	close_scope(j, "]");
}

static bool is_tail(unsigned char c)
{
	return (c & 0xc0) == 0x80;
}

/* The length of the valid UTF-8 sequence of more than one byte that p begins with, or 0. The second
 * byte's range excludes what is overlong, a surrogate or beyond U+10FFFF. */
static size_t utf8_len(const unsigned char *p, size_t left)
{
	unsigned char low = 0x80, high = 0xbf;
	size_t len;

	if (p[0] < 0xc2 || p[0] > 0xf4)
		return 0;
	len = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	if (left < len)
		return 0;
	if (p[0] == 0xe0)
		low = 0xa0;
	else if (p[0] == 0xed)
		high = 0x9f;
	else if (p[0] == 0xf0)
		low = 0x90;
	else if (p[0] == 0xf4)
		high = 0x8f;
	if (p[1] < low || p[1] > high)
		return 0;
	for (size_t i = 2; i < len; i++)
		if (!is_tail(p[i]))
			return 0;
	return len;
}

static bool is_plain(unsigned char c)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

static void put_ascii_escape(struct pcore_json *j, unsigned char c)
{
	static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
	const char *p = c ? strchr(from, c) : NULL;

	if (p)
		put(j, (char[]){ '\\', to[p - from] }, 2);
	else
		put_escape(j, c);
}

/* Put the piece that p begins with: a run of plain bytes, one UTF-8 character, or one escape.
 * Returns its length. */
static size_t put_piece(struct pcore_json *j, const unsigned char *p, size_t left)
{
	size_t n = 0;

	while (n < left && is_plain(p[n]))
		n++;
	if (n > 0) {
		put(j, p, n);
		return n;
	}
	if (p[0] < 0x80) {
		put_ascii_escape(j, p[0]);
		return 1;
	}
	n = utf8_len(p, left);
	if (n == 0) {
		put_escape(j, 0xdc00U + p[0]);
		return 1;
	}
	if (p[0] == 0xc2 && p[1] < 0xa0) /* U+0080..U+009F are control characters too */
		put_escape(j, p[1]);
	else
		put(j, p, n);
	return n;
}

static void put_text(struct pcore_json *j, const void *data, size_t len)
{
	const unsigned char *p = data;

	for (size_t i = 0; i < len;)
		i += put_piece(j, p + i, len - i);
}

static void put_string(struct pcore_json *j, const void *data, size_t len)
{
	puts_raw(j, "\"");
	put_text(j, data, len);
	puts_raw(j, "\"");
}

void pcore_json_key(struct pcore_json *j, const char *key)
{
	begin_value(j);
	put_string(j, key, strlen(key));
	puts_raw(j, ":");
	j->comma = false;
}

void pcore_json_bytes(struct pcore_json *j, const void *data, size_t len)
{
	begin_value(j);
	put_string(j, data, len);
}

void pcore_json_text(struct pcore_json *j)
{
	begin_value(j);
	puts_raw(j, "\"");
}

void pcore_json_text_add(struct pcore_json *j, const void *data, size_t len)
{
	put_text(j, data, len);
}

void pcore_json_text_end(struct pcore_json *j)
{
	puts_raw(j, "\"");
}

void pcore_json_str(struct pcore_json *j, const char *s)
{
	if (s)
		pcore_json_bytes(j, s, strlen(s));
	else
		pcore_json_null(j);
}

void pcore_json_i64(struct pcore_json *j, int64_t v)
{
	begin_value(j);
	if (j->error == 0)
		j->error = pcore_buf_addf(j->out, "%" PRId64, v);
}

void pcore_json_u64(struct pcore_json *j, uint64_t v)
{
	begin_value(j);
	if (j->error == 0)
		j->error = pcore_buf_addf(j->out, "%" PRIu64, v);
}

void pcore_json_bool(struct pcore_json *j, bool v)
{
	begin_value(j);
	puts_raw(j, v ? "true" : "false");
}

void pcore_json_null(struct pcore_json *j)
{
	begin_value(j);
	puts_raw(j, "null");
}

void pcore_json_seconds(struct pcore_json *j, int64_t ns)
{
	uint64_t us = (ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns) / (uint64_t)NS_PER_US;

	begin_value(j);
	if (j->error == 0)
		j->error = pcore_buf_addf(j->out, "%s%" PRIu64 ".%06" PRIu64, ns < 0 ? "-" : "",
			us / 1000000, us % 1000000);
}
