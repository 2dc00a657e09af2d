/* SPDX-License-Identifier: MIT */
/*
 * zones.c - which zone is meant, and points in time in it.
 */
#include <string.h>

#include "tools/ptimer/ptimer.h"

const char *ptimer_own_zone(const struct ptimer_opts *o)
{
	switch (o->verb) {
	case PTIMER_ON:
	case PTIMER_CRON:
		return o->when.zone;
	case PTIMER_AT:
		return o->time.zone;
	case PTIMER_SLEEP:
		return o->sleep_until ? o->time.zone : "";
	case PTIMER_AFTER:
	case PTIMER_EVERY:
		break;
	}
	return "";
}

static int bad_zone(const char *name, int error)
{
	if (error == -ENOENT)
		return cli_error("unknown time zone '%s'", name);
	if (error == -EOPNOTSUPP)
		return cli_error("cannot use time zone '%s': it counts leap seconds", name);
	return cli_error("cannot read time zone '%s': %s", name, strerror(-error));
}

struct ptimer_known_zone {
	struct pcore_map_node by_name;
	struct ptimer_known_zone *next;
	struct pcore_zone *zone;
	char name[];
};

static int add_zone(struct ptimer_zones *zs, const char *name, struct pcore_zone *zone)
{
	struct ptimer_known_zone *k = malloc(sizeof(*k) + strlen(name) + 1);

	if (!k || pcore_map_insert(&zs->by_name, &k->by_name, strcpy(k->name, name), strlen(name)) < 0) {
		free(k);
		return cli_error("out of memory");
	}
	k->zone = zone;
	k->next = zs->first;
	zs->first = k;
	return CLI_GO;
}

int ptimer_zones_open(struct ptimer_zones *zs, const char *name, const struct pcore_zone **ret)
{
	struct pcore_map_node *known = pcore_map_find(&zs->by_name, name, strlen(name));
	struct pcore_zone *zone;
	int r;

	if (known) {
		*ret = container_of(known, struct ptimer_known_zone, by_name)->zone;
		return CLI_GO;
	}
	r = pcore_zone_open(&zone, name);
	if (r < 0)
		return bad_zone(name, r);
	r = add_zone(zs, name, zone);
	if (r != CLI_GO)
		pcore_zone_free(zone);
	else
		*ret = zone;
	return r;
}

void ptimer_zones_done(struct ptimer_zones *zs)
{
	struct ptimer_known_zone *next;

	pcore_map_done(&zs->by_name);
	for (struct ptimer_known_zone *k = zs->first; k; k = next) {
		next = k->next;
		pcore_zone_free(k->zone);
		free(k);
	}
	*zs = (struct ptimer_zones){ 0 };
}

int ptimer_zone(const struct ptimer_opts *o, const char *name, struct pcore_zone **ret, bool *ret_is_local)
{
	const char *env = getenv("TZ");
	int r;

	if (!name || !*name)
		name = o->tz;
	if (!name && env) {
		name = env + (env[0] == ':');
		if (!*name)
			name = "UTC";
	}
	if (ret_is_local)
		*ret_is_local = !name;
	r = name ? pcore_zone_open(ret, name) : pcore_zone_open_local(ret);
	return r < 0 ? bad_zone(name ? name : "/etc/localtime", r) : CLI_GO;
}

int ptimer_time(const struct ptimer_opts *o, const char *text, int64_t now_ns, int64_t *ret_ns)
{
	struct pcore_when_error error;
	struct pcore_zone *z;
	struct pcore_time t;
	int r;

	if (pcore_time_parse(text, &t, &error) < 0)
		return cli_usage("'%s': column %zu: %s", text, error.column, error.why);
	r = ptimer_zone(o, t.zone, &z, NULL);
	if (r != CLI_GO)
		return r;
	*ret_ns = pcore_time_resolve(&t, z, now_ns);
	pcore_zone_free(z);
	return CLI_GO;
}

int ptimer_never(const char *expression)
{
	(void)cli_error("'%s' never comes: there is no such time before the year %d", expression, PCORE_WHEN_END_YEAR);
	return CLI_NO;
}
