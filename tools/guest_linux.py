#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Debian's kernel for virtual machines, and a small user space for it, for QEMU to boot.

    guest_linux.py                   fetch and build what is missing, and say where it is
    guest_linux.py --shell KVMU      boot it under `KVMU run`; its shell is on this terminal

Both come from Debian's packages (apt-get download: nothing is installed, no root is
needed) and are kept in .cache/guest-linux.  The user space is busybox and a script that
does the job named on the kernel's command line; tests/guests/ has the jobs' other side.
"""

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PLACE = ROOT / ".cache/guest-linux"
KERNEL_PACKAGE = "linux-image-cloud-amd64"
BUSYBOX_PACKAGE = "busybox-static"
# In the order in which they can be loaded.
MODULES = ("virtio/virtio_ring", "virtio/virtio", "virtio/virtio_pci_modern_dev",
           "virtio/virtio_pci_legacy_dev", "virtio/virtio_pci", "virtio/virtio_balloon")
INIT = r"""#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs -o size=80% tmp /tmp
for module in /modules/*; do insmod $module || echo "GUEST BAD: $module"; done
for word in $(cat /proc/cmdline); do
	case $word in job=*) job=${word#job=} ;; esac
done

# 16 MiB that are copied round and round; whoever loses a page changes a sum.
fill() {
	dd if=/dev/urandom of=/tmp/seed bs=64k count=16 2>/dev/null
	for i in 0 1 2 3 4 5 6 7 8 9 a b c d e f; do cat /tmp/seed; done >/tmp/a
	sum=$(md5sum </tmp/a)
}

copy() {
	cp /tmp/a /tmp/b && cp /tmp/b /tmp/c && rm /tmp/b
	[ "$(md5sum </tmp/c)" = "$sum" ] && [ "$(md5sum </tmp/a)" = "$sum" ] && return
	echo "GUEST BAD: memory is not what was written"
	poweroff -f
}

echo "GUEST UP: Linux $(uname -r), $(nproc) CPUs"
case $job in
boot)
	fill
	copy
	echo "GUEST OK: $sum"
	;;
copies)
	fill
	copy
	echo "GUEST READY"
	(read line </dev/ttyS1; touch /tmp/enough) &
	while [ ! -e /tmp/enough ]; do
		copy
		round=$((round + 1))
		echo "GUEST ROUND $round"
	done
	echo "GUEST OK: $sum"
	;;
shell)
	echo "Ctrl-a x ends it."
	setsid cttyhack sh
	;;
esac
poweroff -f
"""


class Failure(Exception):
    """Something the user can act upon; the text says what."""


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failure(f"{' '.join(map(str, command))}: {done.stderr.strip()}")
    return done.stdout


def package_with_the_files(package):
    """The kernel's package is empty, and depends on the one of today's version."""
    found = re.search(r"Depends: (linux-image-\S+)", run("apt-cache", "depends", package))
    return found[1] if found else package


def unpack(package, directory, members):
    """Download @package and lay @members of it out in @directory."""
    directory.mkdir(parents=True, exist_ok=True)
    subprocess.run(["apt-get", "download", "-q", package_with_the_files(package)], cwd=directory,
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    (archive,) = directory.glob("*.deb")
    files = subprocess.run(["dpkg-deb", "--fsys-tarfile", archive], check=True,
                           capture_output=True).stdout
    subprocess.run(["tar", "-x", "--wildcards", *members], input=files, cwd=directory, check=True)
    archive.unlink()


def fetch(package, directory, wanted, *more):
    """The file that matches @wanted in @package, with @more beside it, once and for all."""
    if not any(directory.glob(wanted)):
        print(f"  {package}: fetching", file=sys.stderr, flush=True)
        try:
            unpack(package, directory, [f"./{wanted}", *more])
        except (subprocess.CalledProcessError, ValueError) as error:
            raise Failure(f"apt-get cannot download {package}: `apt-get update` may be due, "
                          f"or the network is not there ({error})") from error
    return next(directory.glob(wanted))


# ---- the archive that the kernel unpacks: "newc" (buffer-format.rst) -----------------------


def entry(name, mode, data=b""):
    fields = (0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
    head = b"070701" + b"".join(b"%08x" % field for field in fields) + name.encode() + b"\0"
    return head + b"\0" * (-len(head) % 4) + data + b"\0" * (-len(data) % 4)


def user_space(busybox, modules):
    """Directories first: the kernel makes none of itself."""
    archive = b"".join(entry(name, 0o040755)
                       for name in ("bin", "dev", "proc", "sys", "tmp", "modules"))
    archive += entry("bin/busybox", 0o100755, busybox.read_bytes())
    archive += entry("init", 0o100755, INIT.encode())
    for number, module in enumerate(modules):
        archive += entry(f"modules/{number}-{module.name}", 0o100644, module.read_bytes())
    return archive + entry("TRAILER!!!", 0)


def put_in_place(path, data):
    """All at once, and only if it is another: a guest may be reading it."""
    if path.exists() and path.read_bytes() == data:
        return
    new = path.with_suffix(f".{os.getpid()}")
    new.write_bytes(data)
    new.rename(path)


def ready():
    """Paths of the kernel and of its user space."""
    kernel = fetch(KERNEL_PACKAGE, PLACE / "kernel", "boot/vmlinuz-*",
                   "./lib/modules/*/kernel/drivers/virtio")
    busybox = fetch(BUSYBOX_PACKAGE, PLACE / "busybox", "bin/busybox")
    modules = [next(PLACE.glob(f"kernel/lib/modules/*/kernel/drivers/{name}.ko"))
               for name in MODULES]
    archive = PLACE / "user-space.cpio"
    put_in_place(archive, user_space(busybox, modules))
    return kernel, archive


def command_line(kernel, archive, job, more=""):
    return ["-kernel", str(kernel), "-initrd", str(archive), "-no-reboot", "-append",
            f"console=ttyS0 panic=-1 quiet job={job} {more}".strip()]


def shell(kvmu):
    if not kvmu.exists():
        raise Failure(f"{kvmu} is not there: `make` builds it")
    kernel, archive = ready()
    qemu = ["qemu-system-x86_64", "-machine", "q35,accel=kvm", "-cpu", "host", "-smp", "2",
            "-m", "512", "-nographic", "-nodefaults", "-serial", "mon:stdio",
            *command_line(kernel, archive, "shell")]
    os.execvp(kvmu, [str(kvmu), "run", "--", *qemu])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shell", metavar="KVMU", type=Path,
                        help="boot it under this program; its shell is on the terminal")
    args = parser.parse_args()
    try:
        if args.shell:
            shell(args.shell)
        print(*ready(), sep="\n")
    except Failure as failure:
        print(f"guest_linux: {failure}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
