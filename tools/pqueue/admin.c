/* SPDX-License-Identifier: MIT */
/*
 * admin.c - queues as a whole: made, looked at, waited for, closed, removed.
 */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/cli/rundir.h"
#include "tools/pqueue/pqueue.h"

static const char *const orders[] = { [PCORE_FIFO] = "fifo", [PCORE_LIFO] = "lifo", [PCORE_PRIORITY] = "priority" };

int pqueue_create(struct pqueue_opts *o)
{
	struct pqueue_place place;
	int r = pqueue_locate(o->name, "queues", &place), error;

	if (r != CLI_GO)
		return r;

	error = pcore_queue_create(place.dir, place.path, &o->spec);
	pqueue_place_done(&place);
	if (error == -EEXIST) {
		(void)cli_error("the queue '%s' exists", o->name);
		return CLI_NO;
	}
	if (error == -EINVAL)
		return cli_usage("--max, --max-bytes and --max-item do not go together: an item is at most as large as all of them");
	if (error == -EOVERFLOW)
		return cli_usage("--max or --max-bytes is more than a queue in memory can hold: lower it, or use --durable");
	if (error == -EOPNOTSUPP)
		return pqueue_error("create", o->name, error);
	return error < 0 ? cli_error("cannot create '%s': %s", o->name, strerror(-error)) : CLI_OK;
}

static int print_buf(struct pcore_buf *b, int error)
{
	int r = error < 0 ? cli_error("out of memory") : pqueue_output_bytes(STDOUT_FILENO, b->data, b->len);

	pcore_buf_done(b);
	return r == CLI_GO ? CLI_OK : r;
}

static int look(const struct pqueue_opts *o, struct pcore_queue_state *ret)
{
	struct pcore_queue *q = NULL;
	int r = pqueue_open(o, false, &q), error;

	if (r != CLI_GO)
		return r;

	error = pcore_queue_state(q, ret);
	pcore_queue_free(q);
	return error < 0 ? pqueue_error("look at", o->name, error) : CLI_GO;
}

int pqueue_len(struct pqueue_opts *o)
{
	struct pcore_buf b = PCORE_BUF_INIT(0);
	struct pcore_queue_state stat;
	int r = look(o, &stat);

	return r == CLI_GO ? print_buf(&b, pcore_buf_addf(&b, "%" PRIu64 "\n", stat.ready)) : r;
}

struct figure {
	const char *name;
	uint64_t value;
	bool limit; /* 0: there is none */
};

static int print_figure(struct pcore_buf *b, const struct figure *f)
{
	if (f->limit && f->value == 0)
		return pcore_buf_addf(b, "%s none\n", f->name);
	return pcore_buf_addf(b, "%s %" PRIu64 "\n", f->name, f->value);
}

static void figure_member(struct pcore_json *j, const struct figure *f)
{
	pcore_json_key(j, f->name);
	if (f->limit && f->value == 0)
		pcore_json_null(j);
	else
		pcore_json_u64(j, f->value);
}

static double a_second(uint64_t n, int64_t age_ns)
{
	return age_ns > 0 ? (double)n * (double)NS_PER_S / (double)age_ns : 0;
}

