/* SPDX-License-Identifier: MIT */
/*
 * cluster.h - level 4: jobs on other machines.
 */
#ifndef PCORE_CLUSTER_H
#define PCORE_CLUSTER_H

#include "libcore/cluster/ask.h"
#include "libcore/cluster/client.h"
#include "libcore/cluster/node.h"
#include "libcore/cluster/shared.h"
#include "libcore/cluster/scheduler.h"
#include "libcore/cluster/spec.h"
#include "libcore/cluster/wire.h"
#include "libcore/cluster/wire_client.h"

#endif
