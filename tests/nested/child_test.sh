#!/usr/bin/env bash
# The child VMM under nestor: boots in each of its ways, runs each kind of guest under each of its
# own variants, meets its deadlines when it has the machine for itself, survives a guest that crashes.
set -u
images=$NESTOR_BUILD/l1-child
status=0

fail() {
	echo "$1"
	status=1
}

# run IMAGE CMDLINE: output in $out, status in $code
run() {
	out=$("$NESTOR" run --clock virtual --timeout $((60 * ${NESTOR_PATIENCE:-1}))s "$images/$1" --append "$2" 2>&1 </dev/null)
	code=$?
}

# good IMAGE CMDLINE: ends well, no deadline missed
good() {
	run "$1" "$2"
	if [ $code != 1 ] || grep -Eq 'misses [1-9]|error|CRASHED' <<<"$out"; then
		fail "$1 $2: status $code
$out"
	fi
}

# bad IMAGE CMDLINE STATUS PATTERN
bad() {
	run "$1" "$2"
	if [ $code != "$3" ] || ! grep -q "$4" <<<"$out"; then
		fail "$1 $2: status $code, wanted $3 and '$4'
$out"
	fi
}

run hello.elf ''
[ $code = 1 ] && [ "$out" = 'hello from L1' ] || fail "hello.elf: status $code: $out"

# one of each kind
if [ -n "${NESTOR_SHORT:-}" ]; then
	good child32.elf 'guest=rt guest=batch guest=idle guest=procs run=40ms'
	good child64.elf 'sched=prio ack=off ept=4k vpid=off guest=rt guest=procs,n=8,period=1ms,mem=16m run=30ms'
	bad child.elf 'guest=crash,n=0 guest=rt run=30ms' 5 'guest rt1 .*misses 0'
	exit $status
fi

all='guest=rt guest=batch guest=idle guest=procs run=120ms'
for image in child.elf child32.elf child64.elf; do
	good $image "$all"
done
for how in sched=prio sched=strict,work ack=off ept=4k ept=lazy vpid=off slice=300us timer=pit; do
	case $how in
	# one round of the others must fit before the deadline
	sched=strict,work) good child.elf 'sched=strict guest=rt,work=900us guest=batch run=120ms' ;;
	*) good child.elf "$how $all" ;;
	esac
done
good child.elf 'guest=rt,bits=32 guest=batch,bits=32 guest=idle,bits=64 guest=spin,bits=32 run=120ms'
good child.elf 'sched=prio guest=rt,vary=20%,jitter=300us guest=rt,period=5ms,work=1ms,phase=2ms guest=batch run=200ms'
good child.elf 'guest=rt,change=50ms:5ms:1ms,change=100ms:0ms:0ms,change=150ms:10ms:2ms guest=batch run=250ms'
good child.elf 'timer=pit ack=off guest=rt,work=1ms guest=idle run=200ms'
good child.elf 'guest=procs,n=8,period=1ms,mem=16m ept=lazy run=100ms'

# too much work: missed deadlines are counted
run child.elf 'guest=rt,period=5ms,work=6ms run=200ms'
grep -Eq 'misses [1-9]' <<<"$out" || fail "6 ms of work in 5 ms: $out"

# a guest that goes wrong stops alone
for n in 0 1 2; do
	bad child.elf "guest=crash,n=$n guest=rt run=100ms" 5 'guest rt1 .*jobs 9 misses 0'
	grep -q 'guest crash0.*CRASHED' <<<"$out" || fail "crash n=$n: $out"
done
bad child.elf 'guest=crash,n=3 guest=rt run=100ms' 5 'guest rt1 .*jobs 9 misses 0'
bad child.elf 'guest=crash,n=0,bits=32 guest=rt run=100ms' 5 'triple fault'
bad child.elf '' 3 'no guest'
bad child.elf 'guest=rt,perio=1ms' 3 "'perio' is unknown"
bad child.elf 'guest=rt,mem=900m' 3 'out of memory'
exit $status
