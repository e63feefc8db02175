#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""No allocation and no call to the host is outside the sites of base/inject.h.

Looks at the objects of the release build: what they take from outside (libc, liburcu,
the compiler's library) must stand in the tables here.  What can fail is reached through
few functions, each named with the file that may call it and that has a site before it; of
the rest it is said why nothing there can be made to fail.
"""

import re
import subprocess
import sys
from pathlib import Path

import sources

# (symbols, the one file that may use them): there they are behind a site.
BEHIND_A_SITE = [
    ("syscall pthread_create", "host/sys.c"),
    ("calloc aligned_alloc free", "host/memory.c"),
    ("pthread_atfork", "preload/init.c"),
    ("pthread_key_create", "host/trace.c"),
]

CANNOT_FAIL = {
    "only computes": """memcmp memcpy memmove memset snprintf vsnprintf strchr strcmp strcspn strerrorname_np
        strlen strncmp strncpy strrchr strstr strtod strtok_r strtoull sigaddset sigemptyset
        sigfillset __cpu_model __divti3 __udivti3 __popcountdi2 _GLOBAL_OFFSET_TABLE_
        __errno_location ZydisDecoderDecodeFull ZydisDecoderInit ZydisMnemonicGetString
        ZydisRegisterGetClass ZydisRegisterGetId ZydisRegisterGetLargestEnclosing""",
    "unwinds or ends": "__sigsetjmp siglongjmp abort",
    "reads what the process has": "getenv getpid sysconf sched_getcpu dlsym",
    # The library is loaded with the program: its part of each thread's block is there.
    "the thread's own block": "__tls_get_addr",
    "clocks that Linux always has": "clock_gettime",
    "a wait that ends early is a turn more": "nanosleep clock_nanosleep sched_yield",
    "glibc's never fail with the attributes used": """pthread_mutex_init pthread_mutex_destroy
        pthread_mutex_lock pthread_mutex_trylock pthread_mutex_unlock pthread_rwlock_init
        pthread_rwlock_destroy pthread_rwlock_rdlock pthread_rwlock_wrlock pthread_rwlock_unlock
        pthread_rwlockattr_init pthread_rwlockattr_destroy pthread_rwlockattr_setkind_np
        pthread_once pthread_join pthread_detach pthread_setcancelstate pthread_cond_init pthread_cond_destroy
        pthread_cond_signal pthread_cond_wait pthread_cond_clockwait""",
    # The first 32 keys live in the thread's block; later ones cost an allocation, and a ring
    # whose end nobody tells is kept.
    "at worst a ring is kept": "pthread_setspecific",
    "signal numbers are valid": "pthread_sigmask sigpending sigtimedwait sigaction",
    "names of threads": "prctl",
    "messages: nobody is there to be told that one was lost": "dprintf",
    # Ends the process when it cannot register a thread: docs/injection.md.
    "liburcu": """urcu_bp_read_lock urcu_bp_read_unlock urcu_bp_synchronize_rcu urcu_bp_before_fork
        urcu_bp_after_fork_parent urcu_bp_after_fork_child""",
}

# System calls by host_sure(), in these files: they cannot fail as they are called there.
SURE = {
    "close": ("whatever it says, the descriptor is gone",
              "host/populate.c kvm/file.c preload/mappings.c"),
    "getpid": ("always succeeds",
               "host/populate.c kvm/process.c kvm/trace.c kvm/vcpu_signal.c preload/signals.c"),
    "gettid": ("always succeeds", "host/trace.c kvm/vcpu_signal.c preload/signals.c"),
    "tgkill": ("a thread signals itself", "preload/signals.c"),
    "rt_tgsigqueueinfo": ("so it does here; at worst it is told the next time",
                          "kvm/vcpu_signal.c"),
    "rt_sigprocmask": ("valid pointers, and no new size", "kvm/vcpu_signal.c"),
    "fcntl": ("F_GETFD asks whether a descriptor is one", "kvm/guest_memfd.c"),
    "epoll_ctl": ("takes out what was put in", "kvm/irqchip/irqfd.c"),
    "madvise": ("when munmap was refused: the second best, and then the third", "host/sys.c"),
    "write": ("an eventfd that nobody else counts up; messages on standard error",
              "host/inject_spec.c kvm/irqchip/irqfd.c kvm/trace.c"),
}

ARCHIVES = ("kvm/libkvmu_kvm.a", "host/libkvmu_host.a", "mmu/libkvmu_mmu.a",
            "pgtable/libkvmu_pgtable.a", "vcpu/libkvmu_vcpu.a")
PRELOAD = "preload/libkvmu-preload.so.p"
SHIPPED = ("base", "host", "kvm", "mmu", "pgtable", "preload", "vcpu")
SITE = re.compile(r"^\s*X\((\w+), \"", re.MULTILINE)
# Which call a host_sure() makes; by a variable, that is not known: "".
SURE_CALL = re.compile(r"(?<!define )\bhost_sure\(\s*(?:SYS_(\w+))?")
RAW_CALL = re.compile(r'"\s*(?:syscall|sysenter|int\s+\$0x80|svc\s)')


# "build/kvm/libkvmu_kvm.a:file.c.o:   U name", "build/preload/x.so.p/init.c.o:  U name".
NM_LINE = re.compile(r"(?P<layer>\w+)/[^/:]+[:/](?P<file>[^/:]+)\.o:[0-9a-f ]+ \w (?P<name>\S+)$")


def parse_symbols(output):
    """(layer/file, symbol) of each line that nm prints."""
    return {(f"{match['layer']}/{match['file']}", match["name"])
            for match in map(NM_LINE.search, output.splitlines()) if match}


def symbols(files, option):
    return parse_symbols(subprocess.run(["nm", "-A", option, *map(str, files)], check=True,
                                        capture_output=True, text=True).stdout)


def call_problems(outside):
    """@outside: pairs of file and symbol that is not ours."""
    wrapped = {symbol: file for names, file in BEHIND_A_SITE for symbol in names.split()}
    harmless = {symbol for names in CANNOT_FAIL.values() for symbol in names.split()}
    for file, symbol in sorted(outside):
        if symbol in wrapped and file != wrapped[symbol]:
            yield f"{file}: {symbol}() belongs behind a site, in {wrapped[symbol]}"
        elif symbol not in wrapped and symbol not in harmless:
            yield f"{file}: {symbol}() has no site and is not listed as harmless"
    for symbol in sorted((wrapped.keys() | harmless) - {symbol for _, symbol in outside}):
        if symbol not in ("memcpy", "memmove", "memset", "memcmp"):  # the compiler's choice
            yield f"tools/check_sites.py: nobody uses {symbol}() any more"


def object_problems(build):
    archives = [build / name for name in ARCHIVES]
    preload = sorted((build / PRELOAD).glob("*.o"))
    if not preload or not all(archive.exists() for archive in archives):
        return [f"{build}: not built"]
    below = {symbol for _, symbol in symbols(archives, "--defined-only")}
    own = below | {symbol for _, symbol in symbols(preload, "--defined-only")}
    # What the layers below take by the name of an interposed function comes back to us.
    needed = {pair for pair in symbols(archives, "-u") if pair[1] not in below}
    needed |= {pair for pair in symbols(preload, "-u") if pair[1] not in own}
    return list(call_problems(needed))


def source_problems(root):
    files = [file for file in sources.c_files(root)
             if file.relative_to(root).parts[0] in SHIPPED]
    text = {file: file.read_text() for file in files}
    header = root / "base/inject.h"
    used = " ".join(body for file, body in text.items() if file != header)
    for name in SITE.findall(text[header]):
        if not re.search(rf"\bSITE_{name}\b|\bhost_call\(\s*{name}\b", used):
            yield f"base/inject.h: nothing is at the site {name}"
    for file, body in text.items():
        place = str(file.relative_to(root))
        yield from sure_problems(place, body)
        if RAW_CALL.search(body):
            yield f"{place}: a system call past host/sys.c"
    for call, (_, files) in SURE.items():
        for place in files.split():
            if call not in SURE_CALL.findall(text.get(root / place, "")):
                yield f"tools/check_sites.py: no host_sure(SYS_{call}) in {place} any more"


def sure_problems(place, body):
    """@body: what is in the file at @place."""
    for call in SURE_CALL.findall(body):
        if not call:
            yield f"{place}: host_sure() of a call that is not named"
        elif place not in SURE.get(call, ("", ""))[1].split():
            yield f"{place}: host_sure(SYS_{call}): nobody says why it is sure there"


def main():
    build = Path(sys.argv[1]) if len(sys.argv) > 1 else sources.ROOT / "build"
    problems = object_problems(build) + list(source_problems(sources.ROOT))
    return sources.report("sites", problems, len(sources.c_files()))


if __name__ == "__main__":
    sys.exit(main())
