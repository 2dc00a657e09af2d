/* SPDX-License-Identifier: MIT */
/*
 * wire_fields.c - messages of fields. Each is a table, which serves for reading and for writing.
 */
#include "libcore/cluster/wire_private.h"

enum {
	OPTIONAL = 1, /* a flag of a field: who does not know it passes over it */
	LIST_TAG = 1,
	LIMIT_SIZE = 24,
	CPUS_BYTES = 128,
	PATHS_MAX = 64,
	GROUPS_MAX = 65536,
};

/* Is each word "K=V"? */
bool wire_are_pairs(struct pcore_wire_words w)
{
	const char *word;

	while ((word = pcore_wire_word(&w)))
		if (!strchr(word, '=') || word[0] == '=')
			return false;
	return true;
}

/* ---- reading and writing ---- */

/* Tag, flags, length, contents, zeros: the contents. */
static const char *take_field(struct cursor *c, unsigned *ret_tag, unsigned *ret_flags, size_t *ret_len)
{
	const char *p;

	*ret_tag = take_u16(c);
	*ret_flags = take_u16(c);
	*ret_len = take_u32(c);
	p = take(c, *ret_len);
	take_pad(c, *ret_len);
	c->bad |= (*ret_flags & ~(unsigned)OPTIONAL) != 0;
	return c->bad ? NULL : p;
}

static bool read_list(const struct message *element, const char *data, size_t len, struct pcore_wire_list *ret)
{
	struct cursor c = { .p = data, .left = len };
	union fields any;

	*ret = (struct pcore_wire_list){ .data = data, .len = len };
	for (; c.left > 0; ret->n++) {
		unsigned tag, flags;
		size_t n;
		const char *p = take_field(&c, &tag, &flags, &n);

		if (!p || tag != LIST_TAG || wire_read_fields(element, p, n, &any) < 0)
			return false;
	}
	return true;
}

static bool read_number(const struct field *f, struct cursor *c, void *at)
{
	uint64_t v = take_u64(c);

	memcpy(at, &v, sizeof(v));
	if (c->bad || c->left > 0)
		return false;
	if (f->kind == SIGNED)
		return (int64_t)v >= f->min && (int64_t)v <= (int64_t)f->max;
	return v >= (uint64_t)f->min && v <= f->max;
}

static bool read_field(const struct field *f, const char *data, size_t len, void *at)
{
	struct cursor c = { .p = data, .left = len };
	struct pcore_wire_words *words = at;

	switch (f->kind) {
	case NUMBER:
	case SIGNED: return read_number(f, &c, at);
	case TEXT:
		*(const char **)at = data;
		return len > (size_t)f->min && len <= f->max && memchr(data, '\0', len) == data + len - 1;
	case WORDS:
		*words = wire_take_words(&c, len);
		return !c.bad && words->n <= f->max;
	case BYTES:
		*(struct pcore_wire_bytes *)at = (struct pcore_wire_bytes){ data, len };
		return len >= (size_t)f->min && len <= f->max && len % f->unit == 0;
	case LIST: return read_list(f->element, data, len, at);
	case ARGV:
		*(struct pcore_wire_argv *)at = (struct pcore_wire_argv){ data, len };
		return wire_is_argv(data, len);
	}
	return false;
}

/* Those that were not there are zero. */
int wire_read_fields(const struct message *m, const char *data, size_t len, union fields *ret)
{
	struct cursor c = { .p = data, .left = len };
	uint64_t has = 0;

	memset(ret, 0, sizeof(*ret));
	while (c.left > 0) {
		unsigned tag, flags;
		size_t n;
		const char *p = take_field(&c, &tag, &flags, &n);

		if (!p)
			return -EPROTO;
		if ((tag == 0 || tag > m->n) && (flags & OPTIONAL))
			continue;
		if (tag == 0 || tag > m->n || (has & PCORE_WIRE_HAS(tag)))
			return -EPROTO;
		if (!read_field(&m->fields[tag - 1], p, n, (char *)ret + m->fields[tag - 1].offset))
			return -EPROTO;
		has |= PCORE_WIRE_HAS(tag);
	}
	ret->has = has;
	if ((has & m->required) != m->required || (m->check && !m->check(ret)))
		return -EPROTO;
	return 0;
}

