/* SPDX-License-Identifier: MIT */
/*
 * err.c - errors that tell their step and subject.
 */
#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "libcore/base/err.h"
#include "libcore/base/util.h"

static const char *const step_names[] = {
	[PCORE_STEP_NONE] = "none",
	[PCORE_STEP_OPEN] = "open",
	[PCORE_STEP_PIPE] = "pipe",
	[PCORE_STEP_READ] = "read",
	[PCORE_STEP_INPUT] = "input",
	[PCORE_STEP_CGROUP] = "cgroup",
	[PCORE_STEP_SUPERVISOR] = "supervisor",
	[PCORE_STEP_NAMESPACE] = "namespace",
	[PCORE_STEP_CLONE] = "clone",
	[PCORE_STEP_SIGNALS] = "signals",
	[PCORE_STEP_SESSION] = "session",
	[PCORE_STEP_PGROUP] = "pgroup",
	[PCORE_STEP_DUP] = "dup",
	[PCORE_STEP_CHDIR] = "chdir",
	[PCORE_STEP_UMASK] = "umask",
	[PCORE_STEP_AFFINITY] = "affinity",
	[PCORE_STEP_NICE] = "nice",
	[PCORE_STEP_SCHED] = "sched",
	[PCORE_STEP_IONICE] = "ionice",
	[PCORE_STEP_OOM] = "oom",
	[PCORE_STEP_RLIMIT] = "rlimit",
	[PCORE_STEP_LIMIT] = "limit",
	[PCORE_STEP_GROUPS] = "groups",
	[PCORE_STEP_GROUP] = "group",
	[PCORE_STEP_USER] = "user",
	[PCORE_STEP_PDEATHSIG] = "pdeathsig",
	[PCORE_STEP_MOUNT] = "mount",
	[PCORE_STEP_CAPS] = "capabilities",
	[PCORE_STEP_NO_NEW_PRIVS] = "no-new-privs",
	[PCORE_STEP_LANDLOCK] = "landlock",
	[PCORE_STEP_SECCOMP] = "seccomp",
	[PCORE_STEP_EXEC] = "exec",
};

_Static_assert(ARRAY_SIZE(step_names) == PCORE_STEP_COUNT, "a step has no name");

int pcore_err_set(struct pcore_err *err, int code, enum pcore_step step, const char *subject)
{
	size_t i = 0;

	assert(code < 0);
	assert(step < PCORE_STEP_COUNT);

	if (!err)
		return code;
	err->code = code;
	err->step = step;
	for (; subject && subject[i] != '\0' && i < PCORE_ERR_SUBJECT_MAX - 1; i++)
		err->subject[i] = subject[i];
	err->subject[i] = '\0';
	return code;
}

const char *pcore_step_name(enum pcore_step step)
{
	assert(step < PCORE_STEP_COUNT);

	return step_names[step];
}

enum pcore_step pcore_step_by_name(const char *name)
{
	for (unsigned i = 0; i < PCORE_STEP_COUNT; i++)
		if (strcmp(step_names[i], name) == 0)
			return (enum pcore_step)i;
	return PCORE_STEP_NONE;
}
