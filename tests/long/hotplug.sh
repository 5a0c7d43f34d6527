#!/usr/bin/env bash
# tests/long/hotplug.sh - Debian's kernel with ACPI CPU hot-plug: it lets processors go and takes them by a plan, on
# both clocks, nproc follows; two systems of four processors on two workers are asked for processors by parking, at
# least one of them does with fewer, and the work that they do is told.
NESTOR=${1:-${NESTOR:-$(dirname "$0")/../../nestor}}
. "$(dirname "$0")/../e2e/linux/lib.sh"

# Brings online what comes, as udev's rule does, and says how many there are when that changes; @n times 0.1 s.
cat >"$work/follow" <<'S'
#!/bin/sh
n=0 old=
while [ $n -lt $1 ]; do
	for c in /sys/devices/system/cpu/cpu[1-9]*; do
		{ [ "$(cat $c/online)" = 0 ] && echo 1 >$c/online; } 2>/dev/null
	done
	new=$(nproc)
	[ "$new" = "$old" ] || echo "processors $new"
	old=$new
	sleep 0.1
	n=$((n + 1))
done
S
chmod +x "$work/follow"
initrd plan "$work/follow" <<'S'
follow 60
dmesg -r | grep '^<[0-4]>'
poweroff -f
S
counts() { sed -n 's/^processors //p' "$work/out.txt" | xargs; }

# shellcheck disable=SC2086
for options in '--clock virtual' '--clock virtual --workers 2'; do
	boot plan --cpus 4 --cpu-hotplug 0s-3,2s-1,3s-2,4s+3,5s+1 $options </dev/null
	expect "$options" 'processors 3$'
	[ "$(counts)" = '3 2 1 2 3' ] || fail "$options: processors $(counts)"
	expect_no_warnings "$options"
done

# How far the guest is by then is the host's affair.
boot plan --cpus 4 --cpu-hotplug 0s-3,2s-1,3s-2,4s+3,5s+1 --clock host --workers 2 </dev/null
expect 'host clock' 'processors 3$'
[ "$(counts | tail -c 2)" = 3 ] || fail "host clock: processors $(counts)"

# Two systems on two workers under parking, which wants one processor of each fewer until it has what it needs; the
# second ends first.
initrd load "$work/follow" <<'S'
follow 100000 &
mkdir /tmp
for i in 1 2 3 4; do
	(while :; do cat /proc/uptime | cut -d ' ' -f 1 | grep -q x; echo >>/tmp/done.$i; done) &
done
sleep $SECONDS_TO_RUN
echo "work $(cat /tmp/done.* | wc -l)"
poweroff -f
S
lab() { # PARKING HOTPLUG
	cat <<EOF
[host]
clock = virtual
insn-time = 20ns
charge = exit-l1=1us,exit-kept=1us,reflect=1us,entry=1us,vp-switch=5us
workers = 2
sched = qos
parking = $1
stats = yes
output = $work/load-$1-$2

EOF
	for m in A:8 B:4; do
		cat <<EOF
[machine ${m%:*}]
image = $vmlinuz
initrd = $work/load.gz
memory = 256M
cpus = 4
$2
append = console=ttyS0 quiet SECONDS_TO_RUN=${m#*:}

EOF
	done
}
for way in no: yes: 'yes:cpu-hotplug = on'; do
	rm -rf "$work"/load-*
	lab "${way%%:*}" "${way#*:}" >"$work/load.ini"
	sed -i 's#^output.*#output = '"$work"'/load-out#' "$work/load.ini"
	timeout 1500 "$nestor" run "$work/load.ini" >"$work/out" 2>"$work/err" || fail "load, $way: status $?"
	tr -d '\r' <"$work/load-out/A.serial" >"$work/A"
	tr -d '\r' <"$work/load-out/B.serial" >"$work/B"
	did="$(sed -n 's/^work //p' "$work/A") and $(sed -n 's/^work //p' "$work/B")"
	seen="$(sed -n 's/^processors //p' "$work/A" | xargs) and $(sed -n 's/^processors //p' "$work/B" | xargs)"
	echo "parking ${way%%:*}${way#*:}: work $did, processors $seen"
	case $way in
	*on) # which of them, and how many, is by who was starting when; at three on two workers (33 %) nothing is given back
		case $seen in *[123]*) ;; *) fail "processors $seen" ;; esac
		case $did in ' and '* | *' and ') fail "work $did" ;; esac
		;;
	*) [ "$seen" = '4 and 4' ] || fail "processors $seen" ;;
	esac
done
