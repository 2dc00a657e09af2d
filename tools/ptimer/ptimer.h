/* SPDX-License-Identifier: MIT */
/*
 * ptimer.h - what ptimer is asked to do.
 */
#ifndef PCORE_PTIMER_H
#define PCORE_PTIMER_H

#include "libcore/when/when.h"
#include "tools/cli/jobopts.h"

enum ptimer_verb { PTIMER_AFTER, PTIMER_AT, PTIMER_EVERY, PTIMER_ON, PTIMER_CRON, PTIMER_SLEEP };

enum ptimer_overlap { PTIMER_SKIP, PTIMER_QUEUE, PTIMER_ALLOW, PTIMER_REPLACE };

enum ptimer_catchup { PTIMER_NONE, PTIMER_ONCE, PTIMER_ALL };

/* Strings are borrowed from argv. */
struct ptimer_opts {
	struct cli_job_opts job;
	enum ptimer_verb verb;
	bool next; /* only say when: no tick is made */
	char **command; /* NULL: lines are printed */

	int64_t duration; /* of after, every, sleep */
	const char *expression; /* the operand of all others, as it was given */
	struct pcore_when when; /* of on and cron */
	struct pcore_time time; /* of at and of `sleep until' */
	bool sleep_until;

	uint64_t count; /* 0: no limit */
	const char *until, *from, *tz;
	int64_t phase; /* -1: one period */
	int64_t jitter;
	bool jitter_fixed;
	int64_t max_late; /* -1: not given */
	enum ptimer_catchup catchup;
	bool catchup_given;
	const char *state; /* the file, or NULL */
	enum ptimer_overlap overlap;
	uint64_t overlap_max;
	bool overlap_given;
	enum pcore_dst dst;
	bool monotonic, clock_given;
	bool json;

	/* of those that wait, and of run */
	char **words;	   /* as they were given, for who asks */
	const char *table; /* of run, else NULL */
	uint64_t jobs;	   /* run: at a time, 0: the default */
	bool keep;	   /* run: events may be entered, so there is no end by itself */
	const char *name;  /* by which others know us, or NULL */
	bool detach;
};

void ptimer_opts_init(struct ptimer_opts *o);
void ptimer_opts_done(struct ptimer_opts *o);

/* What a line of a table has beyond the options of its verb. */
struct ptimer_line {
	const struct cli_opt *table;
	void *target;
};

/* Where the words of a verb are wrong. */
struct ptimer_fault {
	const char *at;	 /* in one of argv's words */
	const char *why; /* when that is inside of an expression: what is wrong there; else NULL, and the message says it all */
};

bool ptimer_is_verb(const char *word);

/* "every" */
const char *ptimer_verb_name(enum ptimer_verb verb);

/* verbs.c: read the words of a verb, argv[0], into what ptimer_opts_init() has made; line: it stands in a table, which has none of
 * the verbs and options that make no timer. Reorders argv. CLI_GO, or a status after a message, with *ret_fault. */
int ptimer_parse(struct ptimer_opts *o, int argc, char **argv, const struct ptimer_line *line, struct ptimer_fault *ret_fault);

/* A zone for what the expression, --tz, TZ or this system name: the first that does. *ret_is_local (may be NULL): it was the
 * system. CLI_GO, or a status after a message. */
int ptimer_zone(const struct ptimer_opts *o, const char *name, struct pcore_zone **ret, bool *ret_is_local);

/* Zones that are opened once, by name. They live until ptimer_zones_done(). */
struct ptimer_zones {
	struct pcore_map by_name;
	struct ptimer_known_zone *first;
};

void ptimer_zones_done(struct ptimer_zones *zs);

/* The zone of that name. CLI_GO, or a status after a message. */
int ptimer_zones_open(struct ptimer_zones *zs, const char *name, const struct pcore_zone **ret);

/* The instant that an option or operand names. CLI_GO, or a status after a message. */
int ptimer_time(const struct ptimer_opts *o, const char *text, int64_t now_ns, int64_t *ret_ns);

/* "'EXPRESSION' never comes": CLI_NO. */
int ptimer_never(const char *expression);

/* The zone that the expression or the point in time names, or "". */
const char *ptimer_own_zone(const struct ptimer_opts *o);

/* next.c: print what will be due. */
int ptimer_next(const struct ptimer_opts *o);

/* check.c: tell what is wrong with tables. */
int ptimer_check(int argc, char **argv);

/* import.c: print a crontab as a table. */
int ptimer_import(int argc, char **argv);

/* The options of timers that others may know by a name: not in a line of a table. */
extern const struct cli_opt ptimer_background_table[];

/* run.c: wait, and make the ticks. The status to exit with; dies of a signal itself where that is due. */
int ptimer_run(const struct ptimer_opts *o);

/* The same, known to others (or NULL) and without dying: *ret_die_of is the signal, or 0. */
struct background;
int ptimer_run_in(const struct ptimer_opts *o, struct background *background, int *ret_die_of);

/* Each parses what follows it, argv[0] being the verb itself, and returns the status to leave with. */
int ptimer_run_table(int argc, char **argv);
int ptimer_list(int argc, char **argv);
int ptimer_cancel(int argc, char **argv);
int ptimer_trigger(int argc, char **argv);
int ptimer_enter(int argc, char **argv);
int ptimer_log(int argc, char **argv);

#endif
