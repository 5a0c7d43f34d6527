#!/usr/bin/env bash
# tests/long/kvm.sh [NESTOR] - Debian's kernel as L1 loads kvm-intel and runs guests, boots the same
# kernel as L2, which loads kvm-intel and runs guests of its own (L3). With EPT and without.
# Fetches Debian's kernel package by apt-get when KERNEL_DEB does not name one; says SKIP when it cannot.
set -eu
cd "$(dirname "$0")/../.."
nestor=$(realpath "${1:-./nestor}")
work=$(mktemp -d "${TMPDIR:-/tmp}/nestor-kvm.XXXXXX")
trap 'rm -rf "$work"' EXIT

skip() { echo "SKIP kvm: $1"; exit 0; }

# pack DIR FILE: the files of DIR and a console as an initial RAM disk ("newc" archive)
pack() {
	local ino=1 f
	entry() { # NAME MODE SIZE MAJOR MINOR
		local head=$((110 + ${#1} + 1))
		printf '070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\0' \
			$((ino++)) "$2" 0 0 1 0 "$3" 0 0 "$4" "$5" $((${#1} + 1)) 0 "$1"
		head -c $((-head & 3)) /dev/zero
	}
	{
		entry dev $((0040755)) 0 0 0
		entry dev/console $((0020600)) 0 5 1
		for f in "$1"/*; do
			entry "$(basename "$f")" $((0100755)) "$(stat -c %s "$f")" 0 0
			cat "$f"
			head -c $((-$(stat -c %s "$f") & 3)) /dev/zero
		done
		entry 'TRAILER!!!' 0 0 0 0
	} >"$2"
}

deb=${KERNEL_DEB:-}
if [ -z "$deb" ]; then
	name=$(apt-cache depends linux-image-cloud-amd64 2>/dev/null | awk '/Depends: linux-image/ {print $2; exit}')
	[ -n "$name" ] || skip "apt knows no linux-image-cloud-amd64"
	(cd "$work" && apt-get -qq download "$name" >/dev/null 2>&1) || skip "cannot download $name"
	deb=$(echo "$work"/*.deb)
fi
dpkg-deb -x "$deb" "$work/deb"
kernel=$(echo "$work"/deb/boot/vmlinuz-*)

mkdir "$work/l1" "$work/l2"
${CC:-gcc} -O1 -static -s -I tests/e2e/linux -o "$work/l2/init" tests/long/kvm_init.c tests/e2e/linux/vmm.c || skip "no static C library"
for m in irqbypass kvm kvm-intel; do
	f=$(find "$work/deb" -name "$m.ko*")
	case $f in
	*.xz) xz -dc "$f" >"$work/l2/$m.ko" ;;
	*) cp "$f" "$work/l2/$m.ko" ;;
	esac
done
pack "$work/l2" "$work/l2.cpio"
cp "$work"/l2/* "$work/l1/"
cp "$work/l2.cpio" "$work/l1/initrd"
cp "$kernel" "$work/l1/kernel"
pack "$work/l1" "$work/l1.cpio"

status=0
expect() { # TEXT, in the output
	grep -aqF "$1" "$work/out" || { echo "kvm ($model): not seen: $1"; status=1; }
}
for model in nestor-icelake nestor-westmere nestor-merom; do
	"$nestor" run --clock virtual --timeout 600s --cpu-model "$model" --memory 1G "$kernel" \
		--initrd "$work/l1.cpio" --append "console=ttyS0 nokaslr" -o "$work/trace" \
		>"$work/out" 2>&1 </dev/null || [ $? = 1 ] || { echo "kvm ($model): nestor failed"; status=1; }
	for level in '' 'L2: '; do
		expect "${level}insmod /kvm-intel.ko: ok"
		expect "${level}guest add: exit 5, 2 port writes, ax 10"
		expect "${level}guest ports: exit 5, 1000 port writes"
		expect "${level}guest cpuid: exit 5, 0 port writes"
	done
	case $model in
	*merom) expect 'kvm_intel ept=N' ;;
	*) expect 'kvm_intel ept=Y' ;;
	esac
	expect 'L2 reset after'
	case $model in *icelake) expect 'kvm_intel enable_apicv=Y' && expect 'L2: kvm_intel enable_apicv=Y' ;; esac
	[ $status = 0 ] && echo "ok kvm $model" || tail -n 30 "$work/out"
done
exit $status
