/* SPDX-License-Identifier: MIT */
/*
 * argfile.c - a job for each item of a file.
 */
#include "tools/cli/argfile.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#define AT(member) offsetof(struct cli_argfile, member)

const struct cli_opt cli_argfile_table[] = {
	{ .name = "Items", .kind = CLI_OPT_HEADING },
	{ .name = "arg-file", .letter = 'a', .kind = CLI_OPT_STRING, .arg = "FILE|-", .offset = AT(file), .help = "one job for each item of FILE" },
	{ .name = "null", .letter = '0', .kind = CLI_OPT_FLAG, .offset = AT(null), .help = "items end with a NUL byte" },
	{ .name = "delimiter", .letter = 'd', .kind = CLI_OPT_STRING, .arg = "DELIM", .offset = AT(delimiter), .help = "items end with this byte (\\t, \\0, \\x1e)" },
	{ .name = NULL },
};

int cli_argfile_check(const struct cli_argfile *a)
{
	if (!a->file && (a->null || a->delimiter))
		return cli_usage("--null and --delimiter say how the items of --arg-file end");
	if (a->null && a->delimiter)
		return cli_usage("--null and --delimiter exclude each other");
	return CLI_GO;
}

int cli_argfile_open(const struct cli_argfile *a, struct cli_items *items, int *ret_fd)
{
	unsigned char delim = a->null ? '\0' : '\n';
	int fd;

	if (a->delimiter && cli_items_parse_delim(a->delimiter, &delim) < 0)
		return cli_opt_bad("delimiter", a->delimiter, "must be one byte, or \\n \\t \\r \\0 \\\\ \\xHH");
	cli_items_init(items, delim, CLI_ITEM_MAX);
	fd = strcmp(a->file, "-") == 0 ? STDIN_FILENO : open(a->file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return cli_error("cannot open '%s': %s", a->file, strerror(errno));
	*ret_fd = fd;
	return CLI_GO;
}

int cli_argfile_bad(const struct cli_items *items, int error)
{
	uint64_t number = items->count + 1;

	assert(error == -EBADMSG || error == -E2BIG);

	if (error == -E2BIG)
		return cli_error("item %" PRIu64 " is longer than %d bytes; the input ends here", number, CLI_ITEM_MAX);
	cli_warn("item %" PRIu64 " holds a NUL byte, which no argument can (items that end with NUL need -0)", number);
	return CLI_NO;
}
