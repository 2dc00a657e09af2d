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

void cli_items_csv(struct cli_items *it, char sep)
{
	assert(it->scanned == it->start);

	it->csv = true;
	it->csv_sep = sep;
	it->csv_state = CLI_CSV_START;
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

/* The same for a record of CSV. At the end of the input NULL says that a quote is not closed. */
static char *find_record_end(struct cli_items *it)
{
	char *data = it->buf.data, *end = NULL;
	size_t rest = it->buf.len - it->start;

	/* Most records have no quote, and memchr() is faster than a state for each byte. */
	if (it->scanned == it->start)
		end = memchr(data + it->start, '\n', rest);
	if (end && !memchr(data + it->start, '"', (size_t)(end - data) - it->start))
		return end;
	for (; it->scanned < it->buf.len; it->scanned++) {
		if (data[it->scanned] == '\n' && it->csv_state != CLI_CSV_QUOTED)
			return data + it->scanned;
		it->csv_state = cli_csv_step(it->csv_state, data[it->scanned], it->csv_sep);
	}
	return it->eof && it->csv_state != CLI_CSV_QUOTED ? data + it->buf.len : NULL;
}

/* False: what there is may yet become a byte order mark. */
static bool skip_mark(struct cli_items *it)
{
	static const char mark[] = { '\xef', '\xbb', '\xbf' };
	size_t n = it->buf.len < sizeof(mark) ? it->buf.len : sizeof(mark);

	if (n > 0 && memcmp(it->buf.data, mark, n) == 0) {
		if (n < sizeof(mark) && !it->eof)
			return false;
		if (n == sizeof(mark))
			it->start = it->scanned = n;
	}
	it->mark = n == 0;
	return true;
}

/* An item as cli_items_next() gives it, or an empty line of CSV. */
static int take(struct cli_items *it, const char **ret, size_t *ret_len)
{
	char *item, *end;
	size_t len;

	assert(it->start <= it->scanned);
	assert(it->scanned <= it->buf.len);

	if (it->mark && !skip_mark(it))
		return 0;
	if (it->start == it->buf.len)
		return it->eof ? -ENODATA : 0;
	end = it->csv ? find_record_end(it) : find_end(it);
	item = it->buf.data + it->start;
	len = end ? (size_t)(end - item) : it->buf.len - it->start;
	if (len > it->item_max)
		return -E2BIG;
	if (!end)
		return it->eof ? -EILSEQ : 0;

	if (it->csv && len > 0 && end[-1] == '\r' && end < it->buf.data + it->buf.len)
		end--;
	*end = '\0';
	it->start += len + 1 < it->buf.len - it->start ? len + 1 : it->buf.len - it->start;
	it->scanned = it->start;
	it->csv_state = CLI_CSV_START;
	*ret = item;
	*ret_len = (size_t)(end - item);
	return 1;
}

int cli_items_next(struct cli_items *it, const char **ret, size_t *ret_len)
{
	const char *item;
	size_t len;
	int r;

	if (it->skipped) {
		it->skipped = false;
		it->count++;
	}
	do {
		r = take(it, &item, &len);
	} while (r > 0 && it->csv && len == 0);
	if (r <= 0)
		return r;
	if (it->delim != '\0' && !it->nul_ok && memchr(item, '\0', len)) {
		it->skipped = true;
		return -EBADMSG;
	}
	it->count++;
	*ret = item;
	*ret_len = len;
	return 1;
}

size_t cli_items_block(struct cli_items *it, size_t n_max, size_t len_max, const char **ret, size_t *ret_len)
{
	const char *begin = it->buf.data + it->start, *p = begin, *limit = it->buf.data + it->buf.len, *end = NULL;
	size_t n = 0;

	assert(it->nul_ok && !it->csv);

	while (it->start < it->buf.len && n < n_max && (size_t)(p - begin) < len_max) {
		const char *next = memchr(p, it->delim, (size_t)(limit - p));

		if (!next || (size_t)(next - p) > it->item_max)
			break;
		end = next;
		p = next + 1;
		n++;
	}
	if (n == 0)
		return 0;
	*ret = begin;
	*ret_len = (size_t)(end - begin);
	it->start = it->scanned = (size_t)(p - it->buf.data);
	it->count += n;
	return n;
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
