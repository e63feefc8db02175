# SPDX-License-Identifier: BSD-2-Clause
# The front door: every target does its own set-up.  The build behind it is Meson.

MODE ?= release

# Nothing is written outside the build directories and .cache.
export PYTHONDONTWRITEBYTECODE := 1

# Where each mode is built, and what Meson is told about it.
BUILD_release  := build
BUILD_debug    := build-debug
BUILD_asan     := build-asan
BUILD_tsan     := build-tsan
BUILD_permuted := build-permuted
BUILD_fuzz     := build-fuzz

OPTIONS_release  := --buildtype=release -Ddebug=true
OPTIONS_debug    := --buildtype=debug -Ddebug_checks=true --werror
OPTIONS_asan     := --buildtype=debugoptimized -Doptimization=1 -Ddebug_checks=true -Db_sanitize=address,undefined \
                    --werror
# GCC warns that ThreadSanitizer does not model fences; where one orders plain data, code says so.
OPTIONS_tsan     := --buildtype=debugoptimized -Doptimization=1 -Ddebug_checks=true -Db_sanitize=thread \
                    -Dc_args=-Wno-tsan --werror
# The fuzz targets, for which clang counts the paths taken.
OPTIONS_fuzz     := --buildtype=debugoptimized -Doptimization=1 -Ddebug_checks=true -Db_sanitize=address,undefined \
                    -Dfuzzers=true --werror
ENV_fuzz         := CC=clang
OPTIONS_permuted := --buildtype=debugoptimized -Doptimization=1 -Ddebug_checks=true -Dpermuted=true --werror

BUILD := $(BUILD_$(MODE))
ifeq ($(BUILD),)
$(error MODE=$(MODE) is unknown; use release, debug, asan, tsan or permuted)
endif

MODES := release debug asan tsan permuted fuzz
FUZZ_TARGETS := pgtable ioctl guest decoder

FUZZERS := $(addprefix fuzz-,$(FUZZ_TARGETS))

.PHONY: all build run test test-long hw linux mutants bench fuzz-cpu fuzz-build $(FUZZERS) format check help clean

all: build

# Meson runs itself again whenever a meson.build changes; here only the first time counts.
$(BUILD)/build.ninja:
	@tools/setup.sh $(or $(PURPOSE),build)
	@echo "Configuring $(BUILD) ($(MODE))"
	@$(ENV_$(MODE)) meson setup $(OPTIONS_$(MODE)) $(BUILD) >$(BUILD).log 2>&1 || \
		{ cat $(BUILD).log; rm -rf $(BUILD) $(BUILD).log; exit 1; }
	@mv $(BUILD).log $(BUILD)/configure.log

# TARGETS narrows it to what a target needs; empty is everything.
build: $(BUILD)/build.ninja
	@tools/setup.sh build
	@ninja -C $(BUILD) -n $(TARGETS) | grep -q 'no work to do' || ninja -C $(BUILD) $(TARGETS)
	@ln -sfn cli/kvmu $(BUILD)/kvmu

run:
	@tools/setup.sh run
	@$(MAKE) --no-print-directory build PURPOSE=run \
		TARGETS='cli/kvmu preload/libkvmu-preload.so examples/demand_paging_walk'
	@tools/demo.sh $(BUILD)

test:
	@tools/setup.sh test
	@tools/run_tests.py

test-long:
	@tools/setup.sh test
	@tools/run_tests.py --long

# The bare-metal images, with what they print: each geometry that an emulated MMU has walked.
hw:
	@tools/setup.sh test
	@$(MAKE) --no-print-directory build MODE=release PURPOSE=test TARGETS=images
	@meson test -C build --no-rebuild --suite hw --verbose

# Debian's kernel in QEMU, with a shell on this terminal.
linux:
	@tools/setup.sh linux
	@$(MAKE) --no-print-directory build PURPOSE=linux TARGETS='cli/kvmu preload/libkvmu-preload.so'
	@tools/guest_linux.py --shell $(BUILD)/kvmu

# Real mistakes, switched on one after the other: each must be noticed.
mutants:
	@tools/setup.sh test
	@tools/mutants.py

bench:
	@tools/setup.sh bench
	@$(MAKE) --no-print-directory build MODE=release PURPOSE=bench
	@tools/bench.py build

# Random instructions against the host's own CPU, until stopped or a difference is found.
fuzz-cpu:
	@tools/setup.sh test
	@$(MAKE) --no-print-directory build PURPOSE=test TARGETS=tests/vcpu/diff/vcpu_diff
	@$(BUILD)/tests/vcpu/diff/vcpu_diff --forever

# Inputs that reach new paths, until one breaks something; Ctrl-C ends it.  ARGS goes to
# tools/fuzz.py: ARGS='--seconds 60 --shard 1/4'.
fuzz-build:
	@tools/setup.sh fuzz
	@$(MAKE) --no-print-directory build MODE=fuzz PURPOSE=fuzz \
		TARGETS='$(addprefix fuzz/fuzz_,$(FUZZ_TARGETS))'

$(FUZZERS): fuzz-%: fuzz-build
	@tools/fuzz.py $(ARGS) $*

# The static checks alone: seconds, and part of `make test`.
check:
	@tools/setup.sh test
	@tools/run_tests.py --only static

format:
	@tools/setup.sh format
	@tools/check_format.py --fix

clean:
	rm -rf build-mutants $(foreach mode,$(MODES),$(BUILD_$(mode)) $(BUILD_$(mode)).log)

help:
	@echo 'make            build into ./build (the command is build/kvmu)'
	@echo 'make run        build, then run an example and a KVM selftest of the kernel under kvmu'
	@echo 'make test       everything that must pass: unit tests, KVM programs, all build modes, checks'
	@echo 'make test-long  the same with longer random and stress runs'
	@echo 'make hw         the bare-metal images under QEMU, with what they print'
	@echo 'make linux      boot Linux in QEMU under kvmu; its shell is on this terminal'
	@echo 'make mutants    switch real mistakes on, one after the other, and see who notices'
	@echo 'make bench      the budget table: our figures beside their floors, measured now'
	@echo 'make fuzz-cpu   random instructions against this CPU until one differs; Ctrl-C ends it'
	@echo 'make fuzz-pgtable, fuzz-ioctl, fuzz-guest, fuzz-decoder'
	@echo '                inputs that reach new paths, until one breaks something; Ctrl-C ends it'
	@echo 'make check      only the static checks (layers, headers, sizes, formatting)'
	@echo 'make format     run clang-format on all sources'
	@echo 'make clean      remove the build directories; .cache (unpacked kernel source) stays'
	@echo 'make help       this text'
	@echo
	@echo 'MODE=release|debug|asan|tsan|permuted  for make and make run; each has its own'
	@echo '                directory: build, build-debug, build-asan, ...'
	@echo 'Missing Debian packages are named and installed with apt-get (as root, or by sudo).'
