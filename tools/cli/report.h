/* SPDX-License-Identifier: MIT */
/*
 * report.h - what became of a command, as one JSON object on one line. The members are listed in pcore(7).
 */
#ifndef PCORE_CLI_REPORT_H
#define PCORE_CLI_REPORT_H

#include "libcore/proc/proc.h"

/* One attempt. */
struct cli_attempt {
	int64_t start_ns; /* realtime */
	int64_t wall_ns;
	struct pcore_exit exit;
	bool ran;	/* exit is valid */
	bool timed_out;
};

struct cli_report {
	uint64_t seq; /* of a pool's job, with its slot; 0: there is none, and the members are left out */
	unsigned slot;
	const char *node; /* where it ran; NULL: here, and the member is left out */
	char *const *argv;
	pid_t pid;		  /* 0: there was no process */
	const char *killed_by;	  /* or NULL */
	const char *method;	  /* or NULL */
	const struct pcore_err *setup_error; /* or NULL */
	const struct pcore_proc_io *io; /* or NULL: not looked at */
	unsigned survivors;
	const uint64_t *output_bytes; /* of stdout and stderr, where they went through us; or NULL */
	bool truncated;
	const char *memory_limit; /* what keeps --memory: "cgroup", "rlimit", or NULL */
	const struct cli_attempt *attempts; /* the last one is also the report's own */
	size_t n_attempts;
};

/* Append the object and a newline. 0, -ENOMEM. */
int cli_report_write(struct pcore_buf *b, const struct cli_report *r);

/* Where reports go: a file that is appended to, or "fd:N". */
int cli_report_open(const char *where, int *ret_fd); /* CLI_GO, or a status after a message */

#endif
