/* SPDX-License-Identifier: MIT */
/*
 * csv.h - where a record and its fields end, byte by byte (RFC 4180).
 *
 *              quote     separator   other
 *   START      QUOTED    START       PLAIN     at the beginning of a field
 *   PLAIN      PLAIN     START       PLAIN     in a field without quotes: a quote is a byte like any other
 *   QUOTED     CLOSING   QUOTED      QUOTED    separators and newlines are data
 *   CLOSING    QUOTED    START       PLAIN     a quote in a quoted field: doubled it is one, else it ended the quotes
 *
 * A newline ends the record in every state but QUOTED. What follows closing quotes belongs to the field, as Python's
 * csv module has it.
 */
#ifndef PCORE_CLI_CSV_H
#define PCORE_CLI_CSV_H

enum cli_csv_state { CLI_CSV_START, CLI_CSV_PLAIN, CLI_CSV_QUOTED, CLI_CSV_CLOSING };

/* The state after a byte that does not end the record. */
static inline enum cli_csv_state cli_csv_step(enum cli_csv_state state, char byte, char sep)
{
	if (state == CLI_CSV_QUOTED)
		return byte == '"' ? CLI_CSV_CLOSING : CLI_CSV_QUOTED;
	if (byte == '"' && state != CLI_CSV_PLAIN)
		return CLI_CSV_QUOTED;
	return byte == sep ? CLI_CSV_START : CLI_CSV_PLAIN;
}

#endif
