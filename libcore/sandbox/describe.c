/* SPDX-License-Identifier: MIT */
/*
 * describe.c - what a sandbox amounts to, for people and for programs.
 */
#include "libcore/sandbox/private.h"

#include <sched.h>
#include <string.h>

/* One of the two is used. */
struct writer {
	struct pcore_buf *text;
	struct pcore_json *json;
	int error;
	bool first; /* word of a list */
};

static void put(struct writer *w, const char *s)
{
	if (w->error == 0)
		w->error = pcore_buf_adds(w->text, s);
}

static void key(struct writer *w, const char *name)
{
	if (w->json) {
		pcore_json_key(w->json, name);
		return;
	}
	for (; *name; name++) {
		const char c[2] = { *name == '_' ? ' ' : *name, '\0' };

		put(w, c);
	}
	put(w, ":");
}

static void line_end(struct writer *w)
{
	if (!w->json)
		put(w, "\n");
}

static void word(struct writer *w, const char *s)
{
	char escaped[4096];

	if (w->json) {
		pcore_json_str(w->json, s);
		return;
	}
	(void)pcore_escape(escaped, sizeof(escaped), s, strlen(s));
	put(w, w->first ? " " : ", ");
	put(w, escaped);
	w->first = false;
}

static void list(struct writer *w, const char *name)
{
	key(w, name);
	w->first = true;
	if (w->json)
		pcore_json_array(w->json);
}

static void list_end(struct writer *w)
{
	if (w->json)
		pcore_json_array_end(w->json);
	else if (w->first)
		put(w, " none");
	line_end(w);
}

static void number(struct writer *w, const char *name, unsigned long v)
{
	key(w, name);
	if (w->json)
		pcore_json_u64(w->json, v);
	else if (w->error == 0)
		w->error = pcore_buf_addf(w->text, " %lu", v);
	line_end(w);
}

static void yes_no(struct writer *w, const char *name, bool v)
{
	key(w, name);
	if (w->json)
		pcore_json_bool(w->json, v);
	else
		put(w, v ? " yes" : " no");
	line_end(w);
}

static void caps(struct writer *w, const char *name, uint64_t set)
{
	list(w, name);
	for (unsigned i = 0; i < 64; i++)
		if ((set >> i & 1) && pcore_cap_name(i))
			word(w, pcore_cap_name(i));
	list_end(w);
}

static void namespaces(struct writer *w, const struct pcore_sandbox *b)
{
	static const struct {
		unsigned long flag;
		const char *name;
	} kinds[] = {
		{ CLONE_NEWIPC, "ipc" },
		{ CLONE_NEWNET, "network" },
		{ CLONE_NEWNS, "mount" },
		{ CLONE_NEWUTS, "uts" },
	};

	list(w, "namespaces");
	if (b->tree_namespaces)
		word(w, "pid");
	if (b->user_namespace)
		word(w, "user");
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if ((b->tree_namespaces | b->child_namespaces) & kinds[i].flag)
			word(w, kinds[i].name);
	list_end(w);
}

static void fresh(struct writer *w, const struct pcore_sandbox *b)
{
	list(w, "private");
	for (size_t i = 0; i < b->n_fresh; i++)
		word(w, b->fresh[i].target);
	list_end(w);
}

static void paths(struct writer *w, const struct pcore_sandbox *b, bool writable)
{
	list(w, writable ? "read_write" : "read_only");
	if (!writable)
		word(w, "system");
	for (size_t i = 0; i < b->n_paths; i++)
		if (b->paths[i].writable == writable)
			word(w, b->paths[i].path);
	list_end(w);
}

static void describe(struct writer *w, const struct pcore_sandbox *b)
{
	key(w, "sandbox");
	w->first = true;
	word(w, pcore_sandbox_level_name(b->level));
	line_end(w);
	yes_no(w, "no_new_privileges", b->no_new_privs);
	if (b->set_caps) {
		caps(w, "capabilities", b->keep_caps);
		caps(w, "bounding_set", b->bounding);
	}
	number(w, "system_call_filter_instructions", b->filter.len);
	yes_no(w, "io_uring", b->allow_io_uring);
	yes_no(w, "network", b->allow_net);
	namespaces(w, b);
	yes_no(w, "read_only_mounts", b->read_only);
	fresh(w, b);
	number(w, "landlock_version", (unsigned long)b->landlock_abi);
	if (b->landlock_abi) {
		paths(w, b, false);
		paths(w, b, true);
		yes_no(w, "abstract_sockets_scoped", b->landlock_abi >= 6 || !b->allow_net);
	}
	yes_no(w, "core_dumps", !b->no_core);
}

int pcore_sandbox_describe(const struct pcore_sandbox *b, struct pcore_buf *out)
{
	struct writer w = { .text = out };

	assert(b);

	describe(&w, b);
	return w.error;
}

int pcore_sandbox_describe_json(const struct pcore_sandbox *b, struct pcore_buf *out)
{
	struct pcore_json json = PCORE_JSON_INIT(out);
	struct writer w = { .json = &json };

	assert(b);

	pcore_json_object(&json);
	describe(&w, b);
	pcore_json_object_end(&json);
	return json.error;
}
