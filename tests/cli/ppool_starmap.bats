# SPDX-License-Identifier: MIT
# ppool_starmap.bats - many arguments: columns, lists of words, packed items, and which items are used.
# shellcheck shell=bash disable=SC2016,SC1083,SC1003,SC2086,SC2154,SC2119,SC2120,SC2030,SC2031

load support

setup() {
	common_setup
	make_args
}
teardown() { common_teardown; }

# feed INPUT VERB ARGS...: ppool VERB ARGS with INPUT (printf's format) on its standard input.
feed() {
	local input=$1
	shift
	# shellcheck disable=SC2059
	printf "$input" | ppool "$@"
}

# fails_before_it_runs TEXT COMMAND...: status 125, one line that holds TEXT, and no job was run.
fails_before_it_runs() {
	local text=$1
	shift
	run -125 --separate-stderr "$@"
	[[ "${stderr_lines[0]}" == "ppool: "*"$text"* ]] || { echo "$stderr"; return 1; }
	[ -z "$output" ] || { echo "printed $output"; return 1; }
	[ ! -e ran ] || { echo "ran"; return 1; }
}

# ---- columns

@test "starmap gives each column of a line as an argument" {
	run -0 feed 'a\tb c\t\nd\n\n' starmap args
	[ "$output" = $'3:[a][b c][]\n1:[d]\n1:[]' ]
}

