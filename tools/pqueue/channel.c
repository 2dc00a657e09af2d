/* SPDX-License-Identifier: MIT */
/*
 * channel.c - the ends of a channel: one that sends, one that receives, one that does both for a command.
 */
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "libcore/proc/proc.h"
#include "tools/cli/jobopts.h"
#include "tools/pqueue/pqueue.h"

static int channel_error(const char *name, int error)
{
	switch (error) {
	case -EBUSY:
		(void)cli_error("both ends of the channel '%s' are taken", name);
		return CLI_BUSY;
	case -EAGAIN:
		return CLI_NO;
	case -ETIMEDOUT:
		return CLI_TIMEOUT;
	case -EPIPE:
		(void)cli_error("the other end of the channel '%s' takes nothing more", name);
		return CLI_DRAINED;
	case -EBADMSG:
		(void)cli_error("the channel '%s' ended in the middle of a message", name);
		return CLI_CORRUPT;
	case -EMSGSIZE:
		(void)cli_error("a message in the channel '%s' is too long", name);
		return CLI_NO;
	default:
		return cli_error("cannot use the channel '%s': %s", name, strerror(-error));
	}
}

static int open_end(const struct pqueue_opts *o, enum pcore_channel_mode mode, int64_t deadline_ns, struct pcore_channel **ret)
{
	struct pqueue_place place;
	int r = pqueue_locate(o->name, "channels", &place), error;

	if (r != CLI_GO)
		return r;

	error = pcore_channel_open_at(ret, place.dir, place.path, mode, deadline_ns);
	pqueue_place_done(&place);
	return error < 0 ? channel_error(o->name, error) : CLI_GO;
}

/* ---- one direction ---- */

enum { AT_ONCE = 256 };

/* What comes from fd goes out, a message for each item. */
static int send_input(const struct pqueue_opts *o, struct pcore_channel *c, int fd)
{
	struct pcore_item items[AT_ONCE];
	struct pqueue_input in;
	ssize_t n = 0;
	int r = CLI_GO, error = 0;

	pqueue_input_init(&in, o, fd, UINT32_MAX);
	while (error == 0 && (n = pqueue_input_next(&in, items, AT_ONCE)) > 0)
		for (ssize_t i = 0; i < n && error == 0; i++)
			error = pcore_channel_send_until(c, items[i].data, items[i].len, NULL, 0, INT64_MAX);
	if (error < 0)
		r = channel_error(o->name, error);
	else if (n < 0)
		r = n == -EBADMSG ? (cli_error("the input ends inside message %" PRIu64, in.count + 1), CLI_CORRUPT) :
				    cli_error("cannot read the input: %s", strerror((int)-n));
	pqueue_input_done(&in);
	return r;
}

/* Print up to `left' messages: CLI_GO at the end, CLI_DRAINED when it came before any or before the last. */
static int print_messages(const struct pqueue_opts *o, struct pcore_channel *c, struct pqueue_output *out)
{
	struct pcore_buf buf = PCORE_BUF_INIT(0);
	uint64_t n = 0;
	int r = CLI_GO, got = 1;

	for (; n < o->count && r == CLI_GO; n++) {
		struct pcore_item item = { 0 };

		pcore_buf_clear(&buf);
		got = pcore_channel_recv_until(c, &buf, o->max, NULL, NULL, o->poll < 0 ? INT64_MAX : pcore_queue_deadline(o->poll));
		if (got <= 0)
			break;
		item.len = buf.len;
		if (pcore_buf_addc(&buf, '\n') < 0) { /* the place of the delimiter */
			r = cli_error("out of memory");
			break;
		}
		item.data = buf.data;
		r = pqueue_output_items(out, &buf, 0, &item, 1, false);
	}
	pcore_buf_done(&buf);
	if (r != CLI_GO)
		return r;
	if (got < 0)
		return channel_error(o->name, got);
	return got == 0 && (n == 0 || o->count != UINT64_MAX) ? CLI_DRAINED : CLI_GO;
}

int pqueue_send(struct pqueue_opts *o)
{
	struct pcore_channel *c = NULL;
	int r = open_end(o, PCORE_CHANNEL_SEND, pcore_queue_deadline(o->timeout), &c), error = 0;

	if (r == CLI_GO && o->n_words == 0)
		r = send_input(o, c, STDIN_FILENO);
	for (size_t i = 0; i < o->n_words && r == CLI_GO; i++) {
		error = pcore_channel_send_until(c, o->words[i], strlen(o->words[i]), NULL, 0, INT64_MAX);
		r = error < 0 ? channel_error(o->name, error) : CLI_GO;
	}
	pcore_channel_free(c);
	return r == CLI_GO ? CLI_OK : r;
}

int pqueue_recv(struct pqueue_opts *o)
{
	struct pcore_channel *c = NULL;
	struct pqueue_output out;
	int r;

	pqueue_output_init(&out, o);
	r = open_end(o, PCORE_CHANNEL_RECV, o->poll < 0 ? INT64_MAX : pcore_queue_deadline(o->poll), &c);
	if (r == CLI_GO)
		r = print_messages(o, c, &out);
	pcore_channel_free(c);
	pqueue_output_done(&out);
	return r == CLI_GO ? CLI_OK : r;
}

