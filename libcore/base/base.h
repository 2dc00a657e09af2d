/* SPDX-License-Identifier: MIT */
/*
 * base.h - level 0: memory, text, numbers and time. It knows no process, no loop and no tool.
 */
#ifndef PCORE_BASE_H
#define PCORE_BASE_H

#include "libcore/base/buf.h"
#include "libcore/base/clock.h"
#include "libcore/base/err.h"
#include "libcore/base/fault.h"
#include "libcore/base/heap.h"
#include "libcore/base/json.h"
#include "libcore/base/le.h"
#include "libcore/base/list.h"
#include "libcore/base/map.h"
#include "libcore/base/mutex.h"
#include "libcore/base/parse.h"
#include "libcore/base/sized.h"
#include "libcore/base/spare.h"
#include "libcore/base/text.h"
#include "libcore/base/trash.h"
#include "libcore/base/util.h"

#endif
