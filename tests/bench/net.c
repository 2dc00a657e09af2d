/* SPDX-License-Identifier: MIT */
/*
 * net - how fast connections are made and frames pass over TCP on loopback, and the floors below that.
 * Usage: net handshakes|frames|plain|single|tcp|idle [-n TOTAL]
 *
 *   handshakes  connections with TLS from connect to hello, both ends in this process; a second
 *   frames      one process to another over TLS, 64 bytes a frame, what fits queued at a time; frames a second
 *   plain       the same over a Unix socket without TLS
 *   single      one frame there and one back, again and again, over TLS; microseconds for a round trip
 *   tcp         floor: the same with a byte over bare sockets
 *   idle        so many connections of one process to another, which do nothing: MiB of the one that listens
 */
#include <sys/resource.h>

#include "libcore/net/net.h"
#include "tests/bench/bench.h"

enum { BODY = 64, TYPE = 256 };

static struct pcore_loop *lp;
static struct pcore_net *nets[2];
static struct pcore_net_conn *conns[2];
static uint64_t total, got, sent, n_opened, n_closed;
static bool answering;
static char body[BODY];

static void must(int r, const char *what)
{
	if (r >= 0)
		return;
	errno = -r;
	die(what);
}

static void fill(void)
{
	int r = 0;

	while (sent < total && r == 0) {
		r = pcore_net_send(conns[0], TYPE, 0, sent++, body, BODY);
		must(r, "send");
	}
}

static void opened(struct pcore_net_conn *c, void *ctx)
{
	(void)c;
	(void)ctx;
	n_opened++;
}

static void frame(struct pcore_net_conn *c, void *ctx, const struct pcore_net_frame *f)
{
	(void)ctx;
	if (f->stream != got++) {
		fprintf(stderr, "net: a frame was lost\n");
		exit(1);
	}
	if (answering && (c == conns[1] || got < total))
		must(pcore_net_send(c, TYPE, 0, c == conns[1] ? f->stream : f->stream + 1, body, BODY), "send");
}

static void room(struct pcore_net_conn *c, void *ctx)
{
	(void)c;
	(void)ctx;
	fill();
}

static void closed(struct pcore_net_conn *c, void *ctx, const struct pcore_net_error *e)
{
	(void)c;
	(void)ctx;
	n_closed++;
	if (e->code < 0) {
		fprintf(stderr, "net: %s\n", e->why);
		exit(1);
	}
}

static const struct pcore_net_ops ops = { opened, frame, room, closed };

static struct pcore_net_limits limits;

static void make_nets(void)
{
	char text[] = "k:all:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
	struct pcore_net_spec spec = { .peers = PCORE_NET_ANY_ROLE, .version_min = 1, .version_max = 1 };
	struct pcore_net_keys *keys;

	must(pcore_loop_new(&lp, PCORE_LOOP_AUTO), "loop");
	must(pcore_net_keys_parse(&keys, text, sizeof(text) - 1, NULL), "keys");
	spec.keys = keys;
	spec.limits = limits;
	for (int i = 0; i < 2; i++) {
		spec.role = i ? PCORE_NET_SCHEDULER : PCORE_NET_NODE;
		must(pcore_net_new(&nets[i], lp, &spec, NULL), "net");
	}
}

static void pair(int fds[2], bool tls)
{
	if (tls)
		tcp_pair(fds);
	else if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		die("socketpair");
}

static void adopt(int side, int fd, bool tls)
{
	enum pcore_net_mode mode = !tls ? PCORE_NET_PLAIN : side ? PCORE_NET_TLS_SERVER : PCORE_NET_TLS_CLIENT;

	must(pcore_net_adopt(&conns[side], nets[side], fd, mode, &ops, NULL, NULL), "adopt");
}

static void until(const uint64_t *counter, uint64_t n)
{
	while (*counter < n)
		must(pcore_loop_turn(lp, true), "loop");
}

static double handshakes(void)
{
	int64_t from;

	make_nets();
	from = now_ns();
	for (uint64_t i = 0; i < total; i++) {
		int fds[2];

		pair(fds, true);
		adopt(0, fds[0], true);
		adopt(1, fds[1], true);
		until(&n_opened, 2 * (i + 1));
		pcore_net_close(conns[0]);
		until(&n_closed, 2 * (i + 1));
	}
	return (double)total * 1e9 / (double)(now_ns() - from);
}

/* What the child does with its end. */
static void serve(int fd, bool tls)
{
	make_nets();
	adopt(1, fd, tls);
	until(&n_closed, 1);
	_exit(got == total ? 0 : 1);
}

