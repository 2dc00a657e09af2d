/* SPDX-License-Identifier: MIT */
/*
 * cluster_kind.c - what jobs of a handle have in common: those that need the same, with the same directory and environment, are of a
 * kind, which their nodes are told of once.
 */
#include "libcore/api/cluster.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define LINGER_NS (100 * NS_PER_MS)

/* What it has on the wire. */
struct parts {
	char **env; /* in one block */
	struct pcore_buf needs, labels, argv;
	size_t n_needs, n_labels;
};

static void parts_done(struct parts *p)
{
	free(p->env);
	pcore_buf_done(&p->needs);
	pcore_buf_done(&p->labels);
	pcore_buf_done(&p->argv);
}

/* ---- environment ---- */

static bool same_name(const char *a, const char *b)
{
	size_t len = (size_t)(strchr(a, '=') - a) + 1;

	return strncmp(a, b, len) == 0;
}

static bool has_name(char *const *env, const char *var)
{
	for (; *env; env++)
		if (same_name(var, *env))
			return true;
	return false;
}

int pcore_cc_check_env(char *const *env)
{
	for (; env && *env; env++)
		if (!strchr(*env, '=') || **env == '=')
			return -EINVAL;
	return 0;
}

/* Of a name that is there more than once the last one holds. */
static int put_env(struct parts *p, char *const *ours, char *const *theirs)
{
	size_t n = 0;

	p->env = pcore_cc_copy(ours, theirs);
	if (!p->env)
		return -ENOMEM;
	for (char **var = p->env; *var; var++)
		if (!has_name(var + 1, *var))
			p->env[n++] = *var;
	p->env[n] = NULL;
	return 0;
}

/* ---- needs ---- */

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct pcore_sched_need *)a)->name, ((const struct pcore_sched_need *)b)->name);
}

/* "NAME" or "NAME=N", which is taken apart. */
static int read_need(char *word, struct pcore_sched_need *ret)
{
	char *equals = strchr(word, '=');
	uint64_t n = 1;

	if (equals)
		*equals = '\0';
	if (!*word || strlen(word) > PCORE_WIRE_NAME_MAX || (equals && pcore_parse_u64(equals + 1, 1, UINT32_MAX, &n) < 0))
		return -EINVAL;
	*ret = (struct pcore_sched_need){ word, (uint32_t)n };
	return 0;
}

/* In the order of their names: so are the numbers that a node is told with each job. */
static int put_sorted(struct parts *p, char **words)
{
	struct pcore_sched_need needs[PCORE_SCHED_PARTS_MAX];
	int r = 0;

	for (; r == 0 && words[p->n_needs]; p->n_needs++)
		r = p->n_needs < ARRAY_SIZE(needs) ? read_need(words[p->n_needs], &needs[p->n_needs]) : -EINVAL;
	if (r < 0)
		return r;
	qsort(needs, p->n_needs, sizeof(needs[0]), by_name);
	for (size_t i = 0; i < p->n_needs && r == 0; i++) {
		const struct pcore_wire_resource need = { .name = needs[i].name, .count = needs[i].n };

		r = i > 0 && strcmp(needs[i].name, needs[i - 1].name) == 0 ? -EINVAL : pcore_wire_add_resource(&p->needs, &need);
	}
	return r;
}

static int put_needs(struct parts *p, const char *const *resources)
{
	char **words = pcore_cc_copy((char *const *)resources, NULL);
	int r = words ? put_sorted(p, words) : -ENOMEM;

	free(words);
	return r;
}

/* "K=V" and "K!=V", with commas between. */
static int put_labels(struct parts *p, const char *labels)
{
	while (labels) {
		size_t len = strcspn(labels, ",");
		const char *equals = memchr(labels, '=', len);

		if (!equals || equals == labels || (equals[-1] == '!' && equals - 1 == labels) || p->n_labels == PCORE_SCHED_PARTS_MAX)
			return -EINVAL;
		if (pcore_buf_add(&p->labels, labels, len) < 0 || pcore_buf_addc(&p->labels, '\0') < 0)
			return -ENOMEM;
		p->n_labels++;
		labels = labels[len] ? labels + len + 1 : NULL;
	}
	return 0;
}

static int put_parts(struct parts *p, const struct pcore_cluster_client *c, const struct pcore_cluster_client_job *j)
{
	int r = put_env(p, c->env, j->env);

	if (r == 0)
		r = put_needs(p, j->resources);
	if (r == 0)
		r = put_labels(p, j->labels);
	return r < 0 ? r : pcore_argv_put_args(&p->argv);
}

/* ---- bodies ---- */

