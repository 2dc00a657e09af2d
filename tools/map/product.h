/* SPDX-License-Identifier: MIT */
/*
 * product.h - the items of the command line: all combinations of several lists of words.
 *
 *   ::: a b ::: 1 2     (a,1) (a,2) (b,1) (b,2): the last list varies fastest
 *   ::: a b :::+ 1 2    (a,1) (b,2): a linked list goes along with the one before it, the shorter ends both
 *
 * A combination is found by its number, so that none is ever stored. Pure.
 */
#ifndef PCORE_MAP_PRODUCT_H
#define PCORE_MAP_PRODUCT_H

#include "tools/cli/template.h"

struct product_list {
	char *const *words; /* the caller's */
	size_t n;
	bool linked; /* to the list before it */
};

struct product {
	struct product_list *lists; /* owned */
	size_t n_lists;
};

/* Is the word a separator of lists? */
bool product_separator(const char *word);

/* words begin with a `:::' and end with NULL. 0 or -ENOMEM. */
int product_init(struct product *p, char *const *words);
void product_done(struct product *p);

/* Drop up to n words at the beginning of each list. */
void product_skip(struct product *p, size_t n);

/* How many combinations there are: 0 or -ERANGE when they are too many to count. */
int product_count(const struct product *p, uint64_t *ret);

/* Combination number n, from 0: a word of each list. */
void product_get(const struct product *p, uint64_t n, struct cli_item *ret_words);

#endif