static int print_stat(const struct pqueue_opts *o, const struct pcore_queue_state *s)
{
	const struct figure figures[] = {
		{ "ready", s->ready, false },
		{ "leased", s->leased, false },
		{ "delayed", s->delayed, false },
		{ "dead", s->dead, false },
		{ "bytes", s->bytes, false },
		{ "puts", s->puts, false },
		{ "gets", s->gets, false },
		{ "acks", s->acks, false },
		{ "returns", s->returns, false },
		{ "recoveries", s->recoveries, false },
		{ "max", s->spec.max_items, true },
		{ "max_bytes", s->spec.max_bytes, true },
		{ "max_item", s->spec.max_item, true },
	};
	struct pcore_buf b = PCORE_BUF_INIT(0);
	struct pcore_json j = PCORE_JSON_INIT(&b);
	int r = 0;

	if (!o->json) {
		r = pcore_buf_addf(&b, "name %s\nstate %s\norder %s\ndurability %s\n", o->name, s->closed ? "closed" : "open",
			orders[s->spec.order], s->durability);
		for (size_t i = 0; i < ARRAY_SIZE(figures) && r == 0; i++)
			r = print_figure(&b, &figures[i]);
		if (r == 0)
			r = pcore_buf_addf(&b, "puts_per_s %.1f\ngets_per_s %.1f\n", a_second(s->puts, s->age_ns),
				a_second(s->gets, s->age_ns));
		return print_buf(&b, r);
	}
	pcore_json_object(&j);
	pcore_json_key(&j, "name");
	pcore_json_str(&j, o->name);
	pcore_json_key(&j, "state");
	pcore_json_str(&j, s->closed ? "closed" : "open");
	pcore_json_key(&j, "order");
	pcore_json_str(&j, orders[s->spec.order]);
	pcore_json_key(&j, "durability");
	pcore_json_str(&j, s->durability);
	for (size_t i = 0; i < ARRAY_SIZE(figures); i++)
		figure_member(&j, &figures[i]);
	pcore_json_key(&j, "age_s");
	pcore_json_seconds(&j, s->age_ns);
	pcore_json_key(&j, "puts_per_s");
	pcore_json_seconds(&j, (int64_t)(a_second(s->puts, s->age_ns) * (double)NS_PER_S));
	pcore_json_key(&j, "gets_per_s");
	pcore_json_seconds(&j, (int64_t)(a_second(s->gets, s->age_ns) * (double)NS_PER_S));
	pcore_json_object_end(&j);
	return print_buf(&b, j.error < 0 ? j.error : pcore_buf_addc(&b, '\n'));
}

