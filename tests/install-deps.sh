#!/bin/sh
# Installs the packages named in the list ($1) that are missing. Touches the network only then.
set -u
list=$1
wanted=$(sed 's/#.*//' "$list")

if ! command -v dpkg-query >/dev/null 2>&1; then
	echo "make: this is no Debian system; install what $list names by hand" >&2
	exit 0
fi
missing=
for p in $wanted; do
	status=$(dpkg-query -W -f='${db:Status-Status}' "$p" 2>/dev/null)
	[ "$status" = installed ] || missing="$missing $p"
done
[ -n "$missing" ] || exit 0

echo "make: installing$missing"
sudo=
if [ "$(id -u)" != 0 ]; then
	sudo=$(command -v sudo) || {
		echo "make: packages are missing and there is no sudo; as root: apt-get install$missing" >&2
		exit 1
	}
fi
export DEBIAN_FRONTEND=noninteractive
mkdir -p build
log=build/install-deps.log
# shellcheck disable=SC2086
{ $sudo apt-get update && $sudo env DEBIAN_FRONTEND=noninteractive \
	apt-get install -y --no-install-recommends $missing; } >"$log" 2>&1 || {
	tail -n 15 "$log" >&2
	echo "make: installing failed, the log is $log; by hand: apt-get install$missing" >&2
	exit 1
}