int wire_get(const struct message *m, const struct pcore_wire_frame *f, void *ret, size_t size)
{
	union fields any;

	if (wire_read_fields(m, f->body, f->len, &any) < 0)
		return -EPROTO;
	memcpy(ret, &any, size);
	return 0;
}

static size_t field_len(const struct field *f, const void *at)
{
	switch (f->kind) {
	case NUMBER:
	case SIGNED: return sizeof(uint64_t);
	case TEXT: return *(char *const *)at ? strlen(*(char *const *)at) + 1 : 0;
	case WORDS: return wire_words_len(at);
	case BYTES: return ((const struct pcore_wire_bytes *)at)->len;
	case LIST: return ((const struct pcore_wire_list *)at)->len;
	case ARGV: return ((const struct pcore_wire_argv *)at)->len;
	}
	return 0;
}

static void put_field(struct writer *w, unsigned tag, const struct field *f, const void *at)
{
	size_t len = field_len(f, at);

	put_u16(w, (uint16_t)tag);
	put_u16(w, 0);
	put_u32(w, len);
	switch (f->kind) {
	case NUMBER:
	case SIGNED: put_u64(w, *(const uint64_t *)at); break;
	case TEXT: put(w, *(char *const *)at, len); break;
	case WORDS: wire_put_words(w, at); break;
	case BYTES: put(w, ((const struct pcore_wire_bytes *)at)->data, len); break;
	case LIST: put(w, ((const struct pcore_wire_list *)at)->data, len); break;
	case ARGV: put(w, ((const struct pcore_wire_argv *)at)->data, len); break;
	}
	put_pad(w, len);
}

/* msg is one of the structs. What was written is read once, as the peer will read it. */
static void put_fields(struct writer *w, const struct message *m, const void *msg)
{
	size_t at = w->b->len;
	union fields any;
	uint64_t has;

	memcpy(&has, msg, sizeof(has));
	has |= m->required;
	for (size_t i = 0; i < m->n; i++)
		if (has & PCORE_WIRE_HAS(i + 1))
			put_field(w, (unsigned)i + 1, &m->fields[i], (const char *)msg + m->fields[i].offset);
	if (w->error == 0 && w->b->len > at && wire_read_fields(m, w->b->data + at, w->b->len - at, &any) < 0)
		w->error = -EINVAL;
}

int wire_put(struct pcore_buf *b, enum pcore_wire_type type, const struct message *m, const void *msg)
{
	struct writer w = writer(b);

	put_fields(&w, m, msg);
	if (w.error == 0 && b->len - w.start > pcore_wire_body_max(type))
		w.error = -EMSGSIZE;
	return take_back(&w);
}

/* An element of a list. */
static int add_element(struct pcore_buf *b, const struct message *m, const void *msg)
{
	struct writer w = writer(b);
	uint32_t len;

	put_u16(&w, LIST_TAG);
	put_u16(&w, 0);
	put_u32(&w, 0);
	put_fields(&w, m, msg);
	if (w.error < 0)
		return take_back(&w);
	len = htole32((uint32_t)(b->len - w.start - 8));
	memcpy(b->data + w.start + 4, &len, sizeof(len));
	return 0;
}

static bool next_element(const struct message *m, struct pcore_wire_list *list, void *ret, size_t size)
{
	struct cursor c = { .p = list->data, .left = list->len };
	struct pcore_wire_frame f = { .len = 0 };
	unsigned tag, flags;
	int r;

	if (list->len == 0)
		return false;
	f.body = take_field(&c, &tag, &flags, &f.len);
	r = wire_get(m, &f, ret, size);
	assert(r == 0);
	*list = (struct pcore_wire_list){ .data = c.p, .len = c.left, .n = list->n - 1 };
	return true;
}

#define AT(member) offsetof(struct pcore_wire_answer, member)
static const struct field answer_fields[] = {
	{ .offset = AT(status), .kind = NUMBER, .max = 255 },
	{ .offset = AT(text), .kind = TEXT, .max = UINT32_MAX },
};
FIELDS(answer, REQUIRED(1, 1), NULL);
#undef AT

static bool check_resource(const void *m)
{
	const struct pcore_wire_resource *r = m;

	return !(r->has & PCORE_WIRE_HAS(PCORE_WIRE_RESOURCE_IDS)) || r->ids.n == r->count;
}

