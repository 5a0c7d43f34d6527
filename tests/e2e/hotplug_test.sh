#!/usr/bin/env bash
# CPU hot-plug: a guest lets a processor go that is in VMX operation, and gets it back, under both clocks and engines,
# by a plan; the events tell it; a machine without --cpu-hotplug has no such ports; what cannot be is refused in one line.
set -u
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
image=$NESTOR_BUILD/tests/guests/hotplug_smp.elf
plan='--slice 1ms --cpus 2 --cpu-hotplug 20ms-1,40ms+1'
slow='--slice 1ms --cpus 2 --cpu-hotplug 300ms-1,2s+1' # the host may do something else meanwhile
bad=0

while read -r options; do
	[ -n "${NESTOR_SHORT:-}" ] && [[ $options == *virtual\ * ]] && continue # of one thread, one is enough
	# shellcheck disable=SC2086
	timeout 60 "$NESTOR" run --memory 16M $options "$image" >out 2>&1 </dev/null
	status=$?
	[ $status = 1 ] && grep -q '^passed$' out || { echo "$options: status $status: $(tail -n 5 out)"; bad=1; }
done <<O
$plan --clock virtual
$plan --clock virtual --workers 2 --engine interp
$plan --clock virtual --sched qos --parking
$slow --clock host --workers 2
$slow --clock host --workers 1 --engine interp
O

# shellcheck disable=SC2086
timeout 60 "$NESTOR" run --memory 16M $plan --clock virtual --record -o trace "$image" >out 2>&1 </dev/null
if command -v babeltrace2 >/dev/null && [ -d trace ]; then
	got=$(babeltrace2 trace 2>/dev/null | sed -n 's/.*cpu_hotplug:.*action = ( "\([a-z]*\)".*/\1/p' | xargs)
	[ "$got" = 'asked ejected plugged' ] || { echo "events: $got"; bad=1; }
fi

timeout 60 "$NESTOR" run --memory 16M --cpus 2 --clock virtual --for 30ms "$image" >out 2>&1 </dev/null
grep -q 'port 0xcd.*nothing is there' out || { echo "without --cpu-hotplug: $(tail -n 3 out)"; bad=1; }

refused() { # TEXT OPTION...
	local text=$1 status
	shift
	timeout 60 "$NESTOR" run "$@" "$image" >out 2>&1 </dev/null
	status=$?
	[ $status = 2 ] && [ "$(wc -l <out)" = 1 ] && grep -q -- "$text" out || { echo "$*: status $status: $(cat out)"; bad=1; }
}
refused "'2s' is not TIME-N or TIME+N" --cpus 2 --cpu-hotplug 2s
refused "'soon-1' is not TIME-N or TIME+N" --cpus 2 --cpu-hotplug soon-1
refused 'processor 0 cannot come or go' --cpus 2 --cpu-hotplug 1s-0

# by hand: gdb stops it where it waits to be asked, and where it waits to get the processor back
if [ -z "${NESTOR_SHORT:-}" ] && command -v gdb >/dev/null; then
	for _ in $(seq 20); do
		port=$((20000 + RANDOM % 20000))
		timeout 60 "$NESTOR" run --memory 16M --slice 1ms --cpus 2 --cpu-hotplug on --clock virtual --gdb $port "$image" >out 2>err </dev/null &
		pid=$!
		until grep -q 'waiting for gdb' err || ! kill -0 $pid 2>/dev/null; do sleep 0.05; done
		grep -q 'waiting for gdb' err && break
	done
	await=0x$(nm "$NESTOR_BUILD/tests/guests/hotplug_smp.elf" 2>/dev/null | awk '$3 == "await" {print $1}')
	timeout 60 gdb -nx -q -batch -ex 'set architecture i386:x86-64' -ex "target remote 127.0.0.1:$port" -ex 'monitor plug 1' -ex 'monitor unplug 0' \
		-ex 'monitor unplug 1' -ex 'monitor unplug 2' -ex "break *$await" -ex continue -ex continue -ex 'monitor unplug 1' -ex 'monitor plug 1' \
		-ex delete -ex continue >gdb.out 2>&1
	wait $pid
	status=$?
	for text in 'processor 1 is there' 'processor 0 cannot' 'asked to let processor 1 go' 'processor 2 cannot' 'processor 1 is not there' 'processor 1 is in'; do
		grep -q "$text" gdb.out || { echo "gdb: no '$text'"; bad=1; }
	done
	[ $status = 1 ] || { echo "gdb: status $status"; cat gdb.out out err; bad=1; }
fi
exit $bad
