/* SPDX-License-Identifier: MIT */
/*
 * product.c - all combinations of several lists of words.
 *
 * A group is a list with those linked to it; its length is that of the shortest. The groups are the digits of a
 * combination's number.
 */
#include "tools/map/product.h"

#include <string.h>

bool product_separator(const char *word)
{
	return strcmp(word, ":::") == 0 || strcmp(word, ":::+") == 0;
}

int product_init(struct product *p, char *const *words)
{
	size_t n = 0;

	assert(strcmp(words[0], ":::") == 0);

	for (char *const *w = words; *w; w++)
		n += product_separator(*w);
	*p = (struct product){ .lists = calloc(n, sizeof(*p->lists)) };
	if (!p->lists)
		return -ENOMEM;
	for (; *words; words++) {
		if (product_separator(*words))
			p->lists[p->n_lists++] = (struct product_list){ .words = words + 1, .linked = (*words)[3] == '+' };
		else
			p->lists[p->n_lists - 1].n++;
	}
	return 0;
}

void product_done(struct product *p)
{
	free(p->lists);
	*p = (struct product){ 0 };
}

void product_skip(struct product *p, size_t n)
{
	for (size_t i = 0; i < p->n_lists; i++) {
		size_t skipped = n < p->lists[i].n ? n : p->lists[i].n;

		p->lists[i].words += skipped;
		p->lists[i].n -= skipped;
	}
}

/* The group that ends before list end: where it begins, and its length. */
static size_t group_before(const struct product *p, size_t end, size_t *ret_len)
{
	size_t i = end, len = SIZE_MAX;

	do {
		i--;
		len = p->lists[i].n < len ? p->lists[i].n : len;
	} while (p->lists[i].linked);
	*ret_len = len;
	return i;
}

int product_count(const struct product *p, uint64_t *ret)
{
	uint64_t n = 1;
	bool overflow = false;
	size_t len;

	for (size_t end = p->n_lists; end > 0;) {
		end = group_before(p, end, &len);
		if (len == 0) {
			*ret = 0;
			return 0;
		}
		overflow = overflow || __builtin_mul_overflow(n, len, &n);
	}
	*ret = n;
	return overflow ? -ERANGE : 0;
}

void product_get(const struct product *p, uint64_t n, struct cli_item *ret_words)
{
	size_t begin, len;

	for (size_t end = p->n_lists; end > 0; end = begin) {
		begin = group_before(p, end, &len);
		for (size_t i = begin; i < end; i++) {
			const char *word = p->lists[i].words[n % len];

			ret_words[i] = (struct cli_item){ word, strlen(word) };
		}
		n /= len;
	}
	assert(n == 0);
}
