/* SPDX-License-Identifier: MIT */
/*
 * sched_class.c - requests, interned into classes.
 *
 * A class's key is its request in one form only: sorted, with all numbers in the same place. Names lie in the key, so that a
 * class is one allocation but for three arrays, and its key is what a record keeps of it.
 */
#include <string.h>

#include "libcore/cluster/sched_private.h"

enum { KEY_ONLY = 12, KEY_AVOID = 16, KEY_HEAD = 29 }; /* cpus 4, memory 8, only 4, avoid 4, needs 4, labels 4, pin 1 */

/* ---- names of resources ---- */

struct resource_name *sched_resource(const struct pcore_sched *s, const char *name)
{
	struct pcore_map_node *node = pcore_map_find(&s->resources, name, strlen(name));

	return node ? container_of(node, struct resource_name, by_name) : NULL;
}

int sched_resource_number(struct pcore_sched *s, const char *name, uint32_t *ret)
{
	struct resource_name *res = sched_resource(s, name);
	size_t len = strlen(name);
	int r;

	if (!res) {
		if (s->next_resource == s->totals_cap) {
			uint32_t cap = s->totals_cap ? s->totals_cap * 2 : 16;
			uint64_t *totals = reallocarray(s->totals, cap, sizeof(*totals));

			if (!totals)
				return -ENOMEM;
			s->totals = totals;
			s->totals_cap = cap;
		}
		res = calloc(1, sizeof(*res) + len + 1);
		if (!res)
			return -ENOMEM;
		memcpy(res->name, name, len);
		res->number = s->next_resource;
		r = pcore_map_insert(&s->resources, &res->by_name, res->name, len);
		if (r < 0) {
			free(res);
			return r;
		}
		s->totals[s->next_resource++] = 0;
	}
	*ret = res->number;
	return 0;
}

/* ---- keys ---- */

static int key_number(struct pcore_buf *key, uint64_t v, unsigned n)
{
	unsigned char bytes[8], *p = bytes;

	sched_put(&p, v, n);
	return pcore_buf_add(key, bytes, n);
}

static int key_name(struct pcore_buf *key, const char *name)
{
	size_t len = name ? strlen(name) : 0;

	if (!name || len > PCORE_SCHED_NAME_MAX)
		return -EINVAL;
	return pcore_buf_add(key, name, len + 1);
}

