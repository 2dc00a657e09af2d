/* SPDX-License-Identifier: MIT */
/*
 * shared_template.c - what jobs have in common is kept once, and told to a node when it is needed there.
 *
 * A connection to a node has few numbers, so that the node's room is never used up: what is told takes the place of what had
 * its number before. The jobs that were assigned with that are not affected.
 */
#include <string.h>

#include "libcore/cluster/shared_private.h"
#include "libcore/cluster/spec.h"

static uint32_t env_number(const struct shared_env *e)
{
	return (uint32_t)(e->serial % SHARED_ENVS) + 1;
}

static uint32_t template_number(const struct shared_template *t)
{
	return (uint32_t)(t->serial % SHARED_TEMPLATES) + 1;
}

int shared_env_get(struct pcore_shared *s, struct shared_env **ret, const char *body, size_t len)
{
	const struct pcore_wire_frame f = { PCORE_WIRE_ENV, 0, body, len };
	struct pcore_map_node *node = pcore_map_find(&s->envs, body, len);
	struct pcore_wire_env m;
	struct shared_env *e;
	int r;

	if (node) {
		*ret = container_of(node, struct shared_env, node);
		(*ret)->refs++;
		return 0;
	}
	if (pcore_wire_get_env(&f, &m) < 0)
		return -EPROTO;
	e = calloc(1, sizeof(*e) + len);
	if (!e)
		return -ENOMEM;

	e->serial = ++s->next_serial;
	e->refs = 1;
	e->len = len;
	memcpy(e->body, body, len);
	r = pcore_map_insert(&s->envs, &e->node, e->body, len);
	if (r < 0) {
		free(e);
		return r;
	}
	*ret = e;
	return 0;
}

void shared_env_put(struct pcore_shared *s, struct shared_env *e)
{
	if (!e || --e->refs > 0)
		return;
	pcore_map_remove(&s->envs, &e->node);
	free(e);
}

/* The body for nodes behind the env's serial. Who may run it is the scheduler's affair. */
static int make_key(struct pcore_buf *key, const struct shared_env *e, const struct pcore_wire_frame *f, uint64_t max_output)
{
	struct pcore_wire_template t;
	int r = pcore_wire_get_template(f, &t);

	if (r < 0)
		return r;
	if (t.has & PCORE_WIRE_HAS(PCORE_WIRE_T_FORM)) /* nobody here would hear of its workers */
		return -EPROTO;
	t.env = env_number(e);
	t.has &= ~(PCORE_WIRE_HAS(PCORE_WIRE_T_LABELS) | PCORE_WIRE_HAS(PCORE_WIRE_T_NODE) | PCORE_WIRE_HAS(PCORE_WIRE_T_EXCLUSIVE));
	if (max_output > 0 && (!(t.has & PCORE_WIRE_HAS(PCORE_WIRE_T_MAX_OUTPUT)) || t.max_output > max_output)) {
		t.max_output = max_output;
		t.has |= PCORE_WIRE_HAS(PCORE_WIRE_T_MAX_OUTPUT);
	}
	r = pcore_buf_add(key, &e->serial, sizeof(e->serial));
	r = r < 0 ? r : pcore_wire_put_template(key, &t);
	return r == -EMSGSIZE || r == -EINVAL ? -EPROTO : r;
}

static struct shared_template *template_new(const struct pcore_buf *key, const struct pcore_wire_frame *f)
{
	struct shared_template *t = calloc(1, sizeof(*t) + key->len);
	struct pcore_wire_frame copy = *f;

	if (!t)
		return NULL;
	t->whole = malloc(f->len + 1);
	if (!t->whole) {
		free(t);
		return NULL;
	}
	memcpy(t->whole, f->body, f->len);
	copy.body = t->whole;
	(void)pcore_wire_get_template(&copy, &t->t); /* it was read before */
	memcpy(t->key, key->data, key->len);
	t->key_len = key->len;
	t->refs = 1;
	return t;
}

int shared_template_get(struct pcore_shared *s, struct shared_template **ret, struct shared_env *e, const char *body, size_t len, uint64_t max_output)
{
	_cleanup_(pcore_buf_done) struct pcore_buf key = PCORE_BUF_INIT(0);
	const struct pcore_wire_frame f = { PCORE_WIRE_TEMPLATE, 0, body, len };
	struct shared_template *t;
	struct pcore_map_node *node;
	size_t told;
	int r = make_key(&key, e, &f, max_output);

	if (r < 0)
		return r;
	told = key.len;
	r = pcore_buf_add(&key, body, len); /* what a node is told is not all there is to it */
	if (r < 0)
		return r;
	node = pcore_map_find(&s->templates, key.data, key.len);
	if (node) {
		*ret = container_of(node, struct shared_template, node);
		(*ret)->refs++;
		return 0;
	}
	t = template_new(&key, &f);
	if (!t)
		return -ENOMEM;
	t->told_len = told - sizeof(e->serial);
	t->serial = ++s->next_serial;
	t->env = e;
	r = pcore_map_insert(&s->templates, &t->node, t->key, t->key_len);
	if (r < 0) {
		free(t->whole);
		free(t);
		return r;
	}
	e->refs++;
	*ret = t;
	return 0;
}

void shared_template_put(struct pcore_shared *s, struct shared_template *t)
{
	if (!t || --t->refs > 0)
		return;
	pcore_map_remove(&s->templates, &t->node);
	shared_env_put(s, t->env);
	free(t->whole);
	free(t);
}

/* ---- nodes ---- */

static void tell_env(struct link *l, const struct shared_env *e)
{
	struct shared_told *told = l->owner;
	uint64_t *slot = &told->envs[env_number(e) - 1];

	if (*slot == e->serial)
		return;
	if (*slot)
		link_send(l, PCORE_WIRE_ENV_DROP, env_number(e), NULL, 0);
	link_send(l, PCORE_WIRE_ENV, env_number(e), e->body, e->len);
	*slot = e->serial;
}

uint32_t shared_template_tell(struct link *l, const struct shared_template *t)
{
	struct shared_told *told = l->owner;
	uint32_t number = template_number(t);
	uint64_t *slot = &told->templates[number - 1];

	if (*slot == t->serial)
		return number;
	tell_env(l, t->env);
	if (*slot)
		link_send(l, PCORE_WIRE_TEMPLATE_DROP, number, NULL, 0);
	link_send(l, PCORE_WIRE_TEMPLATE, number, t->key + sizeof(t->env->serial), t->told_len);
	*slot = t->serial;
	return number;
}

/* ---- what a job of it needs ---- */

int shared_template_submit(
	struct pcore_shared *s, const struct shared_template *t, uint64_t client, struct pcore_sched_jobs *jobs, uint64_t *ret_first)
{
	_cleanup_(pcore_needs_done) struct pcore_needs needs = { .text = NULL };
	int r = pcore_needs_read(&needs, &t->t);

	if (r < 0)
		return r == -EPROTO ? -EINVAL : r;
	jobs->request = needs.request;
	return pcore_sched_submit(s->host.sched, shared_now(s), client, jobs, ret_first);
}