/* ---- both ---- */

struct bridge {
	const struct pqueue_opts *o;
	struct pcore_channel *channel;
	struct pqueue_output out;
	int in; /* what is sent */
	int sent, received; /* how it ended, CLI_GO if well */
	pthread_t sender, receiver;

	struct pcore_loop *loop; /* with a command */
	struct pcore_keeper *keeper;
	struct pcore_tree *tree;
	struct pcore_proc proc;
};

static void *send_thread(void *arg)
{
	struct bridge *b = arg;

	b->sent = send_input(b->o, b->channel, b->in);
	(void)pcore_channel_finish(b->channel);
	return NULL;
}

static int receive(struct bridge *b)
{
	int r = print_messages(b->o, b->channel, &b->out);

	return r == CLI_DRAINED ? CLI_GO : r; /* here nothing is asked for */
}

static void *receive_thread(void *arg)
{
	struct bridge *b = arg;

	b->received = receive(b);
	b->out.fd = pcore_fd_close(b->out.fd); /* the command's standard input ends */
	return NULL;
}

/* That the other end sends no more is not the end: it may still receive. Once it is closed the sender is not waited for,
 * because standard input may never end. */
static int bridge_stdio(struct bridge *b)
{
	int r = -pthread_create(&b->sender, NULL, send_thread, b);

	if (r < 0)
		return cli_error("cannot start a thread: %s", strerror(-r));
	b->received = receive(b);
	if (b->received == CLI_GO)
		(void)pcore_channel_join_until(b->channel, INT64_MAX);
	if (b->received == CLI_GO && pthread_tryjoin_np(b->sender, NULL) == 0)
		return b->sent;
	return b->received;
}

static void proc_event(struct pcore_proc *p, enum pcore_proc_event ev)
{
	(void)p;
	(void)ev; /* the loop ends when nothing of it is left */
}

static int start_command(struct bridge *b)
{
	struct pcore_proc_fd fds[] = { { .target = 0, .source = PCORE_FD_PIPE_IN }, { .target = 1, .source = PCORE_FD_PIPE_OUT } };
	struct pcore_proc_spec spec = { .size = sizeof(spec), .argv = b->o->words, .envp = environ, .fds = fds, .n_fds = ARRAY_SIZE(fds) };
	struct pcore_proc_times times = { .timeout = INT64_MAX, .kill_after = 2 * NS_PER_S, .linger = NS_PER_S / 10, .signal = SIGTERM };
	struct pcore_err err = { 0 };
	int r = pcore_keeper_new(&b->keeper, true, false, &err);

	if (r == 0)
		r = pcore_tree_new(&b->tree, b->keeper, &err);
	b->proc.event = proc_event;
	if (r == 0)
		r = pcore_proc_start(&b->proc, b->loop, b->tree, &spec, &times, &err);
	if (r < 0)
		return cli_spawn_error(&err, b->o->words[0]);
	b->out.fd = fds[0].fd;
	b->in = fds[1].fd;
	return CLI_GO;
}

/* The command's end is the end: what it wrote is sent, what still comes for it is not received. */
static int run_bridged(struct bridge *b)
{
	int r = -pthread_create(&b->receiver, NULL, receive_thread, b);

	if (r == 0)
		r = -pthread_create(&b->sender, NULL, send_thread, b);
	if (r < 0) {
		pcore_proc_kill(&b->proc, PCORE_KILLED_CANCEL);
		(void)pcore_loop_run(b->loop);
		return cli_error("cannot start a thread: %s", strerror(-r));
	}
	(void)pcore_loop_run(b->loop);
	(void)pthread_join(b->sender, NULL);
	return b->sent == CLI_GO || b->sent == CLI_DRAINED ? pcore_exit_status(&b->proc.exit) : b->sent;
}

static int bridge_command(struct bridge *b)
{
	int r = cli_loop_new(&b->loop, PCORE_LOOP_EPOLL); /* SIGPIPE is blocked from here on */

	if (r == CLI_GO)
		r = start_command(b);
	if (r == CLI_GO) {
		r = run_bridged(b);
		b->in = pcore_fd_close(b->in);
	}
	pcore_tree_free(b->tree);
	pcore_keeper_free(b->keeper);
	pcore_loop_free(b->loop);
	return r;
}

/* A thread may still wait for the other end or for standard input: the exit ends it, so nothing that it uses is freed. */
int pqueue_pipe(struct pqueue_opts *o)
{
	static struct bridge b;
	int r;

	pqueue_output_init(&b.out, o);
	b.o = o;
	b.in = STDIN_FILENO;
	b.sent = b.received = CLI_GO;
	o->count = UINT64_MAX;
	r = open_end(o, PCORE_CHANNEL_DUPLEX, pcore_queue_deadline(o->timeout), &b.channel);
	if (r == CLI_GO)
		r = o->n_words > 0 ? bridge_command(&b) : bridge_stdio(&b);
	return r == CLI_GO ? CLI_OK : r;
}
