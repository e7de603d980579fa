# SPDX-License-Identifier: GPL-2.0-only
#
#: thv, a teaching hypervisor
#:
#: make                 the module for the running kernel, and the launcher, into build/
#: make run             boot a Debian guest on an emulated host, down to its shell
#: make check           what needs no test machine: builds, static checks, native tests
#: make test            that, and all that runs on the emulated test machines
#: make test-all        that, and the guest on every processor in each way of translation
#: make test-debug      the kselftests on a host kernel that watches (KASAN, lockdep and more)
#: make bench           what thv's operations cost beside KVM's, on one emulated host (15 minutes)
#: make bench-quick     of those, the exit path (4 minutes)
#: make bench-record    of thv alone, written down as what make test expects
#: make static          of make check, the static checks alone
#: make install         module, launcher, manual page, completion and udev rule (as root)
#: make uninstall       ... and out of it again
#: make packages        install the Debian packages all this needs (run, check, test do it)
#: make clean           remove build/
#:
#: Variables of make run, each with its default:
#:   RUN=               a command for the guest's shell: prints what it prints, exits as it exits
#:   ON=emulator        host: load the module into the running kernel, run the guest here
#:   HOST=6.1           kernel of the emulated host: 6.1 or 6.12
#:   CPU=skylake        processor of the emulated host (selftests/machine/machine --help lists them)
#:   CPUS=1             processors of the guest (of those, the emulated host has 2)
#:   KERNEL= INITRD=    the guest's kernel (bzImage) and initramfs: Debian's, and a busybox
#:   APPEND=            more kernel parameters for the guest
#:   MEM=256M           the guest's memory
#:   V=1                show everything instead of a bar
#: and of all: KDIR= (headers of the kernel to build for), THV_DEBUG=1 (assertions),
#: PREFIX=/usr/local and DESTDIR= (make install).

OUT	:= build
PREFIX	?= /usr/local

help_of := $(firstword $(MAKEFILE_LIST))

