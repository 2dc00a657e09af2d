/* SPDX-License-Identifier: MIT */
/*
 * client.c - the client's side of a named pool.
 */
#include "tools/ppool/client.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tools/cli/rundir.h"
#include "tools/ppool/named.h"

enum { READ_SIZE = 64 * 1024 };

/* ---- finding the pool ---- */

static bool was_closed(int dfd)
{
	return faccessat(dfd, "closed", F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

int client_open(struct client *c, const char *name)
{
	_cleanup_(fd_closep) int pools = -EBADF;
	struct sockaddr_un addr;
	int r;

	*c = (struct client){ .name = name, .dfd = -EBADF, .fd = -EBADF, .deadline_ns = INT64_MAX, .watch_fd = -EBADF };
	pools = cli_rundir_open("pools");
	if (pools < 0)
		return CLI_FAILURE;
	c->dfd = openat(pools, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (c->dfd < 0)
		return CLI_NO;
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		return cli_error("cannot make a socket: %s", strerror(errno));
	cli_socket_address(&addr, c->dfd);
	do
		r = connect(c->fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0 ? -errno : 0;
	while (r == -EINTR);
	if (r == -ENOENT || r == -ECONNREFUSED)
		return was_closed(c->dfd) ? CLI_DRAINED : CLI_NO;
	if (r < 0)
		return cli_error("cannot reach the pool '%s': %s", name, strerror(-r));
	return wire_put_hello(&c->out, WIRE_VERSION) < 0 ? cli_error("out of memory") : CLI_GO;
}

void client_close(struct client *c)
{
	c->fd = pcore_fd_close(c->fd);
	c->dfd = pcore_fd_close(c->dfd);
	pcore_buf_done(&c->in);
	pcore_buf_done(&c->out);
	pcore_buf_done(&c->text);
}

int client_no_pool(const char *name, int status)
{
	if (status == CLI_NO)
		(void)cli_error("there is no pool '%s'", name);
	else if (status == CLI_DRAINED)
		(void)cli_error("the pool '%s' is closed and drained", name);
	return status;
}

int client_open_named(struct client *c, char *const *words, const char *usage)
{
	*c = (struct client){ .dfd = -EBADF, .fd = -EBADF };
	if (!words[0])
		return cli_usage("no pool given: %s", usage);
	if (!cli_is_name(words[0]))
		return cli_usage("invalid name '%s': letters, digits, and . _ - inside, at most 64", words[0]);
	return client_no_pool(words[0], client_open(c, words[0]));
}

int client_parse_id(const char *word, uint64_t *ret)
{
	if (pcore_parse_u64(word, 1, UINT64_MAX, ret) < 0)
		return cli_usage("invalid job '%s': must be a number that ppool async has printed", word);
	return CLI_GO;
}

int client_parse_ids(char *const *words, uint64_t **ret, size_t *ret_n)
{
	size_t n = 0;
	uint64_t *ids;

	while (words[n])
		n++;
	ids = calloc(n + 1, sizeof(*ids));
	if (!ids)
		return cli_error("out of memory");
	for (size_t i = 0; i < n; i++)
		if (client_parse_id(words[i], &ids[i]) != CLI_GO) {
			free(ids);
			return CLI_FAILURE;
		}
	*ret = ids;
	*ret_n = n;
	return CLI_GO;
}

/* ---- bytes ---- */

int client_send(struct client *c)
{
	size_t sent = 0;

	while (sent < c->out.len) {
		ssize_t n = send(c->fd, c->out.data + sent, c->out.len - sent, MSG_NOSIGNAL);

		if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
			break;
		if (n < 0 && errno != EINTR)
			return -errno;
		sent += n > 0 ? (size_t)n : 0;
	}
	pcore_buf_clear(&c->out);
	return 0;
}

int client_flush_text(struct client *c)
{
	int r = cli_write(STDOUT_FILENO, c->text.data, c->text.len);

	pcore_buf_clear(&c->text);
	return r < 0 ? cli_error("cannot write to standard output: %s", strerror(-r)) : CLI_GO;
}

int client_receive(struct client *c, int flags)
{
	ssize_t n;

	pcore_buf_consume(&c->in, c->in_pos);
	c->in_pos = 0;
	if (pcore_buf_reserve(&c->in, READ_SIZE) < 0)
		return -ENOMEM;
	n = recv(c->fd, c->in.data + c->in.len, READ_SIZE, flags);
	if (n < 0)
		return errno == EINTR ? -EAGAIN : -errno;
	if (n == 0)
		return -ECONNRESET;
	c->in.len += (size_t)n;
	return 0;
}

int client_parse(struct client *c, struct cli_frame *ret)
{
	size_t used;
	int r = cli_frame_next(c->in.data + c->in_pos, c->in.len - c->in_pos, ret, &used);

	if (r > 0)
		c->in_pos += used;
	return r;
}

/* Until something has come, the time is up, or the watched descriptor is ready. */
static int wait_readable(const struct client *c)
{
	struct pollfd fds[] = { { .fd = c->fd, .events = POLLIN }, { .fd = c->watch_fd, .events = POLLIN } };
	int64_t left = c->deadline_ns == INT64_MAX ? INT64_MAX : c->deadline_ns - pcore_now_ns();
	int timeout = left == INT64_MAX ? -1 : left <= 0 ? 0 : left / NS_PER_MS >= INT32_MAX ? INT32_MAX : (int)(left / NS_PER_MS) + 1;
	int n = poll(fds, ARRAY_SIZE(fds), timeout);

	if (n < 0)
		return errno == EINTR ? -EAGAIN : -errno;
	if (fds[1].revents)
		return -EINTR;
	if (n == 0)
		return left <= 0 ? -ETIMEDOUT : -EAGAIN;
	return 0;
}

int client_frame(struct client *c, struct cli_frame *ret)
{
	for (;;) {
		int r = client_parse(c, ret);

		if (r != 0)
			return r > 0 ? 0 : r;
		if (c->text.len > 0 && client_flush_text(c) != CLI_GO)
			return -EIO;
		if (c->deadline_ns != INT64_MAX || c->watch_fd >= 0)
			r = wait_readable(c);
		if (r == 0)
			r = client_receive(c, 0);
		if (r < 0 && r != -EAGAIN)
			return r;
	}
}

int client_lost(struct client *c, int r)
{
	c->lost = true;
	if (r == -EIO) /* of stdout, told already */
		return CLI_FAILURE;
	if (r == -EPROTO)
		return cli_error("cannot understand what the pool '%s' says", c->name);
	if (r != -ECONNRESET)
		return cli_error("lost the pool '%s': %s", c->name, strerror(-r));
	if (was_closed(c->dfd))
		return client_no_pool(c->name, CLI_DRAINED);
	return cli_error("the pool '%s' has died", c->name);
}

/* ---- answers ---- */

int client_refused(const struct wire_answer *a)
{
	(void)cli_error("%.*s", (int)a->text_len, a->text);
	return a->status;
}

int client_ask(struct client *c, uint64_t *ret_value)
{
	struct cli_frame f;
	struct wire_answer a;
	int r = client_send(c);

	if (r == 0)
		r = client_frame(c, &f);
	if (r == 0 && (f.type != WIRE_ANSWER || wire_get_answer(&f, &a) < 0))
		r = -EPROTO;
	if (r < 0)
		return client_lost(c, r);
	if (a.status != CLI_OK)
		return client_refused(&a);
	*ret_value = a.value;
	return CLI_GO;
}

int client_write_output(const struct cli_frame *f)
{
	struct wire_output o;
	int fd, r;

	if (wire_get_output(f, &o) < 0)
		return cli_error("cannot understand what the pool says");
	fd = o.stream == 0 ? STDOUT_FILENO : STDERR_FILENO;
	r = cli_write(fd, o.data, o.len);
	if (r < 0 && fd == STDOUT_FILENO)
		return cli_error("cannot write to standard output: %s", strerror(-r));
	return CLI_GO;
}

int client_job_status(const struct cli_frame *f, const char *command)
{
	struct wire_ended e;
	struct pcore_err err;
	int step = PCORE_STEP_NONE;

	if (wire_get_ended(f, &e) < 0)
		return cli_error("cannot understand what the pool says");
	if (e.error == 0)
		return e.status;
	while (step + 1 < PCORE_STEP_COUNT && strcmp(pcore_step_name((enum pcore_step)step), e.step) != 0)
		step++;
	(void)pcore_err_set(&err, -(int)e.error, (enum pcore_step)step, e.subject);
	return cli_spawn_error(&err, command);
}
