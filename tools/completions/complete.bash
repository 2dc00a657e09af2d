# SPDX-License-Identifier: MIT
# complete.bash - what the completions of all tools have in common in bash; bash.awk puts it into the file of each.
# shellcheck shell=bash

# The words of the line up to the cursor as they were typed: bash has cut them at `=' and `:'. Sets words, and starts: where
# each begins in COMP_WORDS.
_pcore_words() {
	local rest=$COMP_LINE i word
	words=() starts=()
	for ((i = 0; i <= COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		if ((i > 0)) && [[ $rest != [[:blank:]]* && $word ]]; then
			words[${#words[@]} - 1]+=$word
		else
			rest=${rest#"${rest%%[![:blank:]]*}"}
			words+=("$word") starts+=("$i")
		fi
		rest=${rest#"$word"}
	done
}

# The words of KINDS that begin as $2 does.
_pcore_values() {
	local kinds kind
	IFS=, read -ra kinds <<<"$1"
	for kind in "${kinds[@]}"; do
		case $kind in
		@none) ;;
		@file) compopt -o filenames 2>/dev/null; mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -f -- "$2") ;;
		@dir) compopt -o filenames 2>/dev/null; mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -d -- "$2") ;;
		@user) mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -u -- "$2") ;;
		@group) mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -g -- "$2") ;;
		@name) mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -W "$("$names")" -- "$2") ;;
		*) mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -W "$kind" -- "$2") ;;
		esac
	done
}

# What a word of the line says of the next: with an option that takes a value of its own, REPLY is the KINDS of that.
_pcore_takes() {
	local opt word=$1
	REPLY=
	[[ $word = --* || $word != -?* ]] || word=-${word: -1}
	for opt in "${opts[@]}"; do
		[[ $opt != "$word="* ]] || REPLY=${opt#*=}
	done
	[[ $REPLY ]]
}

# The cursor is behind --name= of $1.
_pcore_attached() {
	local opt
	for opt in "${opts[@]}"; do
		[[ $opt != "${1%%=*}="* && $opt != "${1%%=*}[="* ]] || _pcore_values "${opt#*=}" "${1#*=}"
	done
	[[ $COMP_WORDBREAKS = *=* ]] || COMPREPLY=("${COMPREPLY[@]/#/${1%%=*}=}")
}

_pcore_options() {
	local opt
	for opt in "${opts[@]}"; do
		opt=${opt%%=*}
		COMPREPLY+=("${opt%[}")
	done
	mapfile -t COMPREPLY < <(compgen -W "${COMPREPLY[*]}" -- "$1")
}

# A command that begins at word $1, by its own completion where bash-completion is there.
_pcore_command() {
	if declare -F _comp_command_offset >/dev/null; then
		_comp_command_offset "${starts[$1]}"
	elif declare -F _command_offset >/dev/null; then
		_command_offset "${starts[$1]}"
	elif (($1 == last)) && [[ $cur != */* ]]; then
		mapfile -t COMPREPLY < <(compgen -c -- "$cur")
	else
		_pcore_values @file "$cur"
	fi
}

# Options of $1 and operands that are names change what operands are expected; `--' ends the options.
_pcore_option() {
	local j
	if [[ $1 = -- ]]; then
		dashed=yes
		for ((j = n; j < ${#kinds[@]}; j++)); do
			[[ ${kinds[j]} != @dashed ]] || { n=$j kinds[j]=@command; return; }
		done
	elif [[ " $naming " = *" $1 "* ]]; then
		kinds=('@name*')
	fi
}

# $1 sets the table of a verb, $2 prints the names of what runs.
_pcore_complete() {
	local table=$1 names=$2 options='' operands='' verbs='' naming='' dashed='' REPLY
	local words starts opts kinds cur last i=1 n=0
	COMPREPLY=()
	_pcore_words
	last=$((${#words[@]} - 1)) cur=${words[-1]}
	"$table" ''
	if [[ $verbs ]] && ((last > 1)); then
		"$table" "${words[1]}" || return 0
		i=2
	elif [[ $verbs && $cur != -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$verbs" -- "$cur")
		return 0
	fi
	read -ra opts <<<"$options"
	read -ra kinds <<<"$operands"
	for (( ; i < last; i++)); do
		if [[ ! $dashed && ${words[i]} = -?* ]]; then
			_pcore_option "${words[i]}"
			if _pcore_takes "${words[i]}"; then
				((++i < last)) || { _pcore_values "$REPLY" "$cur"; return 0; }
			fi
		elif [[ ${kinds[n]-} = @command ]]; then
			break
		elif [[ ${kinds[n]-} != *'*' ]]; then
			n=$((n + 1))
		fi
	done
	if [[ ${kinds[n]-} = @command && (${words[i]} != -* || $dashed) ]]; then
		_pcore_command "$i"
	elif [[ ! $dashed && $cur = --*=* ]]; then
		_pcore_attached "$cur"
	elif [[ ! $dashed && $cur = -* ]]; then
		_pcore_options "$cur"
	elif [[ ${kinds[n]-} != @dashed ]]; then
		_pcore_values "${kinds[n]%'*'}" "$cur"
	fi
	return 0
}
