#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Install the Debian packages that a make target needs and that are missing.
#   tools/setup.sh build|run|test|bench|fuzz|linux|format ...
# A stamp remembers that all were there; it is valid until dpkg's state changes.
set -eu

cd "$(dirname "$0")/.."

# linux-libc-dev and the sanitizer runtimes come with libc6-dev and gcc.
build_packages='gcc libc6-dev binutils meson ninja-build pkg-config python3 libzydis-dev
	liburcu-dev systemtap-sdt-dev'
# What the kernel's own selftests need on top to be unpacked and built.
selftest_packages='linux-source-6.12 xz-utils make'
# Bare-metal images for other processors, and the emulators whose MMUs walk our tables.
image_packages='clang lld qemu-system-arm qemu-system-misc qemu-system-x86'

# libFuzzer and the sanitizers' runtimes for clang.
fuzz_packages='clang libclang-rt-dev libcmocka-dev'

# A campaign in parts, and a browser for the page that shows a schedule.
explore_packages='parallel python3-yaml chromium'

packages_of() {
	case $1 in
	build) echo "$build_packages" ;;
	run) echo "$build_packages $selftest_packages" ;;
	test) echo "$build_packages $selftest_packages $image_packages $fuzz_packages $explore_packages linux-source-6.1
			libcmocka-dev clang-format" ;;
	bench) echo "$build_packages $selftest_packages qemu-system-x86" ;;
	linux) echo "$build_packages qemu-system-x86" ;;
	fuzz) echo "$build_packages $fuzz_packages" ;;
	format) echo 'clang-format' ;;
	*) echo "setup: unknown purpose '$1'" >&2 && exit 2 ;;
	esac
}

# Packages of the list that are not fully installed.
missing_of() {
	for package in $1; do
		status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) || status=
		[ "$status" = installed ] || echo "$package"
	done
}

become_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif [ -t 0 ]; then
		sudo "$@"
	else
		sudo -n "$@"
	fi
}

install_missing() {
	missing=$1
	echo "Installing Debian packages:" $missing >&2
	if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then
		echo "setup: neither root nor sudo here; as root, run:" >&2
		echo "  apt-get install --no-install-recommends" $missing >&2
		exit 1
	fi
	install="env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends"
	# The package lists may be absent or old on a fresh machine: refresh, then install.
	become_root apt-get update -q >&2
	# shellcheck disable=SC2086
	if ! become_root $install $missing >&2; then
		echo "setup: apt-get could not install:" $missing >&2
		echo "setup: Debian 12 (bookworm) with bookworm-security is what this is made for" >&2
		exit 1
	fi
}

if ! command -v dpkg-query >/dev/null; then
	echo "setup: not a Debian system; the packages of this target are, by Debian's names:" >&2
	for purpose in "$@"; do echo $(packages_of "$purpose") >&2; done
	exit 0
fi

for purpose in "$@"; do
	stamp=.cache/setup-$purpose
	packages=$(packages_of "$purpose" | tr -s '\t\n ' '   ')
	if [ "$stamp" -nt /var/lib/dpkg/status ] && [ "$(cat "$stamp")" = "$packages" ]; then
		continue
	fi
	missing=$(missing_of "$packages")
	[ -z "$missing" ] || install_missing "$missing"
	mkdir -p .cache
	echo "$packages" >"$stamp"
done
