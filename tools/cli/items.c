/* SPDX-License-Identifier: MIT */
/*
 * items.c - items cut out of a stream of bytes.
 *
 * One buffer: [taken items | the next item and what follows it | room]. It is moved to the front
 * only when the taken part is at least as long as the rest, so that a byte is moved once on
 * average. One byte of room is always kept back for the NUL after a last item that has no
 * delimiter.
 */
#include <string.h>

#include "tools/cli/items.h"

void cli_items_init(struct cli_items *it, unsigned char delim, size_t item_max)
{
	*it = (struct cli_items){
		.buf = PCORE_BUF_INIT(0),
		.delim = delim,
		.item_max = item_max,
	};
}

void cli_items_done(struct cli_items *it)
{
	if (it)
		pcore_buf_done(&it->buf);
}

char *cli_items_space(struct cli_items *it, size_t min, size_t *ret_room)
{
	assert(!it->eof);
	assert(it->start <= it->buf.len);

	if (it->start >= it->buf.len - it->start) {
		pcore_buf_consume(&it->buf, it->start);
		it->scanned -= it->start;
		it->start = 0;
	}
	if (pcore_buf_reserve(&it->buf, min + 1) < 0)
		return NULL;
	*ret_room = it->buf.cap - it->buf.len - 1;
	return it->buf.data + it->buf.len;
}

void cli_items_filled(struct cli_items *it, size_t n)
{
	assert(!it->eof);
	assert(n < it->buf.cap - it->buf.len);

	it->buf.len += n;
}

void cli_items_eof(struct cli_items *it)
{
	it->eof = true;
}

/* Where the next item ends, or NULL when that has not been read yet. */
static char *find_end(struct cli_items *it)
{
	char *end = NULL;

	if (it->scanned < it->buf.len)
		end = memchr(it->buf.data + it->scanned, it->delim, it->buf.len - it->scanned);
	if (end)
		return end;
	it->scanned = it->buf.len;
	return it->eof ? it->buf.data + it->buf.len : NULL;
}

int cli_items_next(struct cli_items *it, const char **ret, size_t *ret_len)
{
	char *item, *end;
	size_t len;

	assert(it->start <= it->scanned);
	assert(it->scanned <= it->buf.len);

	if (it->skipped) {
		it->skipped = false;
		it->count++;
	}
	if (it->start == it->buf.len)
		return it->eof ? -ENODATA : 0;
	end = find_end(it);
	item = it->buf.data + it->start;
	len = end ? (size_t)(end - item) : it->buf.len - it->start;
	if (len > it->item_max)
		return -E2BIG;
	if (!end)
		return 0;

	*end = '\0';
	it->start += len + 1 < it->buf.len - it->start ? len + 1 : it->buf.len - it->start;
	it->scanned = it->start;
	if (it->delim != '\0' && memchr(item, '\0', len)) {
		it->skipped = true;
		return -EBADMSG;
	}
	it->count++;
	*ret = item;
	*ret_len = len;
	return 1;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -EINVAL;
}

static int parse_escape(const char *s, size_t len, unsigned char *ret)
{
	static const char letters[] = "ntr0\\", bytes[] = "\n\t\r\0\\";
	const char *letter;
	int high, low;

	if (len == 1) {
		letter = strchr(letters, s[0]);
		if (!letter)
			return -EINVAL;
		*ret = (unsigned char)bytes[letter - letters];
		return 0;
	}
	if (len != 3 || s[0] != 'x')
		return -EINVAL;
	high = hex_digit(s[1]);
	low = hex_digit(s[2]);
	if (high < 0 || low < 0)
		return -EINVAL;
	*ret = (unsigned char)(high << 4 | low);
	return 0;
}

int cli_items_parse_delim(const char *s, unsigned char *ret)
{
	size_t len = strlen(s);

	if (len > 1 && s[0] == '\\')
		return parse_escape(s + 1, len - 1, ret);
	if (len != 1)
		return -EINVAL;
	*ret = (unsigned char)s[0];
	return 0;
}
