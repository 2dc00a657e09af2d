# SPDX-License-Identifier: MIT
# tables.awk - read the tables of a tool. What the printers of the shells get, for each context (a verb, or "-" for none):
#
#   verbs[1..n_verbs], verb_help[verb]     context[1..n_contexts]
#   n_opts[context], and of option i of it: letter[context, i] ("" for none), long[], help[], value[] (its name, "" for none),
#   optional[] (the value may be left out), what[] (the value: words, and @kinds such as @file, with blanks between)
#   n_operands[context], and of operand i of it: operand[context, i], as what[]; repeated[] (that one any number of times).
#     @command is a command with its own arguments, and @dashed one that stands behind `--'
#   naming: options behind which operands are names of what runs; list: what prints these names

BEGIN {
	FS = "\t"
	list = name (tool == "prun" ? " --list" : " list") " 2>/dev/null | sed '/^NAME  /d; s/[[:blank:]].*//'"
	signals = "HUP INT QUIT ABRT KILL USR1 USR2 ALRM TERM CONT STOP TSTP WINCH"
	n_contexts = n_verbs = 0
}

!($1 in n_opts) { context[++n_contexts] = $1; n_opts[$1] = n_operands[$1] = 0 }
$2 == "usage" && !($1 in usage) { usage[$1] = $3; read_operands($1, $3); next }
$2 == "usage" { read_naming($3) }
$1 == "-" && $2 == "verb" { verbs[++n_verbs] = $3; verb_help[$3] = $4 }
$2 == "option" { read_option($1, ++n_opts[$1]) }

function read_option(c, i)
{
	letter[c, i] = $3 == "-" ? "" : $3
	long[c, i] = $4
	value[c, i] = $6 == "-" ? "" : $6
	help[c, i] = $7
	optional[c, i] = value[c, i] ~ /^\[=/
	what[c, i] = $5 == "signal" ? signals : value[c, i] == "" ? "" : kinds(value[c, i], $7)
	gsub(/^\[=|\]$/, "", value[c, i])
}

# The alternatives of VALUE: some names are kinds, small letters stand for themselves, and the words of some are in the help.
function kinds(text, text_help,	n, i, part, found)
{
	gsub(/^\[=|\]$/, "", text)
	n = split(text, part, "|")
	for (i = 1; i <= n; i++) {
		if (part[i] ~ /^(FILE|PATH|TABLE|CRONTAB|LIB.so:SYMBOL)$/)
			found = found " @file"
		else if (part[i] ~ /^DIR$/)
			found = found " @dir"
		else if (part[i] == "USER")
			found = found " @user"
		else if (part[i] == "GROUP")
			found = found " @group"
		else if (part[i] ~ /^(LEVEL|ORDER|POLICY|WHEN|CLASS)/)
			found = found " " words_of(text_help)
		else if (part[i] ~ /^[a-z][a-z-]*$/)
			found = found " " part[i]
	}
	sub(/^ +/, "", found)
	return found
}

# "when it runs: skip, queue[=N] or replace (skip)": skip queue replace
function words_of(text,	n, i, part, found)
{
	sub(/^.*: /, "", text)
	sub(/[(;].*$/, "", text)
	gsub(/\[[^]]*\]/, "", text)
	n = split(text, part, /, | or /)
	for (i = 1; i <= n; i++) {
		gsub(/ /, "", part[i])
		if (part[i] ~ /^[a-z][a-z-]*$/)
			found = found " " part[i]
	}
	sub(/^ /, "", found)
	return found
}

# What stands behind the tool and its verb in the synopsis.
function read_operands(c, text,	n, i, word, dashed, bare)
{
	n = split(text, word, " ")
	for (i = c == "-" ? 2 : 3; i <= n; i++) {
		bare = word[i]
		gsub(/[][]/, "", bare)
		sub(/\.\.\.$/, "", bare)
		if (bare == "--")
			dashed = 1
		else if (bare == "options" || bare == "VERB")
			continue
		else if (bare ~ /^-/)
			i += word[i] !~ /]/
		else if (bare == "COMMAND") {
			operand[c, ++n_operands[c]] = dashed ? "@dashed" : "@command"
			return
		} else {
			operand[c, ++n_operands[c]] = bare ~ /^NAME/ ? "@name" : kinds(bare, "")
			repeated[c, n_operands[c]] = word[i] ~ /\.\.\./
		}
	}
}

# "prun --list | --join NAME...": --join
function read_naming(text)
{
	while (match(text, /--[a-z]+ NAME/)) {
		naming = naming (naming == "" ? "" : " ") substr(text, RSTART, RLENGTH - 5)
		text = substr(text, RSTART + RLENGTH)
	}
}

# Print a file of this folder, less the comment that it begins with.
function include(file,	line, begun)
{
	while ((getline line < (here "/" file)) > 0)
		if (begun = begun || line !~ /^#/)
			print line
	close(here "/" file)
}
