#!/usr/bin/env bash
# Bad lab files: one line that says file, line, key, what is wrong and what is allowed; and a machine that
# stops or crashes in the middle of a run leaves the others running.
set -u
shopt -s lastpipe # what is wrong is remembered here
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
child=$NESTOR_BUILD/l1-child/child.elf
bad=0

# wants STATUS PATTERN, the lab on standard input (IMAGE is the child's)
wants() {
	sed "s#IMAGE#$child#" >bad.ini
	timeout 20 "$NESTOR" run bad.ini >out 2>&1 </dev/null
	local status=$?
	if [ $status -ne "$1" ] || ! grep -qE -- "$2" out || [ "$(wc -l <out)" -ne 1 ]; then
		echo "status $status, not $1, or not one line like '$2':"
		cat out
		echo "for:"
		cat bad.ini
		bad=1
	fi
}

host() { printf '[host]\n%s\n[machine A]\nimage = IMAGE\n' "$1"; }
machine() { printf '[machine A]\nimage = IMAGE\n%s\n' "$1"; }

host 'speed = 3' | wants 2 '^nestor run: bad.ini:2: speed: no such key; \[host\] has: clock '
machine 'speed = 3' | wants 2 '^nestor run: bad.ini:3: speed: no such key; \[machine NAME\] has: image '
machine 'workers = 3' | wants 2 'bad.ini:3: workers: .*belongs under \[host\]'
for weight in -3 0 10001 99999999999999999999 heavy; do
	machine "weight = $weight" | wants 2 "bad.ini:3: weight: '$weight' is not a whole number from 1 to 10000"
done
for memory in -1M 0 1T lots; do
	machine "memory = $memory" | wants 2 'bad.ini:3: memory: '
done
for cpus in -1 0 65; do
	machine "cpus = $cpus" | wants 2 "bad.ini:3: cpus: '$cpus' is not a whole number from 1 to 64"
done
for workers in -1 0 100000; do
	host "workers = $workers" | wants 2 "bad.ini:2: workers: '$workers' is not a whole number from 1 to 256"
done
for slice in 0 -1ms soon; do
	host "slice = $slice" | wants 2 "bad.ini:2: slice: '$slice' is not a time above 0"
done
for length in 0 -5s; do
	host "for = $length" | wants 2 "bad.ini:2: for: '$length' is not a time above 0"
done
host 'sched = best' | wants 2 "bad.ini:2: sched: no policy is called 'best'; there are: rr credit qos"
for topology in 2x2 0x1x1 2x2x2x2 -1x1x1 round 99x99x99; do
	host "topology = $topology" | wants 2 "bad.ini:2: topology: '$topology' is not flat, host or NODESxCORESxTHREADS"
done
printf '[host]\ntopology = 1x2x1\nworkers = 3\n[machine A]\nimage = IMAGE\n' |
	wants 2 'bad.ini:3: workers: 3, but the topology has only 2 processors'
host 'clock = sundial' | wants 2 "bad.ini:2: clock: 'sundial' is none of: "
host 'insn-time = 10h' | wants 2 "bad.ini:2: insn-time: '10h' is above 1us"
host 'charge = entry=-1us' | wants 2 'bad.ini:2: charge: .*NAME=TIME with a time up to 1ms'
host 'charge = lunch=1us' | wants 2 "bad.ini:2: charge: 'lunch' is none of: "
for reserve in 2ms -2ms/10ms 0/0 1us/10ms 2ms/1h; do
	machine "reserve = $reserve" | wants 2 "bad.ini:3: reserve: '$reserve' is not TIME/PERIOD.*10us.*500us to 2s"
done
machine 'reserve = 11ms/10ms' | wants 2 "bad.ini:3: reserve: '11ms/10ms' is more time than the period has"
printf '[machine A]\nimage = IMAGE\nreserve = 9ms/10ms\n[machine B]\nimage = IMAGE\nreserve = 2ms/10ms\n' |
	wants 2 'bad.ini:6: reserve: machine B: 20.0 % of a processor, and 90.0 % are reserved already; at most 95 %'
