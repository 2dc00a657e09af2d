/* SPDX-License-Identifier: MIT */
/*
 * link_private.h - what the parts of a link share: link.c (the connection), link_input.c (what jobs read).
 */
#ifndef PCORE_CLUSTER_LINK_PRIVATE_H
#define PCORE_CLUSTER_LINK_PRIVATE_H

#include "libcore/cluster/link.h"

/* The job, if this attempt of it is here. */
struct link_job *link_job_of(struct link *l, uint64_t job, uint32_t attempt);

void link_input_begin(struct link *l, struct link_job *j); /* it has just been assigned */

/* From the first byte that the node has not got: 0, -EPROTO. */
int link_input_resume(struct link *l, struct link_job *j, const struct pcore_wire_adopt *a);
void link_input_feed(struct link *l); /* those that have begun or go on */
void link_input_credit(struct link *l, const struct pcore_wire_credit *c);

#endif
