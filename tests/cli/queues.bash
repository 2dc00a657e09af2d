# SPDX-License-Identifier: MIT
# queues.bash - what the tests of queues share.
# shellcheck shell=bash

# started VAR COMMAND...: run it in the background; its pid goes to VAR
started() {
	local -n ret=$1
	shift
	"$@" <&0 & # without <&0 it would get /dev/null
	ret=$!
}

# Does the process sleep in a futex? That is where gets and puts wait.
waits() { grep -q -e futex -e rt_mutex "/proc/$1/wchan" 2>/dev/null || [ "$(cut -d' ' -f1 "/proc/$1/syscall" 2>/dev/null)" = 202 ]; }

len_is() { [ "$(pqueue len "$1")" = "$2" ]; }
field() { pqueue stat --json "$1" | jq -r ".$2"; }

stat_is() { [ "$(field "$1" "$2")" = "$3" ]; }