machine 'reserve = 3ms/10ms
[host]
sched = rr' | wants 2 'bad.ini:3: reserve: needs the policy qos or qos[+]state, and this is rr'
machine 'fence = child' | wants 2 "bad.ini:3: fence: 'child' is not own, level=N, child=N"
machine 'cpus = 2
weight = 3
cpus = 4' | wants 2 'bad.ini:5: cpus: it stands in line 3 already; once in a section is allowed'
host 'slice = 1ms
slice = 2ms' | wants 2 'bad.ini:3: slice: it stands in line 2 already'
machine 'image = IMAGE' | wants 2 'bad.ini:3: image: machine A has an image already; one of image, kernel and firmware is allowed'
printf '[host]\nworkers = 1\n[machine A]\nimage = IMAGE\n[host]\nfor = 1s\n' |
	wants 2 "bad.ini:5: there is one section \[host\] only, and it begins in 'line 1'"
printf '[machine A\nimage = IMAGE\n' | wants 2 "bad.ini:1: the sections are \[host\] and \[machine NAME\]; there is no \] in '\[machine A'"
printf '[machine A]\nimage =\n' | wants 4 'bad.ini:2: image: no file is named'
printf '[machine A]\nimage = /dev\n' | wants 4 'bad.ini:2: image: /dev: neither a file nor a disk'
machine 'disk = missing.img' | wants 4 'bad.ini:3: disk: missing.img: No such file'
host 'slice = 1h' | wants 2 "bad.ini:2: slice: '1h' is not from 1us to 10s"
host 'parking = maybe' | wants 2 "bad.ini:2: parking: 'maybe' is none of: no, false"
for n in $(seq 100); do printf '[machine M%d]\nimage = IMAGE\n' "$n"; done | wants 2 'bad.ini:65: machine: there are more than 32'
printf '[machine A]\nimage = missing.elf\n' | wants 4 'bad.ini:2: image: missing.elf: No such file'
machine 'initrd = missing.img' | wants 4 'bad.ini:3: initrd: missing.img: No such file'
printf '[machine A]\nweight = 3\n[machine B]\nimage = IMAGE\n' |
	wants 2 'bad.ini:1: image: machine A has none; add image = FILE'
printf '[host]\nfor = 1s\n\n[machine A]\n' | wants 2 "bad.ini:4: nothing follows the section '\[machine A\]'"
printf '[machine A]\nimage = IMAGE\n[machine A]\nimage = IMAGE\n' | wants 2 "bad.ini:3: name: .*A"
printf '[machine ]\nimage = IMAGE\n' | wants 2 "bad.ini:1: name: '' is not"
printf '[machine ../x]\nimage = IMAGE\n' | wants 2 "bad.ini:1: name: '../x' is not 1 to 31 letters"
printf '[cluster]\nx = 1\n' | wants 2 "bad.ini:1: the sections are \[host\] and \[machine NAME\], not '\[cluster\]'"
printf 'nonsense\n' | wants 2 'bad.ini:1: neither \[section\] nor key = value'
printf '[host]\nfor = 1s\n' | wants 2 '^nestor run: bad.ini: it has no section \[machine NAME\]'
printf '' | wants 2 '^nestor run: bad.ini: it has no section'
printf 'image = IMAGE\n' | wants 2 "bad.ini:1: keys stand below \[host\] or \[machine NAME\], and none is above 'image'"
for section in 'Machine A' HOST machine machineA; do
	printf '; one\n[%s]\nimage = IMAGE\n' "$section" |
		wants 2 "bad.ini:2: the sections are \[host\] and \[machine NAME\], not '\[$section\]'"
