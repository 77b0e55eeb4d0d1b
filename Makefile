# SPDX-License-Identifier: GPL-2.0-only
# The one front door. `make help` lists the targets.

KVER    ?= $(shell uname -r)
DESTDIR ?=
PREFIX  ?= /usr/local

.PHONY: help all deps kmod userspace demo demo-wccp bench bench-quick bench-profile bench-race \
	check check-debug check-matrix check-smp check-kcsan fuzz coverage lint install uninstall \
	clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST)

all: kmod userspace ## build the module for the running kernel, wlbctl and the daemons

deps: ## install what build, demo and check need (as root)
	scripts/deps.sh

kmod: ## build the module for KVER
	scripts/build-kmod.sh $(KVER)

userspace: ## build wlbctl and the daemons
	$(MAKE) -C userspace all

demo: deps ## a client's pages served by the nearest replica, in a test machine
	scripts/demo.sh

demo-wccp: deps ## pages by way of two routers and three proxies that die and come back, likewise
	scripts/demo.sh wccp

bench: deps ## what a packet costs, in instructions, beside nftables and IPVS
	scripts/bench.sh full

bench-quick: deps ## the same of ours alone: does it cost more than was committed to?
	scripts/bench.sh quick

# For example: make bench-profile ROWS="winning answer" FAMILY=4
bench-profile: deps ## where the instructions of one row are spent, by function
	ROWS="$(ROWS)" FAMILY=$(FAMILY) scripts/bench.sh profile

# A part of it: make bench-race CELLS="5:1:0 5:1:1" CONNECTIONS=200
bench-race: deps ## how often the nearest wins by race mode, beside what can be had at best
	scripts/bench-race.sh

check: deps ## all tests; ends with one line of counts
	scripts/check.py

# More than the usual: make check-debug WLB_RACES=100000 WLB_SYNS=1000000 WLB_FUZZ=100000
check-debug: deps ## all scenarios and worse ones in a kernel that watches itself
	scripts/check.py debug

check-matrix: deps ## every return mode with all that it may meet, in the first such kernel
	scripts/check.py matrix

check-smp: deps ## races, floods and churn in such a kernel with four processors
	scripts/check.py smp

check-kcsan: deps ## the same in a kernel that looks for data races
	scripts/check.py kcsan

fuzz: deps ## what parses bytes from outside, SECONDS=20 for each parser
	$(MAKE) -C tests/fuzz -j2 all
	$(MAKE) -C tests/fuzz fuzz SECONDS=$(or $(SECONDS),20)

coverage: deps userspace ## which lines of the module the scenarios reach
	scripts/coverage.py

lint: deps ## what reads the sources: compilers' warnings, sparse, checkpatch, linters
	scripts/check.py lint

install: all ## install module, wlbctl, man pages, example configuration
	install -D -m 644 build/kmod/$(KVER)/wlb.ko \
		$(DESTDIR)/lib/modules/$(KVER)/extra/wlb.ko
	install -D -m 755 build/userspace/wlbctl $(DESTDIR)$(PREFIX)/sbin/wlbctl
	install -D -m 755 build/userspace/wlb-routerd $(DESTDIR)$(PREFIX)/sbin/wlb-routerd
	install -D -m 755 build/userspace/wlb-cached $(DESTDIR)$(PREFIX)/sbin/wlb-cached
	install -D -m 755 build/userspace/wlb-processd $(DESTDIR)$(PREFIX)/sbin/wlb-processd
	install -D -m 755 build/userspace/wlb-gatewayd $(DESTDIR)$(PREFIX)/sbin/wlb-gatewayd
	install -D -m 755 build/userspace/wlb-replicad $(DESTDIR)$(PREFIX)/sbin/wlb-replicad
	install -D -m 644 docs/wlbctl.8 \
		$(DESTDIR)$(PREFIX)/share/man/man8/wlbctl.8
	install -D -m 644 docs/wlb-routerd.8 \
		$(DESTDIR)$(PREFIX)/share/man/man8/wlb-routerd.8
	install -D -m 644 docs/wlb-cached.8 \
		$(DESTDIR)$(PREFIX)/share/man/man8/wlb-cached.8
	install -D -m 644 docs/wlb-processd.8 \
		$(DESTDIR)$(PREFIX)/share/man/man8/wlb-processd.8
	install -D -m 644 docs/wlb-gatewayd.8 \
		$(DESTDIR)$(PREFIX)/share/man/man8/wlb-gatewayd.8
	install -D -m 644 docs/wlb-replicad.8 \
		$(DESTDIR)$(PREFIX)/share/man/man8/wlb-replicad.8
	install -D -m 644 docs/wlb.toml.5 \
		$(DESTDIR)$(PREFIX)/share/man/man5/wlb.toml.5
	install -D -m 644 packaging/completion/wlbctl \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions/wlbctl
	install -D -m 644 packaging/wlb.toml.example \
		$(DESTDIR)/etc/wlb/wlb.toml.example
	install -D -m 644 include/uapi/linux/wlb.h \
		$(DESTDIR)$(PREFIX)/include/linux/wlb.h
	[ -n "$(DESTDIR)" ] || depmod -a $(KVER)

uninstall: ## take away what install has put there, but no configuration
	$(RM) $(DESTDIR)/lib/modules/$(KVER)/extra/wlb.ko \
		$(DESTDIR)$(PREFIX)/sbin/wlbctl \
		$(DESTDIR)$(PREFIX)/sbin/wlb-routerd \
		$(DESTDIR)$(PREFIX)/sbin/wlb-cached \
		$(DESTDIR)$(PREFIX)/sbin/wlb-processd \
		$(DESTDIR)$(PREFIX)/sbin/wlb-replicad \
		$(DESTDIR)$(PREFIX)/share/man/man8/wlb-replicad.8 \
		$(DESTDIR)$(PREFIX)/sbin/wlb-gatewayd \
		$(DESTDIR)$(PREFIX)/share/man/man8/wlb-gatewayd.8 \
		$(DESTDIR)$(PREFIX)/share/man/man8/wlb-routerd.8 \
		$(DESTDIR)$(PREFIX)/share/man/man8/wlb-cached.8 \
		$(DESTDIR)$(PREFIX)/share/man/man8/wlb-processd.8 \
		$(DESTDIR)$(PREFIX)/share/man/man8/wlbctl.8 \
		$(DESTDIR)$(PREFIX)/share/man/man5/wlb.toml.5 \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions/wlbctl \
		$(DESTDIR)/etc/wlb/wlb.toml.example \
		$(DESTDIR)$(PREFIX)/include/linux/wlb.h
	[ -n "$(DESTDIR)" ] || depmod -a $(KVER)

clean: ## remove everything built (the cache of kernels stays)
	$(RM) -r build
