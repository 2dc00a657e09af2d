# SPDX-License-Identifier: MIT
# fish.awk - print what tables.awk has read for fish.

function quoted(text)
{
	gsub(/\\/, "\\\\", text)
	gsub(/'/, "\\'", text)
	return "'" text "'"
}

# The end of a `complete' for a value or an operand: what it may be.
function completes(words, valued,	n, i, word, files, found)
{
	n = split(words, word, " ")
	for (i = 1; i <= n; i++) {
		if (word[i] == "@file")
			files = 1
		else if (word[i] == "@dir")
			found = found " (__fish_complete_directories (commandline -ct))"
		else if (word[i] == "@user")
			found = found " (__fish_complete_users)"
		else if (word[i] == "@group")
			found = found " (__fish_complete_groups)"
		else if (word[i] == "@name")
			found = found " (" list ")"
		else if (word[i] !~ /^@/)
			found = found " " word[i]
	}
	return (files ? (valued ? " -r -F" : " -F") : valued ? " -x" : "") (found == "" ? "" : " -a " quoted(substr(found, 2)))
}

function print_options(c, begin,	i)
{
	for (i = 1; i <= n_opts[c]; i++)
		print begin " -l " long[c, i] (letter[c, i] == "" ? "" : " -s " letter[c, i]) \
			(value[c, i] == "" || optional[c, i] ? "" : completes(what[c, i], 1)) " -d " quoted(help[c, i])
}

# Options whose value may be a word of its own.
function valued_words(c,	i, found)
{
	found = " ''" # it takes what comes before the first word without -- for options of its own
	for (i = 1; i <= n_opts[c]; i++)
		if (value[c, i] != "" && !optional[c, i])
			found = found " --" long[c, i] (letter[c, i] == "" ? "" : " -" letter[c, i])
	return found
}

function print_operands(c, begin,	i, skip)
{
	for (i = 1; i <= n_operands[c]; i++) {
		skip = i + (c != "-")
		if (operand[c, i] == "@command")
			print begin " -x -a " quoted("(__fish_complete_subcommand --fcs-skip=" skip valued_words(c) ")")
		else if (operand[c, i] == "@dashed")
			print begin " -x -a " quoted("(__pcore_dashed)")
		else if (operand[c, i] != "")
			print begin completes(operand[c, i], 0)
	}
}

END {
	print "# fish completion for " name ", made from the tables of its options"
	print ""
	print "function __pcore_verb -d 'the verb of this line is one of these'"
	print "    set -l words (commandline -poc)"
	print "    set -q words[2]; and contains -- $words[2] $argv"
	print "end"
	print ""
	print "function __pcore_dashed -d 'a command behind --'"
	print "    set -l words (commandline -poc)"
	print "    set -l at (contains -i -- -- $words); or return"
	print "    complete -C (string join ' ' -- (string escape -- $words) (commandline -ct) | string split -m $at ' ')[-1]"
	print "end"
	print ""
	print "complete -c " name " -f"
	if (n_verbs == 0 && naming != "") {
		n = split(naming, word, " ")
		for (i = 1; i <= n; i++)
			print "complete -c " name " -n '__fish_contains_opt " substr(word[i], 3) "' -x -a " quoted("(" list ")")
	}
	print_options("-", "complete -c " name (n_verbs > 0 ? " -n __fish_is_first_arg" : ""))
	if (n_verbs == 0)
		print_operands("-", "complete -c " name)
	for (i = 1; i <= n_verbs; i++) {
		print ""
		print "complete -c " name " -n __fish_is_first_arg -a " verbs[i] " -d " quoted(verb_help[verbs[i]])
		begin = "complete -c " name " -n '__pcore_verb " verbs[i] "'"
		print_options(verbs[i], begin)
		print_operands(verbs[i], begin)
	}
}