int pqueue_stat(struct pqueue_opts *o)
{
	struct pcore_queue_state stat;
	int r = look(o, &stat);

	return r == CLI_GO ? print_stat(o, &stat) : r;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

struct names {
	char **at;
	size_t n;
};

static void names_done(struct names *names)
{
	while (names->n > 0)
		free(names->at[--names->n]);
	free(names->at);
}

/* The names in a directory, sorted. 0 or -ENOMEM. */
static int read_names(DIR *dir, struct names *names)
{
	for (struct dirent *e = readdir(dir); e; e = readdir(dir)) {
		char **more;

		if (!cli_is_name(e->d_name))
			continue;
		more = reallocarray(names->at, names->n + 1, sizeof(*more));
		if (!more)
			return -ENOMEM;
		names->at = more;
		names->at[names->n] = strdup(e->d_name);
		if (!names->at[names->n])
			return -ENOMEM;
		names->n++;
	}
	if (names->n > 0)
		qsort(names->at, names->n, sizeof(*names->at), by_name);
	return 0;
}

static int list_one(int dir, const char *name, struct pcore_buf *b)
{
	struct pcore_queue *q = NULL;
	struct pcore_queue_state s;
	int r = pcore_queue_open_at(&q, dir, name, NULL);

	if (r == 0) {
		pqueue_tell_found(name, q);
		r = pcore_queue_state(q, &s);
	}
	pcore_queue_free(q);
	if (r == -ENOENT) /* removed meanwhile */
		return 0;
	if (r < 0)
		return pcore_buf_addf(b, "%s\t-\t-\t-\t-\tdamaged\t-\n", name);
	return pcore_buf_addf(b, "%s\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%s\t%s\n", name, s.ready, s.leased,
		s.delayed, s.dead, s.closed ? "closed" : "open", s.durability);
}

int pqueue_list(struct pqueue_opts *o)
{
	struct pcore_buf b = PCORE_BUF_INIT(0);
	struct names names = { .n = 0 };
	int fd = cli_rundir_open("queues"), r;
	DIR *dir;

	(void)o;
	if (fd < 0)
		return CLI_FAILURE;
	dir = fdopendir(fd);
	if (!dir) {
		(void)pcore_fd_close(fd);
		return cli_error("out of memory");
	}
	r = read_names(dir, &names);
	for (size_t i = 0; i < names.n && r == 0; i++)
		r = list_one(fd, names.at[i], &b);
	names_done(&names);
	(void)closedir(dir);
	return print_buf(&b, r);
}

int pqueue_join(struct pqueue_opts *o)
{
	struct pcore_queue *q = NULL;
	int r = pqueue_open(o, false, &q), error;

	if (r != CLI_GO)
		return r;

	error = pcore_queue_join_until(q, pcore_queue_deadline(o->timeout));
	pcore_queue_free(q);
	if (error == -ETIMEDOUT)
		return CLI_TIMEOUT;
	return error < 0 ? pqueue_error("wait for", o->name, error) : CLI_OK;
}

int pqueue_close(struct pqueue_opts *o)
{
	struct pcore_queue *q = NULL;
	int r = pqueue_open(o, false, &q), error;

	if (r != CLI_GO)
		return r;

	error = pcore_queue_close(q, o->now);
	pcore_queue_free(q);
	return error < 0 ? pqueue_error("close", o->name, error) : CLI_OK;
}

/* Whatever it is, in the directory of the queues it is of no other use. A path may be that of anything, and in a directory
 * there are items that can be saved. */
static int remove_what_is_none(const struct pqueue_place *place)
{
	struct stat st;

	if (place->dir == AT_FDCWD || fstatat(place->dir, place->path, &st, AT_SYMLINK_NOFOLLOW) < 0 || S_ISDIR(st.st_mode))
		return -EBADMSG;
	return unlinkat(place->dir, place->path, 0) < 0 ? -errno : 0;
}

int pqueue_rm(struct pqueue_opts *o)
{
	struct pqueue_place place;
	int r = pqueue_locate(o->name, "queues", &place), error;

	if (r != CLI_GO)
		return r;

	error = pcore_queue_remove_at(place.dir, place.path);
	if (error == -EBADMSG || error == -EPROTONOSUPPORT)
		error = remove_what_is_none(&place) == 0 ? 0 : error;
	pqueue_place_done(&place);
	return error < 0 ? pqueue_error("remove", o->name, error) : CLI_OK;
}

/* ---- repair ---- */

static int print_repaired(const struct pqueue_opts *o, const struct pcore_queue_repaired *r)
{
	const struct figure figures[] = {
		{ "items", r->items, false },
		{ "records", r->records, false },
		{ "missing", r->missing, false },
		{ "bad_bytes", r->bad_bytes, false },
		{ "bad_places", r->bad_places, false },
	};
	struct pcore_buf b = PCORE_BUF_INIT(0);
	struct pcore_json j = PCORE_JSON_INIT(&b);
	int error = 0;

	if (!o->json) {
		for (size_t i = 0; i < ARRAY_SIZE(figures) && error == 0; i++)
			error = print_figure(&b, &figures[i]);
		return print_buf(&b, error);
	}
	pcore_json_object(&j);
	for (size_t i = 0; i < ARRAY_SIZE(figures); i++)
		figure_member(&j, &figures[i]);
	pcore_json_object_end(&j);
	return print_buf(&b, j.error < 0 ? j.error : pcore_buf_addc(&b, '\n'));
}

int pqueue_repair(struct pqueue_opts *o)
{
	struct pqueue_place from, to;
	struct pcore_queue_repaired repaired;
	int r = pqueue_locate(o->name, "queues", &from), error;

	if (r == CLI_GO)
		r = pqueue_locate(o->copy_to, "queues", &to);
	if (r != CLI_GO)
		return r; /* what is open ends with us */

	error = pcore_queue_repair(from.dir, from.path, to.dir, to.path, &repaired);
	pqueue_place_done(&from);
	pqueue_place_done(&to);
	if (error == -EEXIST) {
		(void)cli_error("cannot copy to '%s': it exists", o->copy_to);
		return CLI_NO;
	}
	return error < 0 ? pqueue_error("repair", o->name, error) : print_repaired(o, &repaired);
}
