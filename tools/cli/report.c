/* SPDX-License-Identifier: MIT */
/*
 * report.c - what became of a command, as one JSON object on one line.
 */
#include "tools/cli/report.h"

#include <fcntl.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "tools/cli/cli.h"
#include "tools/cli/opts.h"

static int64_t timeval_ns(struct timeval tv)
{
	return tv.tv_sec * NS_PER_S + tv.tv_usec * NS_PER_US;
}

static void write_outcome(struct pcore_json *j, const struct cli_attempt *a)
{
	char name[PCORE_SIGNAL_NAME_MAX];
	bool exited = a && a->ran && a->exit.code == CLD_EXITED;
	bool killed = a && a->ran && !exited;

	pcore_json_key(j, "exit");
	if (exited)
		pcore_json_i64(j, a->exit.status);
	else
		pcore_json_null(j);
	pcore_json_key(j, "signal");
	pcore_json_str(j, killed ? pcore_signal_name(a->exit.status, name) : NULL);
}

static void write_start(struct pcore_json *j, const struct cli_attempt *a)
{
	char time[PCORE_ISO8601_MAX];

	pcore_json_key(j, "start");
	pcore_json_str(j, a ? pcore_iso8601_utc(time, a->start_ns) : NULL);
	pcore_json_key(j, "wall_s");
	pcore_json_seconds(j, a ? a->wall_ns : 0);
}

static void write_setup_error(struct pcore_json *j, const struct pcore_err *err)
{
	pcore_json_key(j, "setup_error");
	if (!err) {
		pcore_json_null(j);
		return;
	}
	pcore_json_object(j);
	pcore_json_key(j, "step");
	pcore_json_str(j, pcore_step_name(err->step));
	pcore_json_key(j, "errno");
	pcore_json_str(j, strerrorname_np(-err->code));
	pcore_json_key(j, "subject");
	pcore_json_str(j, err->subject);
	pcore_json_object_end(j);
}

static void write_usage(struct pcore_json *j, const struct cli_attempt *a)
{
	static const struct rusage none;
	const struct rusage *u = a && a->ran ? &a->exit.usage : &none;

	pcore_json_key(j, "user_s");
	pcore_json_seconds(j, timeval_ns(u->ru_utime));
	pcore_json_key(j, "sys_s");
	pcore_json_seconds(j, timeval_ns(u->ru_stime));
	pcore_json_key(j, "maxrss_kib");
	pcore_json_i64(j, u->ru_maxrss);
	pcore_json_key(j, "vol_switches");
	pcore_json_i64(j, u->ru_nvcsw);
	pcore_json_key(j, "invol_switches");
	pcore_json_i64(j, u->ru_nivcsw);
}

static void write_attempts(struct pcore_json *j, const struct cli_report *r)
{
	pcore_json_key(j, "attempts");
	pcore_json_array(j);
	for (size_t i = 0; i < r->n_attempts; i++) {
		pcore_json_object(j);
		write_outcome(j, &r->attempts[i]);
		pcore_json_key(j, "timed_out");
		pcore_json_bool(j, r->attempts[i].timed_out);
		write_start(j, &r->attempts[i]);
		pcore_json_object_end(j);
	}
	pcore_json_array_end(j);
}

/* NULL: it is not known. */
static void write_counter(struct pcore_json *j, const char *name, const uint64_t *n)
{
	pcore_json_key(j, name);
	if (n)
		pcore_json_u64(j, *n);
	else
		pcore_json_null(j);
}

int cli_report_write(struct pcore_buf *b, const struct cli_report *r)
{
	const struct cli_attempt *last = r->n_attempts ? &r->attempts[r->n_attempts - 1] : NULL;
	struct pcore_json j = PCORE_JSON_INIT(b);
	int error;

	pcore_json_object(&j);
	if (r->seq) {
		pcore_json_key(&j, "seq");
		pcore_json_u64(&j, r->seq);
		pcore_json_key(&j, "slot");
		pcore_json_u64(&j, r->slot);
	}
	if (r->node) {
		pcore_json_key(&j, "node");
		pcore_json_str(&j, r->node);
	}
	pcore_json_key(&j, "argv");
	pcore_json_array(&j);
	for (char *const *arg = r->argv; *arg; arg++)
		pcore_json_str(&j, *arg);
	pcore_json_array_end(&j);
	pcore_json_key(&j, "pid");
	if (r->pid)
		pcore_json_i64(&j, r->pid);
	else
		pcore_json_null(&j);
	write_outcome(&j, last);
	pcore_json_key(&j, "core");
	pcore_json_bool(&j, last && last->ran && last->exit.code == CLD_DUMPED);
	pcore_json_key(&j, "timed_out");
	pcore_json_bool(&j, last && last->timed_out);
	pcore_json_key(&j, "killed_by");
	pcore_json_str(&j, r->killed_by);
	write_setup_error(&j, r->setup_error);
	write_start(&j, last);
	write_usage(&j, last);
	write_counter(&j, "read_bytes", r->io ? &r->io->read_bytes : NULL);
	write_counter(&j, "write_bytes", r->io ? &r->io->write_bytes : NULL);
	write_counter(&j, "stdout_bytes", r->output_bytes ? &r->output_bytes[0] : NULL);
	write_counter(&j, "stderr_bytes", r->output_bytes ? &r->output_bytes[1] : NULL);
	pcore_json_key(&j, "truncated");
	pcore_json_bool(&j, r->truncated);
	pcore_json_key(&j, "survivors");
	pcore_json_u64(&j, r->survivors);
	pcore_json_key(&j, "memory_limit");
	pcore_json_str(&j, r->memory_limit);
	pcore_json_key(&j, "method");
	pcore_json_str(&j, r->method);
	write_attempts(&j, r);
	pcore_json_object_end(&j);
	error = j.error;
	return error ? error : pcore_buf_addc(b, '\n');
}

int cli_report_open(const char *where, int *ret_fd)
{
	uint64_t n = 0;
	int fd;

	if (strncmp(where, "fd:", 3) != 0) {
		fd = open(where, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0666);
		if (fd < 0)
			return cli_error("cannot open '%s': %s", where, strerror(errno));
		*ret_fd = fd;
		return CLI_GO;
	}
	if (pcore_parse_u64(where + 3, 0, INT32_MAX, &n) < 0)
		return cli_opt_bad("report", where, "must be FILE or fd:N");
	fd = fcntl((int)n, F_DUPFD_CLOEXEC, 3);
	if (fd < 0)
		return cli_error("cannot write to '%s': %s", where, strerror(errno));
	if ((fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY) {
		(void)pcore_fd_close(fd);
		return cli_error("cannot write to '%s': %s", where, strerror(EBADF));
	}
	*ret_fd = fd;
	return CLI_GO;
}
