# SPDX-License-Identifier: MIT
# options.bats - what all tools do with values that nobody means: each option of each tool, as --help=table has it.
# shellcheck shell=bash disable=SC2154

load support

setup() { common_setup; }
teardown() { common_teardown; }

# LeakSanitizer finds what an error leaves behind only where no dead frame of a stack still points to it.
export LSAN_OPTIONS=use_stacks=0

# tables TOOL: the rows of its verbs' tables, each after the verb
tables() {
	local verb verbs=()
	mapfile -t verbs < <("$1" --help=table | awk -F '\t' '$1 == "verb" { print $2 }')
	for verb in "${verbs[@]:-}"; do
		"$1" ${verb:+"$verb"} --help=table | sed "s/^/${verb:--}\t/"
	done
}

# options TOOL KIND: `VERB OPTION ARG' for each option that is a flag, or is none, where it is met first
options() {
	tables "$1" | awk -F '\t' -v flag="$2" '$2 == "option" && ($5 == "flag") == (flag == "flag") && !seen[$4, $6]++ { print $1, $4, $6 }'
}

# refused TOOL WORD...: it ends with 125 and says why, in ${said[0]}
refused() {
	local rc=0
	"$@" >out 2>err </dev/null || rc=$?
	mapfile -t said <err
	[ "$rc" = 125 ] && [ ! -s out ] && [ "${#said[@]}" = 2 ] && [[ "${said[0]}" == "$1: "* ]] && [ "${said[1]}" = "try '$1 --help'" ] && return
	printf '%q ' "$@"
	echo "ends with $rc: $(cat out err)"
	return 1
}

# refuses_all TOOL: whatever an option is given, an option that there is not is refused after it, if that was not. Numbers, sizes and
# durations leave nothing behind: one function reads them for all.
refuses_all() {
	local verb option arg value values n=0
	[ "${PCORE_VARIANT-}" = asan ] || skip "needs LeakSanitizer"
	while read -r verb option arg; do
		[ "$verb" != - ] || verb=
		case $arg in N | SIZE | D) continue ;; LIST* | EXPR | *,*) values=('' ',') ;; *) values=('') ;; esac
		for value in "${values[@]}"; do
			refused "$1" ${verb:+"$verb"} "--$option=$value" "--$option=$value" --no-such-option
			n=$((n + 1))
		done
	done < <(options "$1" value)
	[ "$n" -gt 8 ]
}

@test "prun leaves nothing behind when an option is refused" { refuses_all prun; }
@test "ppool leaves nothing behind when an option is refused" { refuses_all ppool; }
@test "pqueue leaves nothing behind when an option is refused" { refuses_all pqueue; }
@test "ptimer leaves nothing behind when an option is refused" { refuses_all ptimer; }
@test "pnode leaves nothing behind when an option is refused" { refuses_all pnode; }
@test "psubmit leaves nothing behind when an option is refused" { refuses_all psubmit; }

@test "a flag takes no value, and an unknown letter is named" {
	local tool verb option arg
	for tool in prun ppool pqueue ptimer pnode psubmit; do
		while read -r verb option arg; do
			[ "$verb" != - ] || verb=
			[ "$option" != help ] || continue
			refused "$tool" ${verb:+"$verb"} "--$option="
			[ "${said[0]}" = "$tool: option '--$option' takes no value" ]
		done < <(options "$tool" flag)
		refused "$tool" ${verb:+"$verb"} -Q
		[ "${said[0]}" = "$tool: unknown option '-Q'" ]
	done
}

@test "more nodes than there may be, and no resource at all, are refused" {
	refused psubmit map "--nodes=$(printf 'unix:n,%.0s' {1..1024})" --nodes=x true
	[ "${said[0]}" = "psubmit: invalid value 'x' for '--nodes': too many" ]
	printf 'unix:%d\n' {1..1025} >nodes
	refused psubmit map --nodes ./nodes true
	[ "${said[0]}" = "psubmit: invalid value 'unix:1025' for '--nodes': too many" ]
	refused pnode check '--resource=gpu=[,]'
	[ "${said[0]}" = "pnode: invalid value 'gpu=[,]' for '--resource': must be NAME=N or NAME=[a,b,c]" ]
}