# Which kernel: the running one's headers if there are any, else the newest installed
headers	:= $(wildcard /lib/modules/*/build/Makefile)
running	:= $(filter /lib/modules/$(shell uname -r)/%,$(headers))
newest	:= $(lastword $(shell printf '%s\n' $(headers) | sort -V))
KDIR	?= $(patsubst %/Makefile,%,$(or $(running),$(newest)))
RELEASE	:= $(shell sed -n 's/.*UTS_RELEASE "\(.*\)"/\1/p' $(KDIR)/include/generated/utsrelease.h 2>/dev/null)

# Nothing is built beside its source. Each kernel has a mirror of the module's sources,
# made of symbolic links, and its build runs there: so modules for several kernels
# stand side by side.
MIRROR	?= $(OUT)/module/$(RELEASE)
sources	:= Kbuild $(shell find module uapi -name '*.[chS]')
mirror	:= $(sources:%=$(MIRROR)/%)

packages := $(OUT)/.packages

# Quiet, so that stdout is what the commands print; and busy.
MAKEFLAGS += --no-print-directory
ifeq ($(filter -j%,$(MAKEFLAGS)),)
MAKEFLAGS += -j$(shell nproc)
endif

# The variables of make run go to scripts/run as they were typed, "$" and all; those that
# just happen to be in the environment (HOST, say) don't.
run_variables := ON HOST CPU CPUS KERNEL INITRD APPEND MEM RUN V
define pass_on
unexport $(1)
export THV_$(1) := $$(if $$(filter command,$$(firstword $$(origin $(1)))),$$(value $(1)))
endef
$(foreach name,$(run_variables),$(eval $(call pass_on,$(name))))

all: module launcher

module: $(mirror) | kernel-headers
	@$(MAKE) -C $(KDIR) M=$(abspath $(MIRROR)) modules

# As new as what it points to: make follows the link.
$(mirror): $(MIRROR)/%: | kernel-headers
	@mkdir -p $(@D) && ln -sfn $(CURDIR)/$* $@

kernel-headers:
	@test -n "$(RELEASE)" || { \
	echo 'No kernel to build for: "$(KDIR)" holds no configured kernel headers.' >&2; \
	echo 'Name their directory with KDIR=, or on Debian: apt-get install linux-headers-amd64' >&2; \
	exit 1; }

launcher:
	@$(MAKE) -C userspace O=$(abspath $(OUT)/userspace)

# Once for each state of the list.
packages: $(packages)
$(packages): scripts/packages scripts/install-packages
	@scripts/install-packages >&2
	@mkdir -p $(@D) && touch $@

# make answers every failure with status 2; "make run RUN=..." is to exit as its command does.
# So make loads a function that ends it: see scripts/make-status.c. Without it, 2 it is.
ifneq ($(filter run,$(MAKECMDGOALS)),)
-load $(OUT)/status.so
endif

$(OUT)/status.so: scripts/make-status.c | $(packages)
	@$(CC) -shared -fPIC -o $@ $<

# Two rules, because make expands a whole recipe before it runs the first line.
status := $(OUT)/.status-$(shell echo $$PPID)

run: ran
	@$(exit $(or $(shell cat $(status) 2>/dev/null; rm -f $(status)),1))exit 1

ran: $(packages)
	@scripts/run; echo $$? >$(status)

test: $(packages)
	@scripts/test

check static: $(packages)
	@scripts/test $@

test-all: $(packages)
	@scripts/test all

test-debug: $(packages)
	@scripts/test debug

bench-built: $(packages)
	@$(MAKE) module KDIR=/lib/modules/`selftests/machine/machine --kver`/build >&2
	@$(MAKE) -C selftests/bench >&2

bench: bench-built
	@$(MAKE) launcher >&2
	@scripts/guest >&2
	@selftests/bench/bench --json $(OUT)/bench/bench.json --svg $(OUT)/bench/bench.svg

bench-quick: bench-built
	@selftests/bench/bench --quick --json $(OUT)/bench/quick.json --svg $(OUT)/bench/quick.svg

bench-record: bench-built
	@selftests/bench/bench --record

# With DESTDIR only files are put in place; without, the system is told of them too.
modules := $(DESTDIR)/lib/modules/$(RELEASE)/extra
rules	:= $(DESTDIR)/etc/udev/rules.d
share	:= $(DESTDIR)$(PREFIX)/share

install: all
	install -D -m 644 $(MIRROR)/thv.ko $(modules)/thv.ko
	install -D -m 755 $(OUT)/userspace/thv $(DESTDIR)$(PREFIX)/bin/thv
	install -D -m 644 $(OUT)/userspace/thv.1 $(share)/man/man1/thv.1
	install -D -m 644 $(OUT)/userspace/thv.bash $(share)/bash-completion/completions/thv
	install -D -m 644 udev/60-thv.rules $(rules)/60-thv.rules
	test -n "$(DESTDIR)" || groupadd --system --force thv
	test -n "$(DESTDIR)" || depmod $(RELEASE)
	test -n "$(DESTDIR)" || ! udevadm control --reload 2>/dev/null || udevadm trigger --sysname-match=thv

# The group stays: files elsewhere may belong to it.
uninstall:
	rm -f $(modules)/thv.ko $(DESTDIR)$(PREFIX)/bin/thv $(rules)/60-thv.rules
	rm -f $(share)/man/man1/thv.1 $(share)/bash-completion/completions/thv
	test -n "$(DESTDIR)" || depmod $(RELEASE)

clean:
	rm -rf $(OUT)

help:
	@sed -n 's/^#: \{0,1\}//p' $(help_of)

.PHONY: all module kernel-headers launcher packages run ran test test-all test-debug check static
.PHONY: bench bench-built bench-quick bench-record install uninstall clean help