static int put_bodies(const struct pcore_cluster_client *c, const struct pcore_cluster_client_job *j, const struct parts *p, uint32_t number,
	struct pcore_buf *env, struct pcore_buf *template)
{
	static char *const none[] = { NULL };
	const struct pcore_wire_env e = {
		.has = PCORE_WIRE_HAS(PCORE_WIRE_ENV_VARS),
		.node_base = 1,
		.unset.list = none,
		.vars.list = p->env,
	};
	const int64_t timeout = j->timeout ? j->timeout : c->spec.timeout;
	const struct pcore_jobspec jobs = {
		.proc = { .size = sizeof(jobs.proc), .chdir = j->dir ? j->dir : c->dir },
		.times = {
			.timeout = timeout ? timeout : INT64_MAX,
			.kill_after = c->spec.kill_after,
			.linger = LINGER_NS,
			.signal = SIGTERM,
		},
		.max_output = c->spec.output_max,
		.cpus = j->cpus ? j->cpus : c->spec.cpus,
		.memory = j->memory ? j->memory : c->spec.memory,
		.resources = { p->needs.data, p->needs.len, p->n_needs },
		.labels = { .data = p->labels.data, .len = p->labels.len, .n = p->n_labels },
		.node = j->node,
		.exclusive = c->spec.exclusive,
	};
	const struct pcore_wire_argv pieces = { p->argv.data, p->argv.len };
	int r = pcore_wire_put_env(env, &e);

	if (r == 0)
		r = pcore_jobspec_put(template, &jobs, number, &pieces);
	return r == -EMSGSIZE ? -E2BIG : r;
}

static int check(const struct pcore_cluster_client_job *j)
{
	if ((j->dir && j->dir[0] != '/') || j->cpus > PCORE_SCHED_CPUS_MAX || j->memory > INT64_MAX || j->timeout < 0)
		return -EINVAL;
	if (j->node && (!*j->node || strlen(j->node) > PCORE_SCHED_NAME_MAX))
		return -EINVAL;
	return pcore_cc_check_env(j->env);
}

/* ---- life ---- */

static void kind_free(struct cluster_kind *k)
{
	pcore_needs_done(&k->kind.needs);
	pcore_buf_done(&k->kind.env);
	pcore_buf_done(&k->kind.template);
	pcore_buf_done(&k->key);
	free(k);
}

void pcore_cc_kind_put(struct pcore_cluster_client *c, struct cluster_kind *k)
{
	if (!k || --k->refs > 0)
		return;
	pcore_map_remove(&c->kinds, &k->node);
	kind_free(k);
}

/* The key becomes its own. */
static int kind_new(struct pcore_cluster_client *c, const struct pcore_cluster_client_job *j, const struct parts *p, struct pcore_buf *key,
	struct cluster_kind **ret)
{
	struct cluster_kind *k = calloc(1, sizeof(*k));
	struct pcore_wire_template t;
	struct pcore_wire_frame f;
	int r;

	if (!k)
		return -ENOMEM;
	k->refs = 1;
	k->kind.serial = ++c->last_kind;
	k->key = *key;
	*key = PCORE_BUF_INIT(0);
	r = put_bodies(c, j, p, pcore_cluster_number(k->kind.serial), &k->kind.env, &k->kind.template);
	if (r == 0) {
		f = (struct pcore_wire_frame){ PCORE_WIRE_TEMPLATE, 0, k->kind.template.data, (uint32_t)k->kind.template.len };
		r = pcore_wire_get_template(&f, &t);
	}
	if (r == 0)
		r = pcore_needs_read(&k->kind.needs, &t);
	if (r == 0)
		r = pcore_map_insert(&c->kinds, &k->node, k->key.data, k->key.len);
	if (r < 0) {
		kind_free(k);
		return r;
	}
	*ret = k;
	return 0;
}

/* By what its bodies say, behind each other, with a number that none has. */
static int find_or_make(struct pcore_cluster_client *c, const struct pcore_cluster_client_job *j, const struct parts *p, struct cluster_kind **ret)
{
	_cleanup_(pcore_buf_done) struct pcore_buf env = PCORE_BUF_INIT(0), key = PCORE_BUF_INIT(0);
	struct pcore_map_node *node;
	int r = put_bodies(c, j, p, PCORE_CLUSTER_KINDS + 1, &env, &key);

	if (r == 0)
		r = pcore_buf_add(&key, env.data, env.len);
	if (r < 0)
		return r;
	node = pcore_map_find(&c->kinds, key.data, key.len);
	if (!node)
		return kind_new(c, j, p, &key, ret);
	*ret = container_of(node, struct cluster_kind, node);
	(*ret)->refs++;
	return 0;
}

int pcore_cc_kind_get(struct pcore_cluster_client *c, const struct pcore_cluster_client_job *j, struct cluster_kind **ret)
{
	struct parts p = { .env = NULL };
	int r = check(j);

	if (r == 0)
		r = put_parts(&p, c, j);
	if (r == 0)
		r = find_or_make(c, j, &p, ret);
	parts_done(&p);
	return r;
}