#define AT(member) offsetof(struct pcore_wire_resource, member)
static const struct field resource_fields[] = {
	{ .offset = AT(name), .kind = TEXT, .min = 1, .max = PCORE_WIRE_NAME_MAX + 1 },
	{ .offset = AT(count), .kind = NUMBER, .max = UINT64_MAX },
	{ .offset = AT(ids), .kind = WORDS, .max = UINT32_MAX },
};
SHARED_FIELDS(resource, REQUIRED(1, 2), check_resource);
#undef AT

static bool check_node(const void *m)
{
	return wire_are_pairs(((const struct pcore_wire_node *)m)->labels);
}

#define AT(member) offsetof(struct pcore_wire_node, member)
static const struct field node_fields[] = {
	{ .offset = AT(name), .kind = TEXT, .min = 1, .max = PCORE_WIRE_NAME_MAX + 1 },
	{ .offset = AT(instance), .kind = NUMBER, .max = UINT64_MAX },
	{ .offset = AT(state), .kind = NUMBER, .max = PCORE_WIRE_STATES - 1 },
	{ .offset = AT(cpus), .kind = NUMBER, .max = UINT32_MAX },
	{ .offset = AT(memory), .kind = NUMBER, .max = UINT64_MAX },
	{ .offset = AT(slots), .kind = NUMBER, .max = UINT16_MAX },
	{ .offset = AT(prefetch), .kind = NUMBER, .max = UINT32_MAX },
	{ .offset = AT(software), .kind = TEXT, .max = UINT32_MAX },
	{ .offset = AT(labels), .kind = WORDS, .max = UINT32_MAX },
	{ .offset = AT(resources), .kind = LIST, .element = &wire_resource },
};
FIELDS(node, REQUIRED(1, 7), check_node);
#undef AT

static bool check_env(const void *m)
{
	return wire_are_pairs(((const struct pcore_wire_env *)m)->vars);
}

#define AT(member) offsetof(struct pcore_wire_env, member)
static const struct field env_fields[] = {
	{ .offset = AT(node_base), .kind = NUMBER, .max = 1 },
	{ .offset = AT(unset), .kind = WORDS, .max = UINT32_MAX },
	{ .offset = AT(vars), .kind = WORDS, .max = UINT32_MAX },
};
SHARED_FIELDS(env, REQUIRED(1, 1), check_env);
#undef AT

static bool check_limits(const struct pcore_wire_bytes *b)
{
	unsigned seen = 0;

	for (size_t i = 0; i < pcore_wire_limits(b); i++) {
		struct pcore_wire_limit l = pcore_wire_limit(b, i);

		if (l.resource < 0 || l.resource >= RLIMIT_NLIMITS || (seen & 1U << l.resource) || l.soft > l.hard)
			return false;
		seen |= 1U << l.resource;
	}
	return true;
}

static bool both_or_none(uint64_t has, unsigned a, unsigned b)
{
	return !(has & PCORE_WIRE_HAS(a)) == !(has & PCORE_WIRE_HAS(b));
}

/* Is each word "K=V" or "K!=V"? */
static bool are_conditions(struct pcore_wire_words w)
{
	const char *word, *equals;

	while ((word = pcore_wire_word(&w))) {
		equals = strchr(word, '=');
		if (!equals || equals == word || (equals == word + 1 && word[0] == '!'))
			return false;
	}
	return true;
}

static bool check_template(const void *m)
{
	const struct pcore_wire_template *t = m;
	bool worker = t->has & PCORE_WIRE_HAS(PCORE_WIRE_T_FORM);

	return (!t->dir || t->dir[0] == '/') && check_limits(&t->limits) && are_conditions(t->node_labels) &&
	       both_or_none(t->has, PCORE_WIRE_T_SCHED_POLICY, PCORE_WIRE_T_SCHED_PRIORITY) &&
	       (!worker || (t->has & PCORE_WIRE_HAS(PCORE_WIRE_T_WINDOW)));
}