done
printf '[machine A] image = IMAGE\n' | wants 2 "bad.ini:1: a section's line ends with its \], and this is '\[machine A\] image"
printf '[machine A]\nimage = a\0b\n' | wants 2 "bad.ini:2: this is no text: there is a byte 0 after 'image = a'"
machine '  weight = heavy' | wants 2 "bad.ini:3: weight: 'heavy' is not" # not a second line of the image's name
machine 'symbols = missing.map@0x200000' | wants 4 'A: bad.ini:3: symbols: missing.map: No such file'
machine 'symbols = bad.ini' | wants 4 'bad.ini:3: symbols: bad.ini: neither an ELF file nor'
machine 'input = missing.txt' | wants 4 'bad.ini:3: input: missing.txt: No such file'
machine 'module = missing.mod a b' | wants 4 'bad.ini:3: module: missing.mod: No such file'
printf 'soon help\n' >script.txt
machine 'input = script.txt' | wants 2 'bad.ini:3: input: script.txt:1: '
machine 'serial = nowhere/x' | wants 6 'bad.ini:3: serial: cannot write the file nowhere/x: No such file'
machine 'console = nowhere/x' | wants 2 'bad.ini:3: console: nowhere/x: No such file'
machine 'cpu-model = z80' | wants 2 "bad.ini:3: cpu-model: no model is called 'z80'; there are: "
machine 'net = user' | wants 2 'bad.ini:3: net: the network does not wait for virtual time'
machine 'cpus = 2
cpu-hotplug = 1s-5' | wants 2 'bad.ini:4: cpu-hotplug: machine A has no processor 5, but 2 of them, from 0 on'
host 'count = bananas@A' | wants 2 "bad.ini:2: count: bananas@A: 'bananas' is no event; there are insns "
host 'count = insns@A
count = insns@Z' | wants 2 "bad.ini:3: count: insns@Z: 'Z' is not the name of a machine, or [*]"
host 'idle = real
clock = host' | wants 2 'bad.ini:2: idle: real needs the virtual clock'
host 'clock = host
charge = entry=1us' | wants 2 'bad.ini:3: charge: needs the virtual clock'
host 'jit-off = mov,warp' | wants 2 "bad.ini:2: jit-off: no part of the translator is called 'warp'; there are: mov "
host 'vtlb-without = x' | wants 2 "bad.ini:2: vtlb-without: the virtual TLB has no part called 'x'; there are: retention "
host 'log = all,y' | wants 2 "bad.ini:2: log: no subsystem is called 'y'; there are: "
host 'on = vm_exit' | wants 2 'bad.ini:2: on: needs --flight'
host 'for = 99999999h' | wants 2 "bad.ini:2: for: '99999999h' is not a time above 0 and below 5000000h, as 10s"
head -c 5000 /dev/zero | tr '\0' x | wants 2 'bad.ini:1: the line is too long, 198 characters are allowed'

# A crash (a guest that its VMM cannot go on with, a machine that ends) in the middle, under every policy.
cat >crash.ini <<EOF
[host]
clock = virtual
insn-time = 10ns
charge = exit-l1=1us,exit-kept=1us,reflect=1us,entry=1us,vp-switch=5us
for = 1s

[machine A]
image = $child
append = sched=prio guest=rt guest=batch

[machine B]
image = $child
append = run=300ms guest=rt,period=7ms,work=1.2ms guest=batch

[machine C]
image = $child
append = guest=crash guest=batch

[machine D]
image = $NESTOR_BUILD/l1-child/hello.elf
EOF
timeout 60 "$NESTOR" sched-compare --json crash.ini >crash.json || bad=1
python3 - <<'EOF' || bad=1
import json
table = json.load(open("crash.json"))
assert [m["name"] for m in table["alone"]] == ["A", "B", "C", "D"], table["alone"] # B and D end there, too
for p in table["policies"]:
    m = {m["name"]: m for m in p["machines"]}
    stopped = {n for n in m if m[n]["stopped_ns"]}
    used = sum(x["cpu_percent"] for x in m.values())
    assert stopped == {"B", "D"}, (p["policy"], stopped)
    assert m["B"]["stopped_ns"] < 4e8 and used > 99, (p["policy"], m["B"]["stopped_ns"], used)
    assert abs(m["A"]["cpu_percent"] - m["C"]["cpu_percent"]) < 3, (p["policy"], m)
EOF
exit $bad
