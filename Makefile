# SPDX-License-Identifier: GPL-2.0-only
# The one front door. `make help` lists the targets.

KVER    ?= $(shell uname -r)
DESTDIR ?=
PREFIX  ?= /usr/local

.PHONY: help all deps kmod userspace demo demo-wccp bench bench-quick bench-flows bench-profile \
	bench-race bench-time bench-scaling bench-connections bench-control check check-debug \
	check-matrix check-smp check-watched check-kcsan fuzz coverage lint install install-userspace \
	uninstall deb clean

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

bench-flows: deps ## memory of a million flows; how they are made and ended; whom that keeps waiting
	scripts/bench.sh flows

bench-quick: deps ## the same of ours alone: does it cost more than was committed to?
	scripts/bench.sh quick

# For example: make bench-profile ROWS="winning answer" FAMILY=4
bench-profile: deps ## where the instructions of one row are spent, by function
	ROWS="$(ROWS)" FAMILY=$(FAMILY) scripts/bench.sh profile

# A part of it: make bench-race CELLS="5:1:0 5:1:1" CONNECTIONS=200
bench-race: deps ## how often the nearest wins by race mode, beside what can be had at best
	scripts/bench-race.sh

# A part of it: make bench-time ROWS="nat," FAMILY=4 ROUNDS=10
bench-time: deps ## what a packet costs, in ns, on this machine's own processor
	ROWS="$(ROWS)" FAMILY=$(FAMILY) ROUNDS=$(ROUNDS) scripts/bench-time.sh

bench-scaling: deps ## what a second processor adds, and what memory both would write
	FAMILY=$(FAMILY) ROUNDS=$(ROUNDS) scripts/bench-scaling.sh

bench-connections: deps ## connections per second with us and without, also in a flood of SYNs
	scripts/bench-connections.sh

# A part of it: make bench-control PARTS=routerd GROUPS_OF=16
bench-control: deps ## what wlb-routerd with full groups, many flows and services cost
	scripts/bench-control.sh

check: deps ## all tests; ends with one line of counts
	scripts/check.py

# More than the usual: make check-debug WLB_CASES=all
#                      make check-debug WLB_RACES=100000 WLB_SYNS=1000000 WLB_FUZZ=100000
check-debug: deps ## few of all scenarios, and worse ones, in a kernel that watches itself
	WLB_CASES=$(or $(WLB_CASES),thirtysecond) scripts/check.py debug

check-matrix: deps ## every return mode with all that it may meet, in the first such kernel
	scripts/check.py matrix

check-smp: deps ## races, floods and churn in such a kernel with four processors
	scripts/check.py smp

check-watched: deps ## both, of the second the least: what continuous integration runs
	WLB_CASES=$(or $(WLB_CASES),thirtysecond) scripts/check.py watched

check-kcsan: deps ## the same in a kernel that looks for data races
	scripts/check.py kcsan

fuzz: deps ## what parses bytes from outside, SECONDS=20 for each parser
	$(MAKE) -C tests/fuzz -j2 all
	$(MAKE) -C tests/fuzz fuzz SECONDS=$(or $(SECONDS),20)

coverage: deps userspace ## which lines of the module the scenarios reach
	scripts/coverage.py

lint: deps ## what reads the sources: compilers' warnings, sparse, checkpatch, linters
	scripts/check.py lint

# What is installed where, and so what uninstall takes away.
SBIN     := wlbctl wlb-routerd wlb-cached wlb-processd wlb-gatewayd wlb-replicad
MAN      := $(wildcard docs/*.[578])
EXAMPLES := packaging/wlb.toml.example $(wildcard packaging/examples/*)
UNITS    := $(patsubst packaging/systemd/%,%,\
	$(wildcard packaging/systemd/*.service packaging/systemd/*.d/*))
UNITDIR  ?= $(PREFIX)/lib/systemd/system
MODULE   := /lib/modules/$(KVER)/extra/wlb.ko
COMPLETION  := $(PREFIX)/share/bash-completion/completions/wlbctl
ZSH_DIR     ?= $(PREFIX)/share/zsh/site-functions
HEADER      := $(PREFIX)/include/linux/wlb.h
DISSECTOR   := $(PREFIX)/share/wlb/wlb.lua
DASHBOARD   := $(PREFIX)/share/wlb/grafana.json
EXAMPLE_DIR := $(PREFIX)/share/doc/wlb/examples
man_path = $(PREFIX)/share/man/man$(patsubst .%,%,$(suffix $(1)))/$(notdir $(1))
INSTALLED := $(MODULE) $(SBIN:%=$(PREFIX)/sbin/%) $(foreach page,$(MAN),$(call man_path,$(page))) \
	$(UNITS:%=$(UNITDIR)/%) $(addprefix $(EXAMPLE_DIR)/,$(notdir $(EXAMPLES))) $(COMPLETION) $(HEADER) \
	$(DISSECTOR) $(DASHBOARD) $(ZSH_DIR)/_wlbctl

install: all install-userspace ## install module, wlbctl, daemons, units, man pages, examples
	install -D -m 644 build/kmod/$(KVER)/wlb.ko $(DESTDIR)$(MODULE)
	[ -n "$(DESTDIR)" ] || depmod -a $(KVER)

# Units say /usr/sbin. Configuration holds keys: nobody but root looks in there.
install-userspace: userspace
	set -e; for name in $(SBIN); do \
		install -D -m 755 build/userspace/$$name $(DESTDIR)$(PREFIX)/sbin/$$name; done
	set -e; for page in $(MAN); do \
		install -D -m 644 $$page $(DESTDIR)$(PREFIX)/share/man/man$${page##*.}/$${page##*/}; done
	set -e; for file in $(EXAMPLES); do \
		install -D -m 644 $$file $(DESTDIR)$(EXAMPLE_DIR)/$${file##*/}; done
	set -e; for unit in $(UNITS); do \
		install -D -m 644 packaging/systemd/$$unit $(DESTDIR)$(UNITDIR)/$$unit; \
		sed -i 's|=\(+\?\)/usr/sbin/wlb|=\1$(PREFIX)/sbin/wlb|' $(DESTDIR)$(UNITDIR)/$$unit; done
	install -D -m 644 packaging/completion/wlbctl $(DESTDIR)$(COMPLETION)
	install -D -m 644 packaging/completion/_wlbctl $(DESTDIR)$(ZSH_DIR)/_wlbctl
	install -D -m 644 include/uapi/linux/wlb.h $(DESTDIR)$(HEADER)
	install -D -m 644 packaging/wireshark/wlb.lua $(DESTDIR)$(DISSECTOR)
	install -D -m 644 packaging/grafana/wlb.json $(DESTDIR)$(DASHBOARD)
	install -d -m 750 $(DESTDIR)/etc/wlb

uninstall: ## take away what install has put there, but no configuration
	$(RM) $(addprefix $(DESTDIR),$(INSTALLED))
	rmdir --ignore-fail-on-non-empty $(addprefix $(DESTDIR),$(EXAMPLE_DIR) $(dir $(DISSECTOR)) \
		$(dir $(EXAMPLE_DIR)) $(sort $(filter-out $(UNITDIR)/./,$(dir $(UNITS:%=$(UNITDIR)/%)))))
	[ -n "$(DESTDIR)" ] || depmod -a $(KVER)

deb: deps ## build wlb and wlb-dkms, packages for Debian 12, in build/deb
	scripts/deb.sh

clean: ## remove everything built (the cache of kernels stays)
	$(RM) -r build
