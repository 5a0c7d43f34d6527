#!/usr/bin/env bash
# The command line as a user meets it: help texts, man pages, one-line errors and their statuses,
# and images that cannot be run.
set -u
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
bad=0

# expect STATUS ARGUMENTS...: nestor ends with STATUS; an error is exactly one line on stderr
expect() {
	local want=$1 got lines
	shift
	timeout 20 "$NESTOR" "$@" >out 2>err </dev/null
	got=$?
	lines=$(wc -l <err)
	if [ $got != "$want" ]; then
		echo "nestor $*: status $got, not $want; it said:"
		cat out err
		bad=1
	elif [ "$want" != 0 ] && [ "$lines" != 1 ]; then
		echo "nestor $*: $lines lines of error, not 1:"
		cat err
		bad=1
	fi
}

says() {
	grep -q -- "$1" out err || {
		echo "nothing said '$1':"
		cat out err
		bad=1
	}
}

expect 0 --help
says 'Exit status'
expect 0 --version
expect 0 version
commands=$("$NESTOR" --help | awk '/^  [a-z]+ / && $1 != "odd" {print $1}')
for c in $commands; do
	expect 0 "$c" --help
	says "Usage: nestor $c"
	expect 0 help "$c"
	expect 0 man "$c"
	says '^.SH SYNOPSIS'
done
expect 0 man

expect 2
expect 2 rum
says "did you mean 'run'"
expect 2 run
expect 2 run --nonsense
expect 2 run x --memory
expect 2 run x --memory 7Q
expect 2 run x --memory 100000T
expect 2 run x --cpus 0
expect 2 run x --cpus 9999
expect 2 run x --clock sometimes
expect 2 run x --engine warp

truncate -s 0 empty
echo 'this is no kernel' >text
head -c 100 "$NESTOR" >truncated
head -c 4096 "$NESTOR" >headers-only
# the same program as an image for another machine (e_machine = AArch64) and of the wrong type
{ head -c 18 "$NESTOR"; printf '\267\0'; tail -c +21 "$NESTOR"; } >foreign
{ head -c 16 "$NESTOR"; printf '\1\0'; tail -c +19 "$NESTOR"; } >object
mkfifo pipe
expect 4 run missing
says missing
expect 4 run .
for image in empty text truncated headers-only foreign object; do
	expect 4 run $image --timeout 10s
	says "$image"
done
big=$(ls "$NESTOR_BUILD"/l1-child/*.elf 2>/dev/null | head -n 1)
if [ -n "$big" ]; then
	expect 4 run "$big" --memory 1M --timeout 10s
	expect 4 run "$big" --initrd missing
fi
expect 6 run text -o /nonexistent/folder

exit $bad
