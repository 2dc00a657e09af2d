/* SPDX-License-Identifier: MIT */
/*
 * spare.h - memory of objects of one size that come and go too fast for malloc(): what is freed is kept for the next ones.
 *
 * The objects are larger than a pointer, which is where the list of the spare ones is kept.
 */
#ifndef PCORE_BASE_SPARE_H
#define PCORE_BASE_SPARE_H

#include <stddef.h>

struct pcore_spare {
	size_t size;
	unsigned max, n; /* spare ones: at most, and now */
	void *first;
};

#define PCORE_SPARE_INIT(of_size, at_most) ((struct pcore_spare){ .size = (of_size), .max = (at_most) })

void *pcore_spare_new(struct pcore_spare *s); /* not cleared; NULL without memory */
void pcore_spare_free(struct pcore_spare *s, void *p);
void pcore_spare_done(struct pcore_spare *s); /* those that are not spare stay valid, and may be freed with free() */

#endif
