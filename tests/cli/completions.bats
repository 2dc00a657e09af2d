# SPDX-License-Identifier: MIT
# completions.bats - what bash, zsh and fish offer, asked of the shells themselves.
# sanitizers: no
# shellcheck shell=bash disable=SC2016,SC2154

load support

setup() {
	common_setup
	export PCORE_RUNTIME_DIR=$PWD/run HOME=$PWD
	made=$PCORE_BUILD/completions
	mkdir folder
	touch flat
}

teardown() { common_teardown; }

# in_bash LINE: what bash offers with the cursor at the end of LINE, sorted. bash cuts the words of a line at `=' and `:'.
in_bash() {
	bash --norc -c '
		source "$1/${2%% *}"
		COMP_LINE=$2 COMP_POINT=${#2}
		[[ $2 = *[[:blank:]] ]] && end=" \"\"" || end=
		set -f
		eval "COMP_WORDS=($(sed "s/[=:]\+/ & /g" <<<"$2")$end)"
		COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
		"_pcore_${2%% *}" "${2%% *}" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
		printf "%s\n" "${COMPREPLY[@]}"' bash "$made/bash" "$1" | LC_ALL=C sort
}

# offers SHELL LINE WORD...: exactly these
offers() {
	local found
	found=$("in_$1" "$2")
	[ "$(paste -sd ' ' <<<"$found")" = "${*:3}" ] || { echo "$1 offers for '$2': $found"; return 1; }
}

@test "bash offers options, verbs, values and commands" {
	offers bash 'prun --tim' --timeout --timestamps
	offers bash 'ppool re' ready resize resume
	offers bash 'psubmit st' starmap stats status
	offers bash 'ppool resize --he' --help
	offers bash 'pqueue create --order ' fifo lifo priority
	offers bash 'pqueue create --order=' fifo lifo priority
	offers bash 'pqueue create --order=l' lifo
	offers bash 'prun --signal US' USR1 USR2
	offers bash 'prun --stdin f' flat folder
	offers bash 'prun --stdin=n' null
	offers bash 'prun --chdir f' folder
	offers bash 'pnode serve --sandbox ' default none strict
	offers bash 'ppool map -j' -j
	offers bash 'ppool map --progress=' bar json
	offers bash 'ptimer next c' cron
	in_bash 'prun --timeout 5 mkfi' | grep -qx mkfifo
	in_bash 'ptimer after 5s --nice 3 -- mkfi' | grep -qx mkfifo
	offers bash 'ptimer after 5s mkfi'
	offers bash 'prun -- ls fl' flat
}

@test "the tables that they are made of are printed on request" {
	[ "$(pqueue rm --help=table)" = "$(printf '%s\t%s\n' usage 'pqueue rm NAME'
		printf '%s\t%s\t%s\t%s\t%s\t%s\n' option h help flag - 'print this help' option V version flag - 'print the version')" ]
	run -125 prun --help=tables
	[ "${lines[0]}" = "prun: option '--help' takes no value" ]
}

@test "bash offers every verb and every long option of --help" {
	local tool verb wanted
	for tool in prun ppool pqueue ptimer pnode psubmit; do
		for verb in '' $("$tool" --help=table | sed -n 's/^verb\t\([^\t]*\).*/\1/p'); do
			wanted=$("$tool" $verb --help | sed -nE 's/^  (-., |    )(--[a-z0-9-]+).*/\2/p' | LC_ALL=C sort)
			[ "$(in_bash "$tool $verb${verb:+ }--")" = "$wanted" ]
		done
	done
}

@test "bash offers what runs by its name" {
	pqueue put q1 item
	pqueue put q2 item
	offers bash 'pqueue get ' q1 q2
	offers bash 'pqueue dead retry q' q1 q2
	prun --detach=job1 sleep 60
	offers bash 'prun --signal INT --kill j' job1
	prun --kill job1
}

# fish and zsh are asked with a file that holds one LINE after the other; each answer is a line `LINE: WORD...`.
check_answers() {
	sed 's/ *$//' >answers
	diff - answers <<-'ANSWERS'
	prun --tim: --timeout --timestamps
	ppool re: ready resize resume
	ppool resize --he: --help
	pqueue create --order : fifo lifo priority
	pqueue create --order=l: lifo
	prun --signal US: USR1 USR2
	prun --chdir f: folder
	pqueue get q: q1 q2
	prun --timeout 5 mkfi: mkfifo
	ptimer after 5s -- mkfi: mkfifo
	ppool apply p mkfi: mkfifo
	ANSWERS
}

asked=('prun --tim' 'ppool re' 'ppool resize --he' 'pqueue create --order ' 'pqueue create --order=l' 'prun --signal US' 'prun --chdir f'
	'pqueue get q' 'prun --timeout 5 mkfi' 'ptimer after 5s -- mkfi' 'ppool apply p mkfi')

@test "fish offers the same" {
	command -v fish >/dev/null || skip "needs fish"
	pqueue put q1 item
	pqueue put q2 item
	for file in "$made"/fish/p{run,pool,queue,timer,node,submit}.fish; do
		fish --no-execute "$file"
	done
	fish --no-config -c '
		for file in $argv[1]/p{run,pool,queue,timer,node,submit}.fish
			source $file
		end
		for line in $argv[2..]
			echo "$line:" (complete -C $line | string replace -r "\t.*" "" | string replace -r "/\$" "" | string replace -r "^--order=" "" | sort)
		end' "$made/fish" "${asked[@]}" | check_answers
}

# In a terminal, since zsh completes nowhere else. What is offered is written to a file by what takes the place of compadd.
@test "zsh offers the same" {
	command -v zsh >/dev/null || skip "needs zsh"
	pqueue put q1 item
	pqueue put q2 item
	for file in "$made"/zsh/_p{run,pool,queue,timer,node,submit}; do
		zsh -n "$file"
	done
	cat >inner <<-'INNER'
		PS1= fpath=($MADE/zsh $fpath)
		autoload -Uz compinit
		compinit -u -D
		compadd() {
			local -a found
			if [[ ${@[1,(i)(-|--)]} = *-[ADO]* ]]; then
				builtin compadd "$@"
			else
				builtin compadd -O found "$@"
				offered+=($found)
				builtin compadd "$@"
			fi
		}
		tell() {
			local -aU all=($offered)
			print -r -- "$BUFFER:" ${(o)all} >>$PWD/answers.zsh
			zle kill-whole-line
		}
		ask() {
			offered=()
			zle expand-word-or-complete
			tell
		}
		zle -N ask
		bindkey '^T' ask
		zle -C expand-word-or-complete list-choices _main_complete
		line-init() { : >$PWD/ready; }
		zle -N zle-line-init line-init
	INNER
	cat >outer <<-'OUTER'
		zmodload zsh/zpty
		await() { repeat 600; do eval $1 && return; zpty -r -t z >/dev/null; sleep 0.05; done; }
		zpty -b z zsh -f -i
		zpty -w z 'source ./inner; stty -echo; rm -f ready'
		await '[[ -e ready ]]'
		n=0
		for line; do
			zpty -w -n z $line$'\x14'
			n=$((n + 1))
			await '(( $(wc -l 2>/dev/null <answers.zsh) == n ))'
		done
		zpty -d z
	OUTER
	touch answers.zsh
	MADE=$made zsh -f outer "${asked[@]}"
	check_answers <answers.zsh
}

