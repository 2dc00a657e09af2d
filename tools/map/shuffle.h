/* SPDX-License-Identifier: MIT */
/*
 * shuffle.h - put numbers in random order: the same seed gives the same order, on every machine. Pure.
 */
#ifndef PCORE_MAP_SHUFFLE_H
#define PCORE_MAP_SHUFFLE_H

#include <stddef.h>
#include <stdint.h>

/* Every order of the n numbers is as likely as any other, as far as 64 bits of seed go. */
void shuffle(uint64_t *list, size_t n, uint64_t seed);

#endif
