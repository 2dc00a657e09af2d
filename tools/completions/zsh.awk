# SPDX-License-Identifier: MIT
# zsh.awk - print what tables.awk has read for zsh: a function that gives its words to _arguments.

function quoted(text)
{
	gsub(/'/, "'\\''", text)
	return "'" text "'"
}

# Text inside the [] or before the : of a specification.
function plain(text)
{
	gsub(/\\/, "\\\\", text)
	gsub(/\[/, "\\[", text)
	gsub(/\]/, "\\]", text)
	gsub(/:/, "\\:", text)
	return text
}

function action(words,	n, i, word, literal, found)
{
	n = split(words, word, " ")
	for (i = 1; i <= n; i++) {
		if (word[i] == "@file")
			found = found "; _files"
		else if (word[i] == "@dir")
			found = found "; _files -/"
		else if (word[i] == "@user")
			found = found "; _users"
		else if (word[i] == "@group")
			found = found "; _groups"
		else if (word[i] == "@name")
			found = found "; compadd -- ${(f)\"$(" list ")\"}"
		else
			literal = literal " " word[i]
	}
	if (literal != "")
		found = found "; compadd --" literal
	return found == "" ? " " : "{" substr(found, 3) "}"
}

# The words of _arguments for the options of c, each on a line of its own.
function option_specs(c, indent,	i, l, s, said, tail)
{
	for (i = 1; i <= n_opts[c]; i++) {
		l = "--" long[c, i]
		s = letter[c, i] == "" ? "" : "-" letter[c, i]
		said = "[" plain(help[c, i]) "]"
		tail = value[c, i] == "" ? "" : (optional[c, i] ? "::" : ":") plain(value[c, i]) ":" action(what[c, i])
		print indent quoted((value[c, i] == "" ? "" : "*") l (tail == "" ? "" : optional[c, i] ? "=-" : "=") said tail) " \\"
		if (s != "")
			print indent quoted((value[c, i] == "" ? "" : "*") s (tail == "" || optional[c, i] ? "" : "+") said (optional[c, i] ? "" : tail)) " \\"
	}
}

function operand_specs(c, indent,	i, last)
{
	for (i = 1; i <= n_operands[c]; i++) {
		if (operand[c, i] == "@command")
			last = "(-)*::: :_normal"
		else if (operand[c, i] == "@dashed")
			last = "(-)*::: :{[[ $words[1] != -- ]] || { shift words; (( CURRENT-- )) }; _normal}"
		else
			last = (repeated[c, i] ? "*" : i) ": :" action(operand[c, i])
		print indent quoted(last) (i < n_operands[c] ? " \\" : "")
	}
	if (n_operands[c] == 0)
		print indent quoted("*: : ")
}

# Options end at an operand where that is a command.
function arguments(c, indent)
{
	print indent "_arguments -s -S" (operand[c, 1] == "@command" ? " -A '-*'" : "") " \\"
	option_specs(c, indent "\t")
}

END {
	print "#compdef " name
	print "# made from the tables of its options"
	print ""
	if (n_verbs == 0) {
		if (naming != "") {
			split(naming, word, " ")
			gsub(/ /, "|", naming)
			print "if [[ -n ${words[(r)(" naming ")]} ]]; then"
			arguments("-", "\t")
			print "\t\t" quoted("*: :" action("@name"))
			print "\treturn"
			print "fi"
		}
		arguments("-", "")
		operand_specs("-", "\t")
		exit
	}
	print "local curcontext=$curcontext ret=1"
	print "local -a state line verbs"
	print "_arguments -C -S -A '-*' \\"
	option_specs_none()
	print "\t'1:verb:->verb' '*:: :->rest' && ret=0"
	print "case $state in"
	print "verb)"
	print "\tverbs=("
	for (i = 1; i <= n_verbs; i++)
		print "\t\t" quoted(verbs[i] (verb_help[verbs[i]] == "" ? "" : ":" plain(verb_help[verbs[i]])))
	print "\t)"
	print "\t_describe verb verbs && ret=0"
	print "\t;;"
	print "rest)"
	print "\tcase $line[1] in"
	for (i = 2; i <= n_contexts; i++) {
		print "\t" context[i] ")"
		arguments(context[i], "\t\t")
		operand_specs(context[i], "\t\t\t")
		print "\t\tret=$?"
		print "\t\t;;"
	}
	print "\tesac"
	print "\t;;"
	print "esac"
	print "return ret"
}

# Without a verb there are only --help and --version.
function option_specs_none()
{
	print "\t'--help[print the help]' '--version[print the version]' \\"
}