static double between(bool tls, bool single)
{
	int64_t from, took;
	int fds[2], status;
	pid_t pid;

	answering = single;
	pair(fds, tls);
	pid = fork();
	if (pid < 0)
		die("fork");
	if (pid == 0) {
		close(fds[0]);
		serve(fds[1], tls);
	}
	close(fds[1]);
	make_nets();
	adopt(0, fds[0], tls);
	until(&n_opened, 1);
	from = now_ns();
	if (single) {
		must(pcore_net_send(conns[0], TYPE, 0, 0, body, BODY), "send");
		until(&got, total);
	} else {
		fill();
		until(&sent, total);
	}
	took = now_ns() - from;
	pcore_net_close(conns[0]); /* after all of it: the child counts */
	until(&n_closed, 1);
	if (!single)
		took = now_ns() - from;
	if (waitpid(pid, &status, 0) < 0 || status != 0)
		exit(1);
	return single ? (double)took / 1e3 / (double)total : (double)total * 1e9 / (double)took;
}

static double bare(void)
{
	char byte = 'x';
	int64_t from;
	int fds[2];
	pid_t pid;

	tcp_pair(fds);
	pid = fork();
	if (pid < 0)
		die("fork");
	if (pid == 0) {
		close(fds[0]);
		while (recv(fds[1], &byte, 1, 0) == 1)
			(void)send(fds[1], &byte, 1, MSG_NOSIGNAL);
		_exit(0);
	}
	from = now_ns();
	for (uint64_t i = 0; i < total; i++)
		if (send(fds[0], &byte, 1, MSG_NOSIGNAL) != 1 || recv(fds[0], &byte, 1, 0) != 1)
			die("send");
	from = now_ns() - from;
	close(fds[0]);
	(void)waitpid(pid, NULL, 0);
	return (double)from / 1e3 / (double)total;
}

/* ---- many that do nothing ---- */

static void accepted(struct pcore_net_listener *l, void *ctx, struct pcore_net_conn *c)
{
	(void)l;
	pcore_net_own(c, &ops, ctx);
	n_opened++;
}

static void refused(struct pcore_net_listener *l, void *ctx, const char *address, const struct pcore_net_error *e, uint64_t untold)
{
	(void)l;
	(void)ctx;
	(void)untold;
	fprintf(stderr, "net: %s: %s\n", address, e->why);
	exit(1);
}

/* Connect, some at a time, and stay until the other process has gone. */
_Noreturn static void stay(const struct pcore_net_addr *at)
{
	enum { WINDOW = 32 };

	make_nets();
	for (uint64_t i = 0; i < total; i++) {
		must(pcore_net_connect(&conns[0], nets[0], at, &ops, NULL, NULL), "connect");
		if (i >= WINDOW)
			until(&n_opened, i - WINDOW);
	}
	until(&n_closed, 1);
	_exit(0);
}

static double resident_mib(void)
{
	unsigned long kib = 0;
	char line[128];
	FILE *f = fopen("/proc/self/status", "r");

	if (!f)
		die("/proc/self/status");
	while (fgets(line, sizeof(line), f) && sscanf(line, "VmRSS: %lu", &kib) != 1)
		;
	fclose(f);
	return (double)kib / 1024;
}

static double idle(void)
{
	static const struct pcore_net_listener_ops listener_ops = { accepted, refused };
	struct pcore_net_addr at = { .len = sizeof(at.in), .in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) } };
	struct rlimit fds;
	struct pcore_net_listener *l;
	double mib;
	pid_t pid;

	if (getrlimit(RLIMIT_NOFILE, &fds) < 0)
		die("getrlimit");
	fds.rlim_cur = fds.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &fds) < 0)
		die("setrlimit");
	/* all come from one address, and all at once; two processes on two CPUs may be late */
	alarm(300); /* the other process may die */
	limits = (struct pcore_net_limits){ .preauth_same = 64, .accept_rate = 100000, .handshake_ns = 60000000000,
		.heartbeat_ns = 20000000000, .missed_max = 30 };
	make_nets();
	must(pcore_net_listen(&l, nets[1], &at, &listener_ops, NULL, NULL), "listen");
	at = *pcore_net_listener_addr(l);
	pid = fork();
	if (pid < 0)
		die("fork");
	if (pid == 0)
		stay(&at);
	until(&n_opened, total);
	mib = resident_mib();
	kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	return mib;
}

static double measure(const char *what)
{
	if (strcmp(what, "idle") == 0)
		return idle();
	if (strcmp(what, "handshakes") == 0)
		return handshakes();
	if (strcmp(what, "frames") == 0)
		return between(true, false);
	if (strcmp(what, "plain") == 0)
		return between(false, false);
	if (strcmp(what, "single") == 0)
		return between(true, true);
	return bare();
}

int main(int argc, char **argv)
{
	int opt;

	total = 2000;
	while ((opt = getopt(argc, argv, "n:")) != -1) {
		if (opt != 'n')
			return 125;
		total = number(optarg, 1000000000);
	}
	if (!argv[optind])
		return 125;
	printf("%.2f\n", measure(argv[optind]));
	return 0;
}