static int by_need(const void *a, const void *b)
{
	const struct pcore_sched_need *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static int by_label(const void *a, const void *b)
{
	const struct pcore_sched_label *x = a, *y = b;
	int d = strcmp(x->key, y->key);

	if (d == 0)
		d = strcmp(x->value, y->value);
	return d != 0 ? d : (int)x->differs - (int)y->differs;
}

static int key_parts(struct pcore_buf *key, const struct pcore_sched_request *r)
{
	struct pcore_sched_need needs[PCORE_SCHED_PARTS_MAX];
	struct pcore_sched_label labels[PCORE_SCHED_PARTS_MAX];
	int e = 0;

	if (r->n_needs)
		memcpy(needs, r->needs, r->n_needs * sizeof(*needs));
	if (r->n_labels)
		memcpy(labels, r->labels, r->n_labels * sizeof(*labels));
	qsort(needs, r->n_needs, sizeof(*needs), by_need);
	qsort(labels, r->n_labels, sizeof(*labels), by_label);
	for (size_t i = 0; i < r->n_needs && e == 0; i++) {
		if (needs[i].n == 0 || (i > 0 && strcmp(needs[i].name, needs[i - 1].name) == 0))
			return -EINVAL;
		e = key_number(key, needs[i].n, 4);
		if (e == 0)
			e = key_name(key, needs[i].name);
	}
	for (size_t i = 0; i < r->n_labels && e == 0; i++) {
		e = key_number(key, labels[i].differs, 1);
		if (e == 0)
			e = key_name(key, labels[i].key);
		if (e == 0)
			e = key_name(key, labels[i].value);
	}
	return e;
}

static bool nameless(const struct pcore_sched_request *r)
{
	for (size_t i = 0; i < r->n_needs; i++)
		if (!r->needs[i].name)
			return true;
	for (size_t i = 0; i < r->n_labels; i++)
		if (!r->labels[i].key || !r->labels[i].value)
			return true;
	return false;
}

static int make_key(struct pcore_buf *key, const struct pcore_sched_request *r)
{
	unsigned char head[KEY_HEAD], *p = head;
	int e;

	if (r->cpus > PCORE_SCHED_CPUS_MAX || r->memory > INT64_MAX || r->n_needs > PCORE_SCHED_PARTS_MAX ||
		r->n_labels > PCORE_SCHED_PARTS_MAX || nameless(r))
		return -EINVAL;

	sched_put(&p, r->cpus ? r->cpus : 1, 4);
	sched_put(&p, r->memory, 8);
	sched_put(&p, 0, 4);
	sched_put(&p, 0, 4);
	sched_put(&p, r->n_needs, 4);
	sched_put(&p, r->n_labels, 4);
	sched_put(&p, r->node != NULL, 1);
	pcore_buf_clear(key);
	e = pcore_buf_add(key, head, sizeof(head));
	if (e == 0)
		e = key_parts(key, r);
	if (e == 0 && r->node)
		e = key_name(key, r->node);
	return e;
}

/* ---- classes ---- */

static void class_free(struct class *c)
{
	free(c->needs);
	free(c->labels);
	free(c->admits);
	free(c);
}

/* A name of the key, and go behind it. */
static const char *take_name(const unsigned char **p, const unsigned char *end)
{
	const char *name = (const char *)*p;
	const unsigned char *nul = memchr(*p, 0, (size_t)(end - *p));

	if (!nul)
		return NULL;
	*p = nul + 1;
	return name;
}

static int parse_parts(struct pcore_sched *s, struct class *c, const unsigned char *p, const unsigned char *end, bool pinned)
{
	for (uint32_t i = 0; i < c->n_needs; i++) {
		int r;

		if (end - p < 4)
			return -EBADMSG;
		c->needs[i].n = (uint32_t)sched_pick(&p, 4);
		c->needs[i].name = take_name(&p, end);
		if (!c->needs[i].name)
			return -EBADMSG;
		r = sched_resource_number(s, c->needs[i].name, &c->needs[i].res);
		if (r < 0)
			return r;
	}
	for (uint32_t i = 0; i < c->n_labels; i++) {
		if (p == end)
			return -EBADMSG;
		c->labels[i].differs = *p++;
		c->labels[i].key = take_name(&p, end);
		c->labels[i].value = c->labels[i].key ? take_name(&p, end) : NULL;
		if (!c->labels[i].value)
			return -EBADMSG;
	}
	if (pinned) {
		c->pin = take_name(&p, end);
		if (!c->pin)
			return -EBADMSG;
	}
	return p == end ? 0 : -EBADMSG;
}

static int parse_key(struct pcore_sched *s, struct class *c)
{
	const unsigned char *p = c->key, *end = c->key + c->key_len;
	bool pinned;

	c->cpus = (uint32_t)sched_pick(&p, 4);
	c->memory = sched_pick(&p, 8);
	c->only = (uint32_t)sched_pick(&p, 4);
	c->avoid = (uint32_t)sched_pick(&p, 4);
	c->n_needs = (uint32_t)sched_pick(&p, 4);
	c->n_labels = (uint32_t)sched_pick(&p, 4);
	pinned = *p++;
	if (c->cpus == 0 || c->cpus > PCORE_SCHED_CPUS_MAX || c->memory > INT64_MAX || c->n_needs > PCORE_SCHED_PARTS_MAX ||
		c->n_labels > PCORE_SCHED_PARTS_MAX)
		return -EBADMSG;
	c->needs = calloc(c->n_needs + 1, sizeof(*c->needs));
	c->labels = calloc(c->n_labels + 1, sizeof(*c->labels));
	if (!c->needs || !c->labels)
		return -ENOMEM;
	return parse_parts(s, c, p, end, pinned);
}

static void see(struct pcore_sched *s, struct class *c, struct node *n);

int sched_class_of_key(struct pcore_sched *s, const void *key, size_t len, struct class **ret)
{
	struct pcore_map_node *known = pcore_map_find(&s->classes_by_key, key, len);
	struct class *c;
	int r;

	if (known) {
		*ret = container_of(known, struct class, by_key);
		(*ret)->refs++;
		return 0;
	}
	if (len < KEY_HEAD)
		return -EBADMSG;
	c = calloc(1, sizeof(*c) + len);
	if (!c)
		return -ENOMEM;
	memcpy(c->key, key, len);
	c->key_len = len;
	c->refs = 1;
	pcore_list_init(&c->lanes);
	pcore_list_init(&c->link);
	r = parse_key(s, c);
	if (r == 0) {
		c->admits = calloc(s->slots_cap / 64 + 1, sizeof(*c->admits));
		r = c->admits ? pcore_map_insert(&s->classes_by_key, &c->by_key, c->key, len) : -ENOMEM;
	}
	if (r < 0) {
		class_free(c);
		return r;
	}
	pcore_list_add_tail(&s->classes, &c->link);
	s->counts.classes++;
	for (uint32_t i = 0; i < s->n_slots; i++)
		if (s->nodes[i])
			see(s, c, s->nodes[i]);
	*ret = c;
	return 0;
}

int sched_class_of(struct pcore_sched *s, const struct pcore_sched_request *r, struct class **ret)
{
	int e = make_key(&s->key, r);

	return e < 0 ? e : sched_class_of_key(s, s->key.data, s->key.len, ret);
}

int sched_class_derive(struct pcore_sched *s, const struct class *c, uint32_t only, uint32_t avoid, struct class **ret)
{
	unsigned char *p;
	int r;

	pcore_buf_clear(&s->key);
	r = pcore_buf_add(&s->key, c->key, c->key_len);
	if (r < 0)
		return r;
	p = (unsigned char *)s->key.data + KEY_ONLY;
	sched_put(&p, only, 4);
	sched_put(&p, avoid, 4);
	r = sched_class_of_key(s, s->key.data, s->key.len, ret);
	if (r == 0 && (*ret)->wall_ns == 0)
		(*ret)->wall_ns = c->wall_ns;
	return r;
}

void sched_class_unref(struct pcore_sched *s, struct class *c)
{
	assert(c->refs > 0);
	if (--c->refs > 0)
		return;
	assert(pcore_list_empty(&c->lanes));
	pcore_map_remove(&s->classes_by_key, &c->by_key);
	pcore_list_del(&c->link);
	s->counts.classes--;
	class_free(c);
}

int sched_classes_widen(struct pcore_sched *s, uint32_t n_slots)
{
	size_t old = s->slots_cap / 64 + 1, new = n_slots / 64 + 1;

	PCORE_LIST_FOREACH_SAFE(link, &s->classes)
	{
		struct class *c = container_of(link, struct class, link);
		uint64_t *admits = reallocarray(c->admits, new, sizeof(*admits));

		if (!admits)
			return -ENOMEM;
		memset(admits + old, 0, (new - old) * sizeof(*admits));
		c->admits = admits;
	}
	return 0;
}

/* ---- which nodes ---- */

bool sched_label_holds(const struct node *n, const struct label *l)
{
	for (uint32_t i = 0; i < n->n_labels; i++)
		if (strcmp(n->labels[i].key, l->key) == 0)
			return (strcmp(n->labels[i].value, l->value) == 0) != l->differs;
	return l->differs;
}

enum refusal sched_refusal(const struct class *c, const struct node *n)
{
	if ((c->pin && strcmp(c->pin, n->name) != 0) || (c->only && c->only != n->serial))
		return NOT_PINNED;
	for (uint32_t i = 0; i < c->n_labels; i++)
		if (!sched_label_holds(n, &c->labels[i]))
			return BAD_LABELS;
	if (c->cpus > n->cpus)
		return FEW_CPUS;
	if ((int64_t)c->memory > n->memory)
		return LITTLE_MEMORY;
	for (uint32_t i = 0; i < c->n_needs; i++) {
		uint32_t k = 0;

		while (k < n->n_stock && n->stock[k].res != c->needs[i].res)
			k++;
		if (k == n->n_stock || n->stock[k].n < c->needs[i].n)
			return FEW_RESOURCES;
	}
	return c->avoid == n->serial ? AVOIDED : FITS;
}

static void set_admits(struct class *c, const struct node *n, bool admits)
{
	if (sched_admits(c, n) == admits)
		return;
	c->admits[n->slot / 64] ^= UINT64_C(1) << n->slot % 64;
	c->n_admits += admits ? 1 : UINT32_MAX;
}

static bool takes_jobs(const struct node *n)
{
	return !n->gone && !n->draining && n->cpus > 0;
}

/* Whoever is the only one left is not avoided. */
static void see_avoided(struct pcore_sched *s, struct class *c)
{
	struct node *n = sched_node_of_serial(s, c->avoid);
	bool admits;

	if (!n)
		return;
	admits = c->n_admits == (sched_admits(c, n) ? 1 : 0) && takes_jobs(n) && sched_refusal(c, n) == AVOIDED;
	if (admits == sched_admits(c, n))
		return;
	set_admits(c, n, admits);
	if (admits)
		sched_freed(s, n);
}

static void see(struct pcore_sched *s, struct class *c, struct node *n)
{
	if (c->avoid != n->serial || !takes_jobs(n) || sched_refusal(c, n) != AVOIDED)
		set_admits(c, n, takes_jobs(n) && sched_refusal(c, n) == FITS);
	if (c->avoid && c->n_admits <= 2)
		see_avoided(s, c);
}

/* Jobs that were to be restarted on a node that takes none any more go anywhere. */
static void leave_node(struct pcore_sched *s, struct class *c)
{
	c->refs++;
	PCORE_LIST_FOREACH_SAFE(link, &c->lanes)
	{
		struct lane *l = container_of(link, struct lane, by_class);

		l->refs++;
		while (!pcore_list_empty(&l->jobs)) {
			struct job *j = container_of(l->jobs.next, struct job, link);

			sched_unqueue(s, j);
			sched_queue(s, j, j->array->lane);
		}
		sched_lane_unref(s, l);
	}
	sched_class_unref(s, c);
}

static void tell_no_node(struct pcore_sched *s, const struct class *c)
{
	PCORE_LIST_FOREACH_SAFE(link, &c->lanes)
	{
		struct lane *l = container_of(link, struct lane, by_class);
		struct pcore_sched_news *news;

		if (sched_lane_empty(l) || sched_reserve(s, 1, 0) < 0)
			continue;
		news = sched_tell(s, PCORE_SCHED_NO_NODE, l->client);
		if (!news)
			continue;
		news->job = sched_lane_first(l);
		news->cookie = sched_lane_head(l)->cookie;
		news->n = 1;
	}
}

void sched_classes_see(struct pcore_sched *s, struct node *n)
{
	if (s->reserved == n && (!takes_jobs(n) || sched_refusal(s->reserver->class, n) != FITS))
		sched_unreserve(s);
	PCORE_LIST_FOREACH_SAFE(link, &s->classes)
	{
		struct class *c = container_of(link, struct class, link);
		bool had = c->n_admits > 0;

		see(s, c, n);
		if (c->only == n->serial && !sched_admits(c, n))
			leave_node(s, c);
		else if (had && c->n_admits == 0)
			tell_no_node(s, c);
	}
}