#define AT(member) offsetof(struct pcore_wire_template, member)
static const struct field template_fields[] = {
	{ .offset = AT(env), .kind = NUMBER, .max = UINT32_MAX },
	{ .offset = AT(argv), .kind = ARGV },
	{ .offset = AT(file), .kind = TEXT, .min = 1, .max = UINT32_MAX },
	{ .offset = AT(dir), .kind = TEXT, .min = 1, .max = UINT32_MAX },
	{ .offset = AT(umask), .kind = NUMBER, .max = 0777 },
	{ .offset = AT(limits), .kind = BYTES, .max = (uint64_t)RLIMIT_NLIMITS * LIMIT_SIZE, .unit = LIMIT_SIZE },
	{ .offset = AT(affinity), .kind = BYTES, .min = 1, .max = CPUS_BYTES, .unit = 1 },
	{ .offset = AT(nice), .kind = SIGNED, .min = -40, .max = 40 },
	{ .offset = AT(sched_policy), .kind = NUMBER, .max = 7 },
	{ .offset = AT(sched_priority), .kind = NUMBER, .max = 99 },
	{ .offset = AT(ioprio), .kind = NUMBER, .max = UINT16_MAX },
	{ .offset = AT(oom_adj), .kind = SIGNED, .min = -1000, .max = 1000 },
	{ .offset = AT(uid), .kind = NUMBER, .max = UINT32_MAX - 1 },
	{ .offset = AT(gid), .kind = NUMBER, .max = UINT32_MAX - 1 },
	{ .offset = AT(groups), .kind = BYTES, .max = GROUPS_MAX * sizeof(uint32_t), .unit = sizeof(uint32_t) },
	{ .offset = AT(timeout), .kind = NUMBER, .max = WIRE_TIME_MAX },
	{ .offset = AT(signal), .kind = NUMBER, .min = 1, .max = WIRE_SIGNAL_MAX },
	{ .offset = AT(kill_after), .kind = NUMBER, .max = WIRE_TIME_MAX },
	{ .offset = AT(linger), .kind = NUMBER, .max = WIRE_TIME_MAX },
	{ .offset = AT(flags), .kind = NUMBER, .max = PCORE_WIRE_T_FLAGS_ALL },
	{ .offset = AT(sandbox), .kind = NUMBER, .max = 2 },
	{ .offset = AT(sandbox_flags), .kind = NUMBER, .max = PCORE_WIRE_SANDBOX_ALL },
	{ .offset = AT(ro), .kind = WORDS, .max = PATHS_MAX },
	{ .offset = AT(rw), .kind = WORDS, .max = PATHS_MAX },
	{ .offset = AT(drop_caps), .kind = NUMBER, .max = UINT64_MAX },
	{ .offset = AT(keep_caps), .kind = NUMBER, .max = UINT64_MAX },
	{ .offset = AT(memory_max), .kind = NUMBER, .min = 1, .max = UINT64_MAX },
	{ .offset = AT(tasks_max), .kind = NUMBER, .min = 1, .max = UINT64_MAX },
	{ .offset = AT(cpu_max), .kind = NUMBER, .min = 1, .max = UINT32_MAX },
	{ .offset = AT(io_weight), .kind = NUMBER, .min = 1, .max = 10000 },
	{ .offset = AT(max_output), .kind = NUMBER, .max = UINT64_MAX },
	{ .offset = AT(pipe_size), .kind = NUMBER, .max = WIRE_PID_MAX },
	{ .offset = AT(cpus), .kind = NUMBER, .max = UINT32_MAX },
	{ .offset = AT(memory), .kind = NUMBER, .max = UINT64_MAX },
	{ .offset = AT(resources), .kind = LIST, .element = &wire_resource },
	{ .offset = AT(form), .kind = NUMBER, .max = 2 },
	{ .offset = AT(lines), .kind = NUMBER, .max = UINT64_MAX },
	{ .offset = AT(until), .kind = BYTES, .max = UINT32_MAX, .unit = 1 },
	{ .offset = AT(init), .kind = BYTES, .max = UINT32_MAX, .unit = 1 },
	{ .offset = AT(window), .kind = NUMBER, .min = 1, .max = UINT32_MAX },
	{ .offset = AT(items_max), .kind = NUMBER, .max = UINT64_MAX },
	{ .offset = AT(idle_timeout), .kind = NUMBER, .max = WIRE_TIME_MAX },
	{ .offset = AT(answer_timeout), .kind = NUMBER, .max = WIRE_TIME_MAX },
	{ .offset = AT(slow_after), .kind = NUMBER, .max = WIRE_TIME_MAX },
	{ .offset = AT(node_labels), .kind = WORDS, .max = PATHS_MAX },
	{ .offset = AT(node), .kind = TEXT, .min = 1, .max = PCORE_WIRE_NAME_MAX + 1 },
	{ .offset = AT(exclusive), .kind = NUMBER, .max = 1 },
};
SHARED_FIELDS(template, REQUIRED(1, 2), check_template);
#undef AT

