# SPDX-License-Identifier: MIT
# bash.awk - print what tables.awk has read for bash. An option is --name, --name=KINDS, or --name[=KINDS] where the value may
# be left out; an operand is KINDS, or KINDS* where it repeats: KINDS are words and @kinds with commas between.

function joined(words)
{
	gsub(/ /, ",", words)
	return words == "" ? "@none" : words
}

function option_words(c,	i, words, of)
{
	for (i = 1; i <= n_opts[c]; i++) {
		of = value[c, i] == "" ? "" : "=" joined(what[c, i])
		words = words " --" long[c, i] (optional[c, i] ? "[" : "") of
		if (letter[c, i] != "")
			words = words " -" letter[c, i] (optional[c, i] ? "" : of)
	}
	return substr(words, 2)
}

function operand_words(c,	i, words)
{
	for (i = 1; i <= n_operands[c]; i++)
		words = words " " joined(operand[c, i]) (repeated[c, i] ? "*" : "")
	return substr(words, 2)
}

function all_verbs(	i, words)
{
	for (i = 1; i <= n_verbs; i++)
		words = words " " verbs[i]
	return substr(words, 2)
}

END {
	id = name
	gsub(/[^A-Za-z0-9]/, "_", id)
	print "# bash completion for " name ", made from the tables of its options"
	print ""
	print "_pcore_" id "_table() {"
	print "\tcase $1 in"
	for (i = 1; i <= n_contexts; i++) {
		c = context[i]
		print "\t" (c == "-" ? "''" : c) ")"
		print "\t\toptions='" option_words(c) "'"
		print "\t\toperands='" (n_verbs > 0 && c == "-" ? "" : operand_words(c)) "'"
		if (c == "-" && n_verbs > 0)
			print "\t\tverbs='" all_verbs() "'"
		if (c == "-" && naming != "")
			print "\t\tnaming='" naming "'"
		print "\t\t;;"
	}
	print "\t*) return 1 ;;"
	print "\tesac"
	print "}"
	print ""
	print "_pcore_" id "_names() {"
	print "\t" list
	print "}"
	include("complete.bash")
	print ""
	print "_pcore_" id "() {"
	print "\t_pcore_complete _pcore_" id "_table _pcore_" id "_names"
	print "}"
	print "complete -F _pcore_" id " " name
}
