/* SPDX-License-Identifier: MIT */
/*
 * thread.c - a named thread that is started once and joined by whoever wants to know how it ended.
 *
 * The handle and the thread each hold a reference; the last one to go clears away. The pthread is detached: what a joiner
 * waits for is the note that the function has returned.
 */
#include <unistd.h>

#include "libcore/thread/private.h"

enum { COMM_MAX = 16 };
enum thread_state { THREAD_NEW, THREAD_STARTING, THREAD_RUNNING, THREAD_ENDED };

struct pcore_thread {
	struct pcore_thread_spec spec;
	char *name;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	enum thread_state state; /* these are under the lock */
	pid_t id;
	int64_t result;
	unsigned refs;
};

static void unref(struct pcore_thread *t)
{
	bool last;

	(void)pthread_mutex_lock(&t->lock);
	last = --t->refs == 0;
	(void)pthread_mutex_unlock(&t->lock);
	if (!last)
		return;
	(void)pthread_cond_destroy(&t->changed);
	(void)pthread_mutex_destroy(&t->lock);
	free(t->name);
	free(t);
}

static void enter(struct pcore_thread *t, enum thread_state state)
{
	(void)pthread_mutex_lock(&t->lock);
	t->state = state;
	t->id = gettid();
	(void)pthread_cond_broadcast(&t->changed);
	(void)pthread_mutex_unlock(&t->lock);
}

static void *run(void *arg)
{
	struct pcore_thread *t = arg;
	char comm[COMM_MAX] = "";

	if (t->name) {
		memcpy(comm, t->name, strnlen(t->name, COMM_MAX - 1));
		(void)pthread_setname_np(pthread_self(), comm);
	}
	enter(t, THREAD_RUNNING);
	t->result = t->spec.fn(t->spec.arg);
	enter(t, THREAD_ENDED);
	unref(t);
	return NULL;
}

int pcore_thread_new(struct pcore_thread **ret, const struct pcore_thread_spec *spec)
{
	struct pcore_thread *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return -ENOMEM;

	r = pcore_sized_in(&t->spec, sizeof(t->spec), spec);
	if (r == 0 && !t->spec.fn)
		r = -EINVAL;
	if (r == 0 && t->spec.name && !(t->name = strdup(t->spec.name)))
		r = -ENOMEM;
	if (r < 0) {
		free(t);
		return r;
	}
	(void)pthread_mutex_init(&t->lock, NULL);
	(void)pthread_cond_init(&t->changed, NULL);
	t->refs = 1;
	*ret = t;
	return 0;
}

void pcore_thread_free(struct pcore_thread *t)
{
	if (t)
		unref(t);
}

static int create(struct pcore_thread *t)
{
	pthread_attr_t attr;
	pthread_t id;
	int r = pthread_attr_init(&attr);

	if (r != 0)
		return -r;
	r = pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	if (r == 0 && t->spec.stack_size > 0)
		r = pthread_attr_setstacksize(&attr, t->spec.stack_size);
	if (r == 0)
		r = pthread_create(&id, &attr, run, t);
	(void)pthread_attr_destroy(&attr);
	return -r;
}

int pcore_thread_start(struct pcore_thread *t)
{
	int r;

	(void)pthread_mutex_lock(&t->lock);
	r = t->state == THREAD_NEW ? 0 : -EALREADY;
	if (r == 0) {
		t->state = THREAD_STARTING;
		t->refs++;
		r = create(t);
		if (r < 0) {
			t->state = THREAD_NEW;
			t->refs--;
		}
		while (r == 0 && t->state == THREAD_STARTING)
			(void)pthread_cond_wait(&t->changed, &t->lock);
	}
	(void)pthread_mutex_unlock(&t->lock);
	return r;
}

int pcore_thread_join(struct pcore_thread *t, int64_t timeout, int64_t *ret)
{
	int64_t deadline = deadline_of(timeout);
	int r = 0;

	(void)pthread_mutex_lock(&t->lock);
	if (t->state == THREAD_NEW)
		r = EINVAL;
	else if (t->state == THREAD_RUNNING && t->id == gettid())
		r = EDEADLK;
	while (r == 0 && t->state != THREAD_ENDED)
		r = wait_until(&t->changed, &t->lock, deadline);
	if (t->state == THREAD_ENDED)
		r = 0;
	if (r == 0 && ret)
		*ret = t->result;
	(void)pthread_mutex_unlock(&t->lock);
	return -r;
}

int pcore_thread_alive(const struct pcore_thread *t)
{
	struct pcore_thread *open = (struct pcore_thread *)(uintptr_t)t;
	int alive;

	(void)pthread_mutex_lock(&open->lock);
	alive = t->state == THREAD_STARTING || t->state == THREAD_RUNNING;
	(void)pthread_mutex_unlock(&open->lock);
	return alive;
}

pid_t pcore_thread_id(const struct pcore_thread *t)
{
	struct pcore_thread *open = (struct pcore_thread *)(uintptr_t)t;
	pid_t id;

	(void)pthread_mutex_lock(&open->lock);
	id = t->id;
	(void)pthread_mutex_unlock(&open->lock);
	return id;
}

const char *pcore_thread_name(const struct pcore_thread *t)
{
	return t->name ? t->name : "";
}
