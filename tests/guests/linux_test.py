#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""An operating system as a guest: Debian's kernel in Debian's QEMU, neither of them changed.

    linux_test.py KVMU boot off|split|on     as far as user space, with that kernel-irqchip
    linux_test.py KVMU life                  a balloon, then a migration, while memory is checked

The guest copies memory round and round and compares sums.  Ballooning takes pages away
from under it; migration sends them by the dirty log: a page that is stale or not in the
log is a sum that is not right, or a kernel that dies.
"""

import json
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
import guest_linux  # noqa: E402

PATIENCE_S = 500
MEMORY_MIB = 256
BALLOON_MIB = 160


class Guest:
    """One QEMU; its first serial port is a file, its second one takes orders."""

    def __init__(self, kvmu, place, name, options):
        self.said = place / f"{name}.serial"
        self.orders = place / f"{name}.orders"
        self.monitor_path = place / f"{name}.qmp"
        self.log = place / f"{name}.log"
        self.command = [
            kvmu, "run", "--", "qemu-system-x86_64", "-display", "none", "-nodefaults",
            "-m", str(MEMORY_MIB), "-serial", f"file:{self.said}",
            "-serial", f"unix:{self.orders},server=on,wait=off",
            "-qmp", f"unix:{self.monitor_path},server=on,wait=off", *options]
        self.monitor = None

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL,
                                        stdout=self.log.open("w"), stderr=subprocess.STDOUT)
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def text(self):
        return self.said.read_text(errors="replace") if self.said.exists() else ""

    def story(self):
        return f"{self.log.read_text()}\n{self.text()[-4000:]}"

    def wait_until(self, what, done):
        """The guest lives, and all is well, until @done."""
        deadline = time.monotonic() + PATIENCE_S
        while not done():
            assert "GUEST BAD" not in self.text(), self.story()
            assert "Kernel panic" not in self.text(), self.story()
            assert self.process.poll() is None, f"QEMU ended: {self.story()}"
            assert time.monotonic() < deadline, f"no {what}: {self.story()}"
            time.sleep(0.05)

    def wait_for(self, words):
        self.wait_until(repr(words), lambda: words in self.text())

    def wait_for_end(self):
        assert self.process.wait(timeout=PATIENCE_S) == 0, self.story()
        assert "GUEST OK" in self.text(), self.story()

    def rounds(self):
        return self.text().count("GUEST ROUND")

    def wait_for_rounds(self, more):
        goal = self.rounds() + more
        self.wait_until(f"round {goal}", lambda: self.rounds() >= goal)

    def order(self, words):
        with socket.socket(socket.AF_UNIX) as line:
            line.connect(str(self.orders))
            line.sendall(words.encode() + b"\n")
            time.sleep(0.5)  # until QEMU has taken it from the socket

    def ask(self, execute, **arguments):
        """A command of QEMU's monitor, and what it returns."""
        if not self.monitor:
            self.connect()
        request = {"execute": execute}
        if arguments:
            request["arguments"] = arguments
        self.monitor.write(json.dumps(request) + "\n")
        self.monitor.flush()
        while True:
            answer = json.loads(self.monitor.readline())
            assert "error" not in answer, (request, answer)
            if "return" in answer:
                return answer["return"]

    def connect(self):
        line = socket.socket(socket.AF_UNIX)
        line.connect(str(self.monitor_path))
        self.monitor = line.makefile("rw")
        json.loads(self.monitor.readline())  # its greeting
        self.ask("qmp_capabilities")


def boot(kvmu, place, chip):
    """One CPU without any interrupt controller of ours, else two."""
    kernel, archive = guest_linux.ready()
    options = ["-machine", f"q35,accel=kvm,kernel-irqchip={chip}",
               *(["-smp", "1"] if chip == "off" else ["-smp", "2", "-cpu", "host"]),
               *guest_linux.command_line(kernel, archive, "boot")]
    start = time.monotonic()
    with Guest(kvmu, place, "guest", options) as guest:
        guest.wait_for("GUEST UP")
        up = time.monotonic() - start
        guest.wait_for_end()
    print(f"up after {up:.1f} s, over after {time.monotonic() - start:.1f} s")


def breathe(guest):
    """Pages go to the host and come back, empty."""
    guest.ask("balloon", value=BALLOON_MIB << 20)
    guest.wait_until("smaller guest",
                     lambda: guest.ask("query-balloon")["actual"] <= (BALLOON_MIB + 8) << 20)
    guest.wait_for_rounds(1)
    guest.ask("balloon", value=MEMORY_MIB << 20)
    guest.wait_until("guest of full size",
                     lambda: guest.ask("query-balloon")["actual"] >= (MEMORY_MIB - 8) << 20)
    guest.wait_for_rounds(1)


def move(guest, to):
    """@guest runs on while most of it is sent; says how often pages were sent."""
    guest.ask("migrate-set-parameters", **{"max-bandwidth": 64 << 20})
    guest.ask("migrate", uri=f"unix:{to}")
    guest.wait_until("end of the migration",
                     lambda: guest.ask("query-migrate")["status"] == "completed")
    return guest.ask("query-migrate")["ram"]


def life(kvmu, place):
    kernel, archive = guest_linux.ready()
    options = ["-machine", "q35,accel=kvm", "-smp", "2", "-cpu", "host",
               "-device", "virtio-balloon-pci",
               *guest_linux.command_line(kernel, archive, "copies")]
    link = place / "migration"
    with Guest(kvmu, place, "source", options) as source, \
            Guest(kvmu, place, "target", [*options, "-incoming", f"unix:{link}"]) as target:
        source.wait_for("GUEST READY")
        breathe(source)
        ram = move(source, link)
        source.ask("quit")
        target.wait_for_rounds(2)
        target.order("enough")
        target.wait_for_end()
    print(f"{ram['normal']} pages sent in {ram['dirty-sync-count']} passes, "
          f"{source.rounds()} rounds before, {target.rounds()} after")


def main():
    kvmu = str(Path(sys.argv[1]).resolve())
    with tempfile.TemporaryDirectory() as place:
        {"boot": boot, "life": life}[sys.argv[2]](kvmu, Path(place), *sys.argv[3:])


main()