@test "numbers count columns from both ends, with the forms of paths" {
	run -0 feed 'd/a.tar.gz\tb\n' starmap args {2} {-2} x{1}y{1} {}
	[ "$output" = $'4:[b][d/a.tar.gz][xd/a.tar.gzyd/a.tar.gz][d/a.tar.gz\tb]' ]
	run -0 feed 'd/a.tar.gz\tb\n' starmap args {1.} {1/} {1//} {1/.} {-2/}
	[ "$output" = '5:[d/a.tar][a.tar.gz][d][a.tar][a.tar.gz]' ]
}

@test "a column that is not there is empty" {
	run -0 feed 'a\nb\tc\n' starmap args {2} x{9}
	[ "$output" = $'2:[][x]\n2:[c][x]' ]
}

@test "{} is the whole line, and then nothing is appended" {
	run -0 feed 'a\tb\n' starmap args {}
	[ "$output" = $'1:[a\tb]' ]
	run -0 feed 'a\tb\n' starmap args {#} {%}
	[ "$output" = '4:[1][1][a][b]' ]
}

@test "{0} is refused before anything runs, unknown words stay as they are" {
	fails_before_it_runs '{0}' feed 'a\n' starmap touch ran {0}
	fails_before_it_runs '{0}' ppool map -n2 touch ran {0/} ::: a
	fails_before_it_runs '{0}' ppool map --shell 'touch ran {0}' ::: a ::: b
	run -0 feed 'a b\tc\n' starmap awk 'BEGIN {print "{x}", ARGV[1]}' {2}
	[ "$output" = '{x} c' ]
}

@test "where there are no columns numbers are ordinary text" {
	run -0 ppool map args {0} {1} {} ::: a
	[ "$output" = '3:[{0}][{1}][a]' ]
}

@test "--colsep takes a byte as itself, or an escape" {
	run -0 feed 'a.b|c\n' map --colsep . args
	[ "$output" = '2:[a][b|c]' ]
	run -0 feed 'a.b|c\n' map --colsep '|' args
	[ "$output" = '2:[a.b][c]' ]
	run -0 feed 'a  b\n' starmap --colsep ' ' args
	[ "$output" = '3:[a][][b]' ]
	run -0 feed 'a\tb\n' map --colsep '\t' args
	[ "$output" = '2:[a][b]' ]
	run -0 feed 'a:b\n' map --colsep '\x3a' args
	[ "$output" = '2:[a][b]' ]
	run -0 feed 'a\0b\nc\0\n' map --colsep '\0' args
	[ "$output" = $'2:[a][b]\n2:[c][]' ]
	run -0 feed 'a\nb\0c\nd\0' map -0 --colsep '\n' args
	[ "$output" = $'2:[a][b]\n2:[c][d]' ]
}

@test "--colsep takes anything longer as an extended regular expression" {
	run -0 feed 'a1b22c\n' map --colsep '[0-9]+' args
	[ "$output" = '3:[a][b][c]' ]
	run -0 feed ' a , b;c\n' map --colsep ' *[,;] *' args
	[ "$output" = '3:[ a][b][c]' ]
	run -0 feed 'a->b\n' map --colsep '->' args
	[ "$output" = '2:[a][b]' ]
	run -0 feed 'a→b\n' map --colsep → args
	[ "$output" = '2:[a][b]' ]
}

@test "--colsep refuses what is no pattern" {
	refuses ppool map -- --colsep '' 'a(' '||'
	refuses ppool map --csv -- --colsep ', ' '"'
}

@test "columns cannot end with the byte that ends items" {
	fails_before_it_runs --colsep feed 'a\n' map --colsep '\n' touch ran
	fails_before_it_runs --delimiter feed 'a\n' starmap -d '\t' touch ran
	fails_before_it_runs --colsep feed 'a\n' map -0 --colsep '\0' touch ran
	fails_before_it_runs 'NUL byte' feed 'a\n' map --colsep '\0' touch ran {/}
}

@test "columns are quoted for the shell" {
	printf '%s\t%s\n' "it's" '$HOME; `id` "x"' '' '*' >in
	run -0 ppool starmap -a in --shell 'printf "%s|" {1} x{2}; echo'
	[ "$output" = "it's|x\$HOME; \`id\` \"x\"|"$'\n|x*|' ]
	run -0 ppool starmap -a in --shell 'printf "%s|"'
	[ "$output" = "it's|\$HOME; \`id\` \"x\"||*|" ]
}

@test "--tag shows the whole line" {
	run -0 feed 'a\tb\n' starmap --tag echo {2}
	[ "$output" = 'a\tb'$'\tb' ]
	run -0 ppool map --tag echo {2} ::: a ::: x y
	[ "$output" = $'a x\tx\na y\ty' ]
}

@test "--dry-run shows the columns in their places" {
	run -0 feed 'a b\tc\n' starmap --dry-run touch {2} {1}
	[ "$output" = "touch c 'a b'" ]
}

@test "a failed job that is tried again gets the same columns" {
	run -0 feed 'a\tb\nc\td\n' starmap --retry 1 --retry-delay 0 --shell 'echo {2}{1}; [ $PCORE_ATTEMPT = 2 ]'
	[ "$output" = $'ba\ndc' ]
}

@test "a line of very many columns is no problem" {
	seq 1 50000 | paste -s >in
	run -0 ppool starmap -a in sh -c 'echo $#' sh
	[ "$output" = 50000 ]
	run -0 ppool starmap -a in echo {-1} {1} {40000}
	[ "$output" = '50000 1 40000' ]
}

# ---- CSV

@test "--csv splits records as RFC 4180 says" {
	printf '%s\n' 'a,"b,c","say ""hi"""' ',' '"",x' '5" pipe,"q"r' >in
	run -0 ppool map --csv -a in args
	[ "${lines[0]}" = '3:[a][b,c][say "hi"]' ]
	[ "${lines[1]}" = '2:[][]' ]
	[ "${lines[2]}" = '2:[][x]' ]
	[ "${lines[3]}" = '2:[5" pipe][qr]' ]
}

@test "newlines in quotes belong to the column, LF and CRLF end a record, an empty line is none" {
	run -0 feed '"a\nb",c\r\n\r\n\n"d\r\n"\n"e"' map --csv args
	[ "$output" = $'2:[a\nb][c]\n1:[d\r\n]\n1:[e]' ]
	run -0 feed '"a\nb","c"\r\n' map --csv args {} {1}
	[ "$output" = $'2:["a\nb","c"][a\nb]' ]
}

@test "--csv with --colsep takes another separator" {
	run -0 feed 'a,b;"c;d"\n' map --csv --colsep ';' args
	[ "$output" = '2:[a,b][c;d]' ]
}

@test "a quote that is not closed is 125; the records before it are run" {
	run -125 --separate-stderr feed 'a,b\n"c\nd\n' map --csv args
	[ "$output" = '2:[a][b]' ]
	[ "$stderr" = 'ppool: item 2 has a quote that is not closed' ]
	fails_before_it_runs 'not closed' ppool map --csv touch ran ::: a '"b'
	run -125 --separate-stderr sh -c '(printf "a\n\""; yes) | ppool map --csv args'
	[ "$output" = '1:[a]' ]
	[[ "$stderr" == "ppool: item 2 is longer than"* ]]
}

@test "--csv excludes --null and --delimiter" {
	fails_before_it_runs --null feed 'a' map --csv -0 touch ran
	fails_before_it_runs --delimiter feed 'a' map --csv -d, touch ran
}

@test "a real table comes out as another program reads it" {
	command -v python3 >/dev/null || skip "needs python3"
	cat >make.py <<-'PY'
	import csv, random, sys
	random.seed(7)
	parts = ['a', ',', '"', '\n', '\r\n', '\r', ' ', "'", ';', '\t', 'é', '""', '']
	rows = [[''.join(random.choices(parts, k=random.randrange(6))) + 'x' for _ in range(4)] for _ in range(60)]
	csv.writer(open('in.csv', 'w', newline='')).writerows(rows)
	for row in csv.reader(open('in.csv', newline='')):
	    sys.stdout.write(''.join('<%s>' % c for c in row) + '\n')
	PY
	python3 make.py >expected
	ppool map --csv -a in.csv printf '<%s><%s><%s><%s>\n' | cmp - expected
}

# ---- names

@test "--header names the columns" {
	printf '%s\n' 'id,First Name,file' '1,Ann,d/a.c' '"2","B, C",b.d' >in
	run -0 ppool map --csv --header -a in args {file/} '<{First Name}>' {id} {2} {-1.}
	[ "$output" = $'5:[a.c][<Ann>][1][Ann][d/a]\n5:[b.d][<B, C>][2][B, C][b]' ]
	run -0 feed 'a\tb\n1\t2\n' map --header args {b}
	[ "$output" = '1:[2]' ]
	run -0 feed 'a b\n1 2\n' starmap --header --colsep ' ' args
	[ "$output" = '2:[1][2]' ]
}

@test "a name that no column has is 125 before anything runs" {
	fails_before_it_runs "'nope'" feed 'a\tb\n1\t2\n' map --header touch ran {nope}
	fails_before_it_runs "'b.x'" feed 'a\tb\n1\t2\n' map --header --shell 'touch ran {b.x}'
	fails_before_it_runs "'a'" feed 'a\ta\n1\t2\n' map --header touch ran {a}
	fails_before_it_runs "{0}" feed 'a\tb\n1\t2\n' map --header touch ran {0}
	fails_before_it_runs "'nope'" ppool map --header touch ran {nope} ::: a ran
	fails_before_it_runs "'nope'" feed 'a\tb\n1\t2\n' map --header --dry-run touch ran {nope}
}

@test "a byte order mark, as spreadsheets write it, is not a part of the first name" {
	run -0 feed '\xef\xbb\xbf"first\nname",b\r\n1,2\r\n' map --csv --header echo $'{first\nname}' {b}
	[ "$output" = "1 2" ]
	run -0 feed '\xef\xbb\xbfa\tb\n1\t2\n' map --header echo {a}
	[ "$output" = 1 ]
	run -0 feed '\xef\xbb\xbfx\n' map echo
	[ "$output" = $'\xef\xbb\xbfx' ]
}

@test "the header of a slow input is waited for" {
	mkfifo in
	ppool map --header echo {x} <in >out &
	exec 7>in
	printf 'x\n' >&7
	printf '1\n' >&7
	wait_for 5 nonempty out
	exec 7>&-
	ends 0 $!
	[ "$(cat out)" = 1 ]
}

@test "without a header line there are no jobs" {
	run -0 feed '' map --header touch ran {x}
	run -0 feed 'x\n' map --header touch ran {x}
	run -0 ppool map --header touch ran {x} ::: x
	[ ! -e ran ]
}

@test "words in braces that are no names stay under --header" {
	run -0 feed 'x y\n3 4\n' map --header --colsep ' ' awk 'BEGIN {print ARGV[1] + 1; exit}' {y}
	[ "$output" = 5 ]
}

@test "the first words after ::: name their lists" {
	run -0 ppool map --header echo {X}={Y/} ::: X 1 2 ::: Y d/a b
	[ "$output" = $'1=a\n1=b\n2=a\n2=b' ]
}

# ---- lists of words

@test "several ::: give all combinations, the last varies fastest" {
	run -0 ppool map echo ::: a b ::: 1 2 3
	[ "$output" = $'a 1\na 2\na 3\nb 1\nb 2\nb 3' ]
	run -0 ppool starmap echo {3}{1} {} ::: a b ::: 1 ::: x y
	[ "$output" = $'xa a 1 x\nya a 1 y\nxb b 1 x\nyb b 1 y' ]
	run -0 ppool map args '<{}>' {} ::: 'a b' ::: c
	[ "$output" = '3:[<a b c>][a b][c]' ]
	run -0 ppool map touch ran ::: a b :::
	[ ! -e ran ]
}

@test ":::+ goes along with the list before it, and the shorter one ends it" {
	run -0 ppool map echo ::: a b c :::+ 1 2
	[ "$output" = $'a 1\nb 2' ]
	run -0 ppool map echo ::: a b :::+ 1 2 3 ::: x y
	[ "$output" = $'a 1 x\na 1 y\nb 2 x\nb 2 y' ]
	fails_before_it_runs :::+ ppool map touch :::+ ran
}

@test "words after ::: are split when --colsep or --csv says how" {
	run -0 ppool map --colsep , args ::: a,b 'c d'
	[ "$output" = $'2:[a][b]\n1:[c d]' ]
	run -0 ppool map --csv args ::: '"a,b",c' '' d
	[ "$output" = $'2:[a,b][c]\n1:[d]' ]
	run -0 ppool map --colsep , args {3} {-1} ::: a,b ::: c,d
	[ "$output" = '2:[c][d]' ]
	run -0 ppool starmap args ::: $'a\tb'
	[ "$output" = $'1:[a\tb]' ]
}

@test "a product far too large to be stored starts at once" {
	local words
	mapfile -t words < <(seq 1000)
	run -0 timeout 20 ppool map --max 2 echo ::: "${words[@]}" ::: "${words[@]}" ::: "${words[@]}" ::: "${words[@]}"
	[ "$output" = $'1 1 1 1\n1 1 1 2' ]
	fails_before_it_runs combinations ppool map touch ran ::: "${words[@]}" ::: "${words[@]}" ::: "${words[@]}" ::: "${words[@]}" \
		::: "${words[@]}" ::: "${words[@]}" ::: "${words[@]}"
}

# ---- packed items

@test "-n packs items, which {1} to {N} stand for; the last job's missing ones are empty" {
	run -0 sh -c 'seq 5 | ppool map -n 2 args {1} x{2} {-1}'
	[ "$output" = $'3:[1][x2][2]\n3:[3][x4][4]\n3:[5][x][5]' ]
	run -0 ppool map -n 2 --shell 'echo {2} {1}' ::: 'a b' "it's" c
	[ "$output" = $'it\'s a b\n c' ]
}

@test "-n above 1 and --fill are refused where items have columns" {
	fails_before_it_runs columns feed 'a\n' starmap -n 2 touch ran
	fails_before_it_runs columns feed 'a\n' map --csv --fill touch ran
	fails_before_it_runs columns feed 'a\n' map --header -n 2 touch ran
	fails_before_it_runs columns ppool map --fill touch ran ::: a ::: b
	fails_before_it_runs --fill feed 'a\n' map --fill -n 3 touch ran
	run -0 feed 'a\tb\n' starmap -n 1 echo {2}
	[ "$output" = b ]
}

@test "--fill packs as many items as the kernel takes, and every item arrives once" {
	seq 300000 >in
	ppool map --fill -a in printf '%s\n' | cmp - in
	run -0 ppool map --fill --limit stack=8M -a in sh -c 'echo $#' sh
	[ "${#lines[@]}" = 3 ] # these are 4.2 MiB with their pointers, and a job takes 2 MiB
	local n=${lines[0]} used
	used=$(($(head -n "$n" in | wc -c) + 8 * n + $(env -0 | wc -c) + 8 * $(env -0 | tr -cd '\0' | wc -c)))
	((used > 2097152 - 3000 && used < 2097152)) || { echo "$used bytes used"; return 1; }
}

@test "--fill reckons with the jobs' own limit on the stack and with the environment" {
	seq 60000 >in
	run -0 sh -c 'ppool map --fill --limit stack=1M -a in printf "%s\n" | cmp - in'
	run -0 ppool map --fill --limit stack=1M -a in sh -c 'echo $#' sh
	[ "${#lines[@]}" -ge 4 ]
	one=${lines[0]}
	BIG=$(head -c 100000 /dev/zero | tr '\0' x) run -0 ppool map --fill --limit stack=1M -a in sh -c 'echo $#' sh
	[ "${lines[0]}" -lt $((one * 3 / 4)) ]
}

@test "--fill keeps a single string below the kernel's limit" {
	seq 100000 >in
	ppool map --fill -a in --shell 'printf "%s\n" {}' | cmp - in
	run -0 ppool map --fill -a in sh -c 'echo ${#1}' sh 'x{}'
	[ "${#lines[@]}" -le 6 ]
	[ "${lines[0]}" -gt 131000 ]
}

@test "--fill leaves room for the interpreter of a script" {
	printf '#!%s -e\nprintf "%%s\\n" "$@"\n' "$(readlink -f /bin/sh)" >script
	chmod +x script
	seq 300000 >in
	ppool map --fill -a in ./script | cmp - in
}

@test "an item that no command line can hold fails alone under --fill" {
	{ seq 3; printf '%0131072d\n' 0; seq 4 6; } >in
	run -1 --separate-stderr ppool map --fill -a in echo
	[ "$output" = $'1 2 3\n4 5 6' ]
	[[ "$stderr" == "ppool: "*"too long"* ]]
}

@test "a job of --fill starts when it is full, not at the end of the input" {
	mkfifo in
	ppool map --fill --limit stack=256K sh -c 'echo $#' sh <in >out &
	exec 7>in
	seq 20000 >&7
	wait_for 10 nonempty out
	exec 7>&-
	ends 0 $!
	[ "$(paste -sd+ out | bc)" = 20000 ]
}

# ---- which items are used

@test "--skip-empty leaves empty items out" {
	run -0 feed '\na\n\n \n' map --skip-empty args
	[ "$output" = $'1:[a]\n1:[ ]' ]
	run -0 feed '\0a\0\0' map -0 --skip-empty args
	[ "$output" = '1:[a]' ]
	run -0 ppool map --skip-empty args ::: '' a ''
	[ "$output" = '1:[a]' ]
	run -0 feed '\n\nx\n\n1\n' map --skip-empty --header args {x}
	[ "$output" = '1:[1]' ]
}

@test "--skip-lines leaves lines out before the header" {
	run -0 feed 'a\nb\nc\n' map --skip-lines 2 echo
	[ "$output" = c ]
	run -0 feed '5" junk, "\n\nx,y\n1,"2\n3"\n' map --skip-lines 2 --csv --header args {y}
	[ "$output" = $'1:[2\n3]' ]
	run -0 feed 'a\n' map --skip-lines 9 touch ran
	[ ! -e ran ]
	run -0 ppool map --skip-lines 1 echo ::: a b ::: 1 2 3
	[ "$output" = $'b 2\nb 3' ]
	run -0 feed 'a\0b\nc\n' map --skip-lines 1 echo
	[ "$output" = c ]
}

@test "--max uses so many items and reads no more" {
	run -0 timeout 20 sh -c 'yes | ppool map --max 3 echo'
	[ "$output" = $'y\ny\ny' ]
	run -0 sh -c 'seq 9 | ppool map -n 2 --max 3 echo'
	[ "$output" = $'1 2\n3' ]
	run -0 feed '\na\n\nb\nc\n' map --skip-empty --max 2 echo
	[ "$output" = $'a\nb' ]
	run -0 ppool map --max 0 touch ran ::: a
	[ ! -e ran ]
	run -0 feed 'x\n1\n2\n' map --header --max 1 echo {x}
	[ "$output" = 1 ]
}

@test "--shuffle uses every item once, and a seed gives the same order" {
	seq 200 >in
	ppool map --shuffle -n 200 -a in printf '%s\n' >one
	sort -n one | cmp - in
	run ! cmp -s one in
	ppool map --shuffle=7 -n 200 -a in printf '%s\n' >one
	ppool map --shuffle=7 -n 200 printf '%s\n' <in >two
	cmp one two
	ppool map --shuffle=7 -n 200 printf '%s\n' ::: {1..200} | cmp - one
	ppool map --shuffle=8 -n 200 -a in printf '%s\n' >two
	run ! cmp -s one two
	sort -n two | cmp - in
}

@test "--shuffle goes with the header, columns, combinations and --max" {
	run -0 feed 'x\ty\n1\ta\n2\tb\n3\tc\n' map --header --shuffle=1 echo {y}{x}
	[ "$(sort <<<"$output" | paste -s)" = $'a1\tb2\tc3' ]
	run -0 ppool map --shuffle=1 --max 3 echo ::: a b ::: 1 2
	[ "${#lines[@]}" = 3 ]
	[ "$(sort -u <<<"$output" | grep -cx '[ab] [12]')" = 3 ]
	run -0 feed 'a,"b\nc"\n"d""",e\n' map --csv --shuffle args
	[ "$(sort <<<"$output" | paste -s)" = $'2:[a][b\t2:[d"][e]\tc]' ]
	run -0 feed 'a\0b\nc\0d\n' map --colsep '\0' --shuffle=1 args
	[ "$(sort <<<"$output" | paste -s)" = $'2:[a][b]\t2:[c][d]' ]
	run -0 ppool map --shuffle touch ran </dev/null
	[ ! -e ran ]
}

@test "numbers that are none are refused" {
	refuses ppool map -- --skip-lines '' -1 1.5
	refuses ppool map -- --max '' x 99999999999999999999
	for value in '' -1 99999999999999999999; do
		fails_before_it_runs "'$value' for '--shuffle'" ppool map --shuffle=$value touch ran ::: a
	done
	for option in --fill --header --csv --skip-empty; do
		fails_before_it_runs "'$option'" ppool map $option=x touch ran ::: a
	done
}

@test "an endless input with columns is worked on as it comes, in bounded memory" {
	run -0 --separate-stderr timeout 60 sh -c 'yes "a,\"b\"" | ppool map --csv --dry-run -j1 echo {2} | head -n 100000 | sort -u'
	[ "$output" = 'echo b' ]
	mkfifo in
	ppool starmap echo {2} <in >out &
	exec 7>in
	printf 'a\tb\n' >&7
	wait_for 5 nonempty out
	exec 7>&-
	ends 0 $!
	[ "$(cat out)" = b ]
}

# ---- workers

@test "a worker reads combinations joined by blanks, and lines and records as they are" {
	run -0 ppool map --worker cat ::: a b ::: 1 :::+ x
	[ "$output" = $'a 1 x\nb 1 x' ]
	run -0 ppool map --worker --tag cat ::: a ::: 1 2
	[ "$output" = $'a 1\ta 1\na 2\ta 2' ]
	run -0 feed 'x,y\n"1",2\n\n3,"4"\n' map --csv --header --worker cat
	[ "$output" = $'"1",2\n3,"4"' ]
	run -0 feed 'a\tb\n\nc\n' starmap --skip-empty --max 2 --worker cat
	[ "$output" = $'a\tb\nc' ]
}

@test "a worker is given no columns and no packed items" {
	fails_before_it_runs '{}' feed 'a\n' starmap --worker touch ran {1}
	fails_before_it_runs '{}' feed 'a\n1\n' map --header --worker touch ran {a}
	fails_before_it_runs "'b'" feed 'a\n1\n' map --header --worker touch ran {b}
	fails_before_it_runs --fill feed 'a\n' map --fill --worker touch ran
}
