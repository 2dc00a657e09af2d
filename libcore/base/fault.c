/* SPDX-License-Identifier: MIT */
/*
 * fault.c - the fault seam of test builds: rules that say which operation fails, counted as
 * operations pass.
 *
 * A specification that cannot be read aborts, so that no test passes because its fault never
 * happened.
 */
#ifdef PCORE_FAULTS
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "libcore/base/fault.h"
#include "libcore/base/parse.h"
#include "libcore/base/util.h"

enum { RULES_MAX = 16, KIND_MAX = 32, ERRNO_MAX = 256 };

struct rule {
	char kind[KIND_MAX];
	uint64_t nth, seen;
	bool onward; /* "N+" */
	int code;    /* -errno, or 0: cut the length to len_max */
	size_t len_max;
};

static struct rule rules[RULES_MAX];
static size_t n_rules;
static bool loaded;

static int errno_by_name(const char *name)
{
	for (int e = 1; e < ERRNO_MAX; e++) {
		const char *known = strerrorname_np(e);
		if (known && strcmp(known, name) == 0)
			return -e;
	}
	return 0;
}

/* kind:N[+]:ERRNO or kind:N[+]:short=BYTES; text is cut up. */
static int parse_rule(char *text, struct rule *ret)
{
	struct rule rule = { 0 };
	char *kind = strsep(&text, ":"), *nth = strsep(&text, ":"), *what = text;
	uint64_t bytes = 0;

	if (!nth || !what || kind[0] == '\0' || strlen(kind) >= KIND_MAX)
		return -EINVAL;
	strcpy(rule.kind, kind);
	if (nth[0] != '\0' && nth[strlen(nth) - 1] == '+') {
		rule.onward = true;
		nth[strlen(nth) - 1] = '\0';
	}
	if (pcore_parse_u64(nth, 1, UINT64_MAX, &rule.nth) < 0)
		return -EINVAL;
	if (strncmp(what, "short=", 6) == 0) {
		if (pcore_parse_u64(what + 6, 0, SIZE_MAX, &bytes) < 0)
			return -EINVAL;
		rule.len_max = (size_t)bytes;
	} else {
		rule.code = errno_by_name(what);
		if (rule.code == 0)
			return -EINVAL;
	}
	*ret = rule;
	return 0;
}

int pcore_fault_set(const char *spec)
{
	_cleanup_(freep) char *copy = NULL;
	char *rest, *text;

	n_rules = 0;
	loaded = true;
	if (!spec)
		spec = getenv("PCORE_FAULT");
	if (!spec || spec[0] == '\0')
		return 0;

	rest = copy = strdup(spec);
	if (!copy)
		return -ENOMEM;
	while ((text = strsep(&rest, ",")) != NULL) {
		if (n_rules == RULES_MAX || parse_rule(text, &rules[n_rules]) < 0) {
			n_rules = 0;
			return -EINVAL;
		}
		n_rules++;
	}
	return 0;
}

int pcore_fault(const char *kind, size_t *len)
{
	int code = 0;

	if (!loaded && pcore_fault_set(NULL) < 0)
		abort();
	for (size_t i = 0; i < n_rules; i++) {
		struct rule *rule = &rules[i];
		if (strcmp(rule->kind, kind) != 0)
			continue;
		rule->seen++;
		if (rule->seen != rule->nth && !(rule->onward && rule->seen > rule->nth))
			continue;
		if (rule->code < 0)
			code = rule->code;
		else if (len && *len > rule->len_max)
			*len = rule->len_max;
	}
	return code;
}
#endif