#define AT(member) offsetof(struct pcore_wire_shutdown, member)
static const struct field shutdown_fields[] = {
	{ .offset = AT(how), .kind = NUMBER, .max = PCORE_WIRE_KILL_IT },
};
FIELDS(shutdown, REQUIRED(1, 1), NULL);
#undef AT

static bool check_control(const void *m)
{
	const struct pcore_wire_control *c = m;

	return (c->what == PCORE_WIRE_CPUS) == !!(c->has & PCORE_WIRE_HAS(PCORE_WIRE_CONTROL_N));
}

#define AT(member) offsetof(struct pcore_wire_control, member)
static const struct field control_fields[] = {
	{ .offset = AT(what), .kind = NUMBER, .min = PCORE_WIRE_START, .max = PCORE_WIRE_QUIT },
	{ .offset = AT(n), .kind = SIGNED, .min = -INT64_C(65536), .max = 65536 },
};
FIELDS(control, REQUIRED(1, 1), check_control);
#undef AT

static bool check_worker(const void *m)
{
	const struct pcore_wire_worker *w = m;

	return both_or_none(w->has, PCORE_WIRE_WORKER_CODE, PCORE_WIRE_WORKER_STATUS) && wire_is_exit(w->code, w->status);
}

#define AT(member) offsetof(struct pcore_wire_worker, member)
static const struct field worker_fields[] = {
	{ .offset = AT(template), .kind = NUMBER, .max = UINT32_MAX },
	{ .offset = AT(slot), .kind = NUMBER, .max = UINT16_MAX },
	{ .offset = AT(event), .kind = NUMBER, .max = PCORE_WIRE_WORKERS_GONE },
	{ .offset = AT(pid), .kind = NUMBER, .max = WIRE_PID_MAX },
	{ .offset = AT(job), .kind = NUMBER, .max = WIRE_TIME_MAX },
	{ .offset = AT(attempt), .kind = NUMBER, .max = UINT32_MAX },
	{ .offset = AT(seq), .kind = NUMBER, .max = UINT64_MAX },
	{ .offset = AT(code), .kind = NUMBER, .max = CLD_DUMPED },
	{ .offset = AT(status), .kind = NUMBER, .max = 255 },
};
FIELDS(worker, REQUIRED(1, 3), check_worker);
#undef AT

#define AT(member) offsetof(struct pcore_wire_job, member)
static const struct field job_fields[] = {
	{ .offset = AT(job), .kind = NUMBER, .max = WIRE_TIME_MAX },
	{ .offset = AT(attempt), .kind = NUMBER, .max = UINT32_MAX },
	{ .offset = AT(seq), .kind = NUMBER, .max = UINT64_MAX },
	{ .offset = AT(pid), .kind = NUMBER, .max = WIRE_PID_MAX },
	{ .offset = AT(start_ns), .kind = NUMBER, .max = WIRE_TIME_MAX },
	{ .offset = AT(argv), .kind = WORDS, .max = UINT32_MAX },
};
FIELDS(job, REQUIRED(1, 5), NULL);
#undef AT

#define AT(member) offsetof(struct pcore_wire_status, member)
static const struct field status_fields[] = {
	{ .offset = AT(name), .kind = TEXT, .min = 1, .max = PCORE_WIRE_NAME_MAX + 1 },
	{ .offset = AT(software), .kind = TEXT, .max = UINT32_MAX },
	{ .offset = AT(state), .kind = NUMBER, .max = PCORE_WIRE_STATES - 1 },
	{ .offset = AT(start_ns), .kind = NUMBER, .max = WIRE_TIME_MAX },
	{ .offset = AT(cpus), .kind = NUMBER, .max = UINT32_MAX },
	{ .offset = AT(cpus_here), .kind = NUMBER, .max = UINT32_MAX },
	{ .offset = AT(memory), .kind = NUMBER, .max = UINT64_MAX },
	{ .offset = AT(queued), .kind = NUMBER, .max = UINT64_MAX },
	{ .offset = AT(running), .kind = NUMBER, .max = UINT64_MAX },
	{ .offset = AT(succeeded), .kind = NUMBER, .max = UINT64_MAX },
	{ .offset = AT(failed), .kind = NUMBER, .max = UINT64_MAX },
	{ .offset = AT(cpu_ns), .kind = NUMBER, .max = WIRE_TIME_MAX },
	{ .offset = AT(scheduler), .kind = TEXT, .max = UINT32_MAX },
	{ .offset = AT(jobs), .kind = LIST, .element = &job },
};
FIELDS(status, REQUIRED(1, 12), NULL);
#undef AT

int pcore_wire_put_answer(struct pcore_buf *b, const struct pcore_wire_answer *m)
{
	return wire_put(b, PCORE_WIRE_ANSWER, &answer, m);
}

int pcore_wire_put_node(struct pcore_buf *b, const struct pcore_wire_node *m)
{
	return wire_put(b, PCORE_WIRE_NODE, &node, m);
}

int pcore_wire_put_env(struct pcore_buf *b, const struct pcore_wire_env *m)
{
	return wire_put(b, PCORE_WIRE_ENV, &wire_env, m);
}

int pcore_wire_put_template(struct pcore_buf *b, const struct pcore_wire_template *m)
{
	return wire_put(b, PCORE_WIRE_TEMPLATE, &wire_template, m);
}

int pcore_wire_put_shutdown(struct pcore_buf *b, const struct pcore_wire_shutdown *m)
{
	return wire_put(b, PCORE_WIRE_SHUTDOWN, &shutdown, m);
}

int pcore_wire_put_control(struct pcore_buf *b, const struct pcore_wire_control *m)
{
	return wire_put(b, PCORE_WIRE_CONTROL, &control, m);
}

int pcore_wire_put_worker(struct pcore_buf *b, const struct pcore_wire_worker *m)
{
	return wire_put(b, PCORE_WIRE_WORKER, &worker, m);
}

int pcore_wire_put_status(struct pcore_buf *b, const struct pcore_wire_status *m)
{
	return wire_put(b, PCORE_WIRE_STATUS, &status, m);
}

int pcore_wire_get_answer(const struct pcore_wire_frame *f, struct pcore_wire_answer *ret)
{
	return wire_get(&answer, f, ret, sizeof(*ret));
}

int pcore_wire_get_node(const struct pcore_wire_frame *f, struct pcore_wire_node *ret)
{
	return wire_get(&node, f, ret, sizeof(*ret));
}

/* The number of an environment or a template. */
static bool is_number(const struct pcore_wire_frame *f)
{
	return f->id <= UINT32_MAX;
}

int pcore_wire_get_env(const struct pcore_wire_frame *f, struct pcore_wire_env *ret)
{
	return is_number(f) ? wire_get(&wire_env, f, ret, sizeof(*ret)) : -EPROTO;
}

int pcore_wire_get_template(const struct pcore_wire_frame *f, struct pcore_wire_template *ret)
{
	return is_number(f) ? wire_get(&wire_template, f, ret, sizeof(*ret)) : -EPROTO;
}

int pcore_wire_get_shutdown(const struct pcore_wire_frame *f, struct pcore_wire_shutdown *ret)
{
	return wire_get(&shutdown, f, ret, sizeof(*ret));
}

int pcore_wire_get_control(const struct pcore_wire_frame *f, struct pcore_wire_control *ret)
{
	return wire_get(&control, f, ret, sizeof(*ret));
}

int pcore_wire_get_worker(const struct pcore_wire_frame *f, struct pcore_wire_worker *ret)
{
	return wire_get(&worker, f, ret, sizeof(*ret));
}

int pcore_wire_get_status(const struct pcore_wire_frame *f, struct pcore_wire_status *ret)
{
	return wire_get(&status, f, ret, sizeof(*ret));
}

int pcore_wire_add_resource(struct pcore_buf *b, const struct pcore_wire_resource *m)
{
	return add_element(b, &wire_resource, m);
}

int pcore_wire_add_job(struct pcore_buf *b, const struct pcore_wire_job *m)
{
	return add_element(b, &job, m);
}

bool pcore_wire_next_resource(struct pcore_wire_list *list, struct pcore_wire_resource *ret)
{
	return next_element(&wire_resource, list, ret, sizeof(*ret));
}

bool pcore_wire_next_job(struct pcore_wire_list *list, struct pcore_wire_job *ret)
{
	return next_element(&job, list, ret, sizeof(*ret));
}

