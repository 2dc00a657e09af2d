# SPDX-License-Identifier: MIT
# Everything is built below $(BUILD). VARIANT is release (the default), faults, asan or tsan.

PREFIX ?= /usr/local
BINDIR ?= $(PREFIX)/bin
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
MANDIR ?= $(PREFIX)/share/man
# put before the installed names of programs and their man pages
PROGPREFIX ?=
WERROR ?=

VARIANT ?= release
BUILD ?= $(if $(filter release,$(VARIANT)),build,build/$(VARIANT))
# where unit tests and fault tests run: they need the fault seam
SEAM_BUILD = $(if $(filter release,$(VARIANT)),$(BUILD)/faults,$(BUILD))
SEAM_VARIANT = $(if $(filter release,$(VARIANT)),faults,$(VARIANT))
# where the objects are that a variant shares: a build for faults takes those without a fault seam from the release
PLAIN = $(if $(filter faults,$(VARIANT)),$(BUILD:%/faults=%),$(BUILD))

# unit tests that run once for each loop backend
BACKEND_UNITS = loop% proc% pool% queue% net% cluster_node% api_loop%

ALL_TOOLS = prun ppool pqueue ptimer pnode psubmit
TOOLS := $(foreach t,$(ALL_TOOLS),$(if $(wildcard tools/$t/*.c),$t))
CORE_SRC := $(wildcard $(foreach m,base loop sandbox proc thread ipc store when pool queue,libcore/$m/*.c libcore/$m/*.S))
# what only the installed libraries have: libcore/api is their face, and of it cluster*.c is the other library's
API_SRC := $(filter-out libcore/api/cluster%,$(wildcard libcore/api/*.c))
LIB_SRC := $(CORE_SRC) $(API_SRC)
# a library of its own: only what works over many machines takes anything of it
CLUSTER_SRC := $(wildcard libcore/net/*.c libcore/cluster/*.c libcore/api/cluster*.c)
HEADERS := $(wildcard libcore/include/pcore/*.h)
CLI_SRC := $(wildcard tools/cli/*.c)
MAP_SRC := $(wildcard tools/map/*.c)
# the files that have a fault seam, and the tests, which know of it
SEAM_SRC := $(shell grep -lw pcore_fault $(LIB_SRC) $(CLUSTER_SRC) $(CLI_SRC) $(MAP_SRC) $(TOOLS:%=tools/%/*.c)) tests/%
UNITS := $(patsubst tests/unit/%.c,%,$(wildcard tests/unit/*.c))
HELPERS := $(filter-out shiftclock,$(patsubst tests/helpers/%.c,%,$(wildcard tests/helpers/*.c)))
BENCHES := $(patsubst tests/bench/%.c,%,$(wildcard tests/bench/*.c))
FUZZERS := $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/*.c))
MANPAGES := $(wildcard man/*.[1-9])
VERSION := $(shell sed -n 's/.*PCORE_VERSION "\(.*\)"/\1/p' tools/cli/version.h)
# the libraries' ABI; the files are libpcore.so.SOVERSION.MINOR.PATCH
SOVERSION = 0
SOFILE = so.$(SOVERSION).$(shell echo $(VERSION) | cut -d. -f2-)
LIBRARIES = libpcore libpcore-cluster

WARNINGS = -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wformat=2 -Wconversion \
	-Wswitch-enum -Wvla -Wundef -Wwrite-strings $(FALLTHROUGH) $(WERROR)
FALLTHROUGH = $(if $(findstring clang,$(CC)),-Wimplicit-fallthrough,-Wimplicit-fallthrough=5)

HARDEN = -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -fstack-protector-strong
VARIANT_release = -O2 -g $(HARDEN)
VARIANT_faults = -O2 -g $(HARDEN) -DPCORE_FAULTS
VARIANT_asan = -O1 -g -DPCORE_FAULTS -fno-omit-frame-pointer $(SANITIZE)
VARIANT_tsan = -O1 -g -DPCORE_FAULTS -fno-omit-frame-pointer $(SANITIZE)
SANITIZE_asan = -fsanitize=address,undefined -fno-sanitize-recover=undefined
SANITIZE_tsan = -fsanitize=thread
SANITIZE = $(SANITIZE_$(VARIANT))
# what tests start again and again is up in half the time if this is in the program itself, as clang has it anyway
RUNTIME_asan = $(if $(findstring clang,$(CC)),,-static-libasan -static-libubsan)
ifeq ($(VARIANT_$(VARIANT)),)
$(error VARIANT is release, faults, asan or tsan, not '$(VARIANT)')
endif

OUR_CFLAGS = -std=gnu17 -D_GNU_SOURCE -I. -Ilibcore/include $(VARIANT_$(VARIANT)) -fno-common -fvisibility=hidden -fPIE \
	-ffunction-sections -fdata-sections $(WARNINGS)
OUR_LDFLAGS = -pie $(SANITIZE) -Wl,--gc-sections -Wl,--as-needed -Wl,-z,relro -Wl,-z,now
# what runs between clone and exec shares its parent's memory and may call nothing
RAW_CFLAGS = -fno-sanitize=all -fno-stack-protector -fno-builtin \
	-fno-tree-loop-distribute-patterns -U_FORTIFY_SOURCE

# make V=1 shows the commands
Q = $(if $(V),,@)
say = $(if $(V),@:,@echo '  $(1) $@')
COMPILE = $(Q)$(CC) $(OUR_CFLAGS) $(CPPFLAGS) $(CFLAGS) $(PIC) $(GENERATED) $(RAW) -MMD -MP -c -o $@ $<
LINK = $(Q)$(CC) $(OUR_CFLAGS) $(CFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(OUR_LDFLAGS) $(RUNTIME) $(LDFLAGS) $(LDLIBS) $(LIBS)

objects_in = $(patsubst %,$(1)/obj/%.o,$(basename $(2)))
objects = $(call objects_in,$(BUILD),$(filter $(SEAM_SRC),$(1))) $(call objects_in,$(PLAIN),$(filter-out $(SEAM_SRC),$(1)))
CORE_OBJ := $(call objects,$(CORE_SRC))
API_OBJ := $(call objects,$(API_SRC))
CLUSTER_OBJ := $(call objects,$(CLUSTER_SRC))
CLI_OBJ := $(call objects,$(CLI_SRC))
MAP_OBJ := $(call objects,$(MAP_SRC))
ARCHIVES = $(BUILD)/libmap.a $(BUILD)/libcli.a $(BUILD)/libpcore-cluster.a $(BUILD)/libpcore.a

TOOL_BINS = $(TOOLS:%=$(BUILD)/%)
UNIT_BINS = $(UNITS:%=$(BUILD)/unit/%)
HELPER_BINS = $(HELPERS:%=$(BUILD)/helpers/%) $(BUILD)/helpers/shiftclock.so
BENCH_BINS = $(BENCHES:%=$(BUILD)/bench/%)

OBJCOPY ?= objcopy
SHELL = /bin/sh
MAKEFLAGS += --no-print-directory --no-builtin-rules
.DEFAULT_GOAL = all
.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: all libs abi abi-dump setup test check check-fault check-model check-sim demo lint install uninstall clean asan tsan fuzz bench deb help seam

# the libraries are installed from a release build only
all: $(TOOL_BINS) $(if $(filter release,$(VARIANT)),libs) ## build the tools and libraries into build/

libs: $(LIBRARIES:%=$(BUILD)/lib/%.so.$(SOVERSION)) $(LIBRARIES:%=$(BUILD)/lib/%.a)

define compiled
$(1)/obj/%.o: %.c
	@mkdir -p $$(@D)
	$$(call say,CC)
	$$(COMPILE)

$(1)/obj/%.o: %.S
	@mkdir -p $$(@D)
	$$(call say,CC)
	$$(COMPILE)

# an object of libcore is for the libraries and for the tools
$(1)/obj/libcore/%.o: PIC = -fPIC -fno-semantic-interposition
endef
$(foreach d,$(sort $(BUILD) $(PLAIN)),$(eval $(call compiled,$d)))

$(PLAIN)/obj/libcore/proc/raw_%.o: RAW = $(RAW_CFLAGS)

# the system call filters are made by a program that runs here, so that no tool needs libseccomp
$(PLAIN)/gen/filters: libcore/sandbox/gen/filters.c
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(CC) -std=gnu17 -D_GNU_SOURCE -O1 $(WARNINGS) -o $@ $< -lseccomp

$(PLAIN)/gen/filters.h: $(PLAIN)/gen/filters
	$(call say,GEN)
	$(Q)$< >$@

$(PLAIN)/obj/libcore/sandbox/sandbox.o: $(PLAIN)/gen/filters.h
$(PLAIN)/obj/libcore/sandbox/sandbox.o: GENERATED = -I$(PLAIN)/gen

$(BUILD)/libpcore.a: $(CORE_OBJ) $(API_OBJ)
$(BUILD)/libcli.a: $(CLI_OBJ)
$(BUILD)/libmap.a: $(MAP_OBJ)
$(BUILD)/libcore.a: $(CORE_OBJ)
$(BUILD)/libpcore-cluster.a: $(CLUSTER_OBJ)
$(ARCHIVES) $(BUILD)/libcore.a:
	@mkdir -p $(@D)
	$(call say,AR)
	@rm -f $@
	$(Q)$(AR) rcs $@ $^

# The installed libraries export what libcore/NAME.sym lists and nothing else. That goes for the archives, too: each holds one
# object, whose other names are local. The cluster's library has its own copy of what it needs of the modules below it.
$(BUILD)/lib/%.map: libcore/%.sym
	@mkdir -p $(@D)
	$(Q)awk 'BEGIN { print "PCORE_$(SOVERSION) {" } /^#/ { next } !n++ { print "global:" } { print "\t" $$0 ";" } END { print "local: *;\n};" }' $< >$@

$(BUILD)/lib/libpcore.so.$(SOVERSION): $(CORE_OBJ) $(API_OBJ)
$(BUILD)/lib/libpcore.so.$(SOVERSION): LIBS = -luring
$(BUILD)/lib/libpcore-cluster.so.$(SOVERSION): $(CLUSTER_OBJ) $(BUILD)/libcore.a $(BUILD)/lib/libpcore.so.$(SOVERSION)
$(BUILD)/lib/libpcore-cluster.so.$(SOVERSION): LIBS = $(BUILD)/lib/libpcore.so.$(SOVERSION) -luring
$(BUILD)/lib/%.so.$(SOVERSION): $(BUILD)/lib/%.map
	$(call say,LD)
	$(Q)$(CC) -shared $(OUR_CFLAGS) -fPIC $(CFLAGS) -o $@ -Wl,-soname,$(@F) -Wl,--version-script=$< \
		$(filter %.o,$^) $(filter %.a,$^) $(filter-out -pie,$(OUR_LDFLAGS)) -Wl,-z,defs $(LDFLAGS) $(LDLIBS) $(LIBS)

$(BUILD)/lib/libpcore.a: $(CORE_OBJ) $(API_OBJ)
$(BUILD)/lib/libpcore-cluster.a: $(CLUSTER_OBJ) $(BUILD)/libcore.a
$(BUILD)/lib/%.a: libcore/%.sym
	@mkdir -p $(@D)
	$(call say,AR)
	@rm -f $@
	$(Q)$(CC) -r -nostdlib -o $(@:.a=.o) $(filter %.o,$^) $(filter %.a,$^)
	$(Q)$(OBJCOPY) --keep-global-symbol=pcore_none --keep-global-symbols=$< $(@:.a=.o)
	$(Q)$(AR) rcs $@ $(@:.a=.o)

# against the last release: tests/abi/NAME.abi was written by abi-dump, then
abi: libs ## compare the libraries' ABI with the last release's (abidiff)
	@sh tests/abi/run $(BUILD)/lib tests/abi $(LIBRARIES)

abi-dump: libs ## store the libraries' ABI: a part of making a release
	@for l in $(LIBRARIES); do \
		abidw --headers-dir libcore/include --drop-private-types --no-corpus-path --out-file tests/abi/$$l.abi $(BUILD)/lib/$$l.so.$(SOVERSION) || exit; done

define tool_objects
$(BUILD)/$(1): $(call objects,$(wildcard tools/$(1)/*.c))
endef
$(foreach t,$(TOOLS),$(eval $(call tool_objects,$t)))
# liburing is a few calls around the ring: linked in, it costs no time when a tool starts
$(TOOL_BINS): LIBS = -Wl,-Bstatic -luring -Wl,-Bdynamic
$(TOOL_BINS): RUNTIME = $(RUNTIME_$(VARIANT))
$(TOOL_BINS): $(ARCHIVES)
	$(call say,LD)
	$(LINK)

# completions are made of the tables that the tools print
BASHCOMPDIR ?= $(PREFIX)/share/bash-completion/completions
ZSHCOMPDIR ?= $(PREFIX)/share/zsh/site-functions
FISHCOMPDIR ?= $(PREFIX)/share/fish/vendor_completions.d
BASH_COMPLETIONS = $(TOOLS:%=$(BUILD)/completions/bash/$(PROGPREFIX)%)
ZSH_COMPLETIONS = $(TOOLS:%=$(BUILD)/completions/zsh/_$(PROGPREFIX)%)
FISH_COMPLETIONS = $(TOOLS:%=$(BUILD)/completions/fish/$(PROGPREFIX)%.fish)
.PHONY: completions install-completions uninstall-completions
all: completions
install: install-completions
uninstall: uninstall-completions

completions: $(BASH_COMPLETIONS) $(ZSH_COMPLETIONS) $(FISH_COMPLETIONS)
GENERATE = $(Q)mkdir -p $(@D) && sh tools/completions/generate $(1) $< $(PROGPREFIX)$* >$@
$(BASH_COMPLETIONS): $(BUILD)/completions/bash/$(PROGPREFIX)%: $(BUILD)/% $(wildcard tools/completions/*)
	$(call say,GEN)
	$(call GENERATE,bash)
$(ZSH_COMPLETIONS): $(BUILD)/completions/zsh/_$(PROGPREFIX)%: $(BUILD)/% $(wildcard tools/completions/*)
	$(call say,GEN)
	$(call GENERATE,zsh)
$(FISH_COMPLETIONS): $(BUILD)/completions/fish/$(PROGPREFIX)%.fish: $(BUILD)/% $(wildcard tools/completions/*)
	$(call say,GEN)
	$(call GENERATE,fish)

# manual pages in other languages: man/LANGUAGE/NAME.SECTION
TRANSLATIONS := $(wildcard man/*/*.[1-9])
.PHONY: install-translations uninstall-translations
install: install-translations
uninstall: uninstall-translations
translated = "$(DESTDIR)$(MANDIR)/$(patsubst man/%/,%,$(dir $(1)))/man$(subst .,,$(suffix $(1)))$(2)"

install-translations:
	$(foreach m,$(TRANSLATIONS),install -D -m 644 $m $(call translated,$m,/$(PROGPREFIX)$(notdir $m)) &&) :

uninstall-translations:
	rm -f $(foreach m,$(TRANSLATIONS),$(call translated,$m,/$(PROGPREFIX)$(notdir $m)))

install-completions: completions
	install -d "$(DESTDIR)$(BASHCOMPDIR)" "$(DESTDIR)$(ZSHCOMPDIR)" "$(DESTDIR)$(FISHCOMPDIR)"
	install -m 644 $(BASH_COMPLETIONS) "$(DESTDIR)$(BASHCOMPDIR)"
	install -m 644 $(ZSH_COMPLETIONS) "$(DESTDIR)$(ZSHCOMPDIR)"
	install -m 644 $(FISH_COMPLETIONS) "$(DESTDIR)$(FISHCOMPDIR)"

uninstall-completions:
	rm -f $(foreach f,$(notdir $(BASH_COMPLETIONS)),"$(DESTDIR)$(BASHCOMPDIR)/$f")
	rm -f $(foreach f,$(notdir $(ZSH_COMPLETIONS)),"$(DESTDIR)$(ZSHCOMPDIR)/$f")
	rm -f $(foreach f,$(notdir $(FISH_COMPLETIONS)),"$(DESTDIR)$(FISHCOMPDIR)/$f")

$(BUILD)/unit/%: LIBS = -lcmocka -luring
# their peers are made of plain OpenSSL
$(BUILD)/unit/net_cert $(BUILD)/unit/net_tls: LIBS = -lcmocka -luring -lssl -lcrypto
$(BUILD)/unit/%: $(BUILD)/obj/tests/unit/%.o $(ARCHIVES)
	@mkdir -p $(@D)
	$(call say,LD)
	$(LINK)

# the scheduler in a simulated cluster
$(BUILD)/unit/scheduler_sim: $(call objects,$(wildcard tests/sim/*.c))
$(BUILD)/unit/scheduler_sim: LIBS = -lcmocka -luring -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=reallocarray

# where each allocation fails once
$(BUILD)/unit/api_cluster: LIBS = -lcmocka -luring -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=reallocarray

$(BUILD)/helpers/%: LIBS = -luring
$(BUILD)/helpers/%: $(BUILD)/obj/tests/helpers/%.o
	@mkdir -p $(@D)
	$(call say,LD)
	$(LINK)

$(addprefix $(BUILD)/helpers/,ringkill storekill storecut queuekill queuefill): $(ARCHIVES)

# it is preloaded
$(BUILD)/helpers/%.so: tests/helpers/%.c
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(CC) -std=gnu17 -D_GNU_SOURCE -O2 -fPIC -shared $(WARNINGS) -o $@ $<

# it runs where no library can be read
$(BUILD)/helpers/probe $(BUILD)/obj/tests/helpers/probe.o: SANITIZE =
$(BUILD)/helpers/probe: LDLIBS += -static -no-pie

$(BUILD)/bench/queue: $(ARCHIVES)
$(BUILD)/bench/tiny: LDLIBS += -static -no-pie
$(BUILD)/bench/nextrun $(BUILD)/bench/late $(BUILD)/bench/timers $(BUILD)/bench/net $(BUILD)/bench/dispatch: $(ARCHIVES)
$(BUILD)/bench/%: LIBS = -luring -lpthread
$(BUILD)/bench/%: $(BUILD)/obj/tests/bench/%.o
	@mkdir -p $(@D)
	$(call say,LD)
	$(LINK)

$(BUILD)/bench/append: $(ARCHIVES)
$(BUILD)/bench/poolmap: $(ARCHIVES)
$(BUILD)/bench/threads: $(ARCHIVES)
$(BUILD)/bench/scheduler: $(ARCHIVES)

-include $(wildcard $(foreach d,$(sort $(BUILD) $(PLAIN)),$d/obj/*/*.d $d/obj/*/*/*.d))

setup: ## install what building and testing need (Debian; as root or through sudo)
	@sh tests/setup

seam: $(TOOL_BINS) $(UNIT_BINS) $(HELPER_BINS)

test: all $(HELPER_BINS) ## build, then run every test
	@$(MAKE) VARIANT=$(SEAM_VARIANT) BUILD=$(SEAM_BUILD) seam
	@BACKEND_UNITS='$(filter $(BACKEND_UNITS),$(UNITS))' PCORE_VARIANT=$(VARIANT) \
		bash tests/run $(BUILD) $(SEAM_BUILD) $(SUITES)

check: ## setup, then test
	@$(MAKE) setup
	@$(MAKE) test

check-sim: ## the simulations at full length: minutes
	@$(MAKE) VARIANT=$(SEAM_VARIANT) BUILD=$(SEAM_BUILD) $(addprefix $(SEAM_BUILD)/unit/,when_oracle scheduler_sim)
	PCORE_SIM=full $(SEAM_BUILD)/unit/scheduler_sim
	PCORE_SIM=full $(SEAM_BUILD)/unit/when_oracle

# rounds of the tests of a store; a ring's users die ten thousand times in ten minutes
FAULT_ROUNDS = 10
check-fault: ## kill the users of a ring and of a store, cut the power of disks and connections, many times
	@$(MAKE) VARIANT=$(SEAM_VARIANT) BUILD=$(SEAM_BUILD) $(addprefix $(SEAM_BUILD)/helpers/,ringkill storekill storecut queuekill queuefill cutconn) \
		$(addprefix $(SEAM_BUILD)/,ppool pnode psubmit)
	@sh tests/fault/run $(abspath $(SEAM_BUILD)) $(FAULT_ROUNDS)

check-model: ## check the model of the ring with spin
	@sh tests/model/run

demo: ## setup, build, and map a command over this machine's documentation
	@$(MAKE) setup
	@$(MAKE) all
	@PATH="$(abspath $(BUILD)):$$PATH" sh tests/demo

asan: ## the tests on a build with AddressSanitizer and UndefinedBehaviorSanitizer
	@$(MAKE) VARIANT=asan BUILD=build/asan test

tsan: ## the unit tests on a build with ThreadSanitizer
	@$(MAKE) VARIANT=tsan BUILD=build/tsan SUITES=unit test

# how long each fuzz target runs
FUZZ_SECONDS = 60
FUZZ_SRC = $(wildcard libcore/base/*.c libcore/when/*.c libcore/store/*.c libcore/cluster/wire*.c) libcore/net/frame.c libcore/net/key.c
build/fuzz/%: tests/fuzz/%.c $(wildcard tests/fuzz/*.h tests/unit/cluster_any.h) $(FUZZ_SRC)
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)clang -std=gnu17 -D_GNU_SOURCE -I. -Ilibcore/include -O1 -g -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined \
		-o $@ $(filter %.c,$^) $(filter %.a,$^) $(FUZZ_LIBS)

# what these read is in ptimer; of the rest they need little, which is not instrumented
build/fuzz/table build/fuzz/crontab: tools/ptimer/table.c tools/ptimer/verbs.c tools/ptimer/zones.c tools/cli/opts.c $(ARCHIVES)
build/fuzz/table build/fuzz/crontab: FUZZ_LIBS = -luring

fuzz: ## run the fuzz targets, FUZZ_SECONDS each, where clang is installed
	@command -v clang >/dev/null || { echo 'SKIPPED: fuzzing needs clang' >&2; exit 0; }; \
	$(MAKE) $(FUZZERS:%=build/fuzz/%) && for f in $(FUZZERS); do \
		mkdir -p build/fuzz/corpus.$$f && build/fuzz/$$f -max_total_time=$(FUZZ_SECONDS) -max_len=4096 -timeout=5 \
			-artifact_prefix=build/fuzz/$$f. -print_final_stats=1 build/fuzz/corpus.$$f $$(test $$f = zone && echo /usr/share/zoneinfo/Etc /usr/share/zoneinfo/Europe || echo tests/fuzz/seeds.$$f) || exit; done

lint: all ## check layout, imports, man pages, scripts and spelling
	@sh tests/lint/run $(BUILD)

bench: all $(BENCH_BINS) ## measure against floors and peers
	@PATH="$(abspath $(BUILD)/bench):$(abspath $(BUILD)):$$PATH" bash tests/bench/run $(ARGS)

install: all ## install tools, libraries and man pages below DESTDIR and PREFIX, programs' names after PROGPREFIX
	install -d "$(DESTDIR)$(BINDIR)"
	for t in $(TOOLS); do \
		install -m 755 $(BUILD)/$$t "$(DESTDIR)$(BINDIR)/$(PROGPREFIX)$$t" || exit; done
	for m in $(filter-out %.3,$(MANPAGES)); do \
		d="$(DESTDIR)$(MANDIR)/man$${m##*.}"; install -d "$$d" && \
		install -m 644 $$m "$$d/$(PROGPREFIX)$${m##*/}" || exit; done
	install -d "$(DESTDIR)$(LIBDIR)/pkgconfig" "$(DESTDIR)$(INCLUDEDIR)/pcore" "$(DESTDIR)$(MANDIR)/man3"
	for l in $(LIBRARIES); do \
		install -m 644 $(BUILD)/lib/$$l.so.$(SOVERSION) "$(DESTDIR)$(LIBDIR)/$$l.$(SOFILE)" && \
		ln -sf $$l.$(SOFILE) "$(DESTDIR)$(LIBDIR)/$$l.so.$(SOVERSION)" && \
		ln -sf $$l.so.$(SOVERSION) "$(DESTDIR)$(LIBDIR)/$$l.so" && \
		install -m 644 $(BUILD)/lib/$$l.a "$(DESTDIR)$(LIBDIR)/" && \
		sed 's|@PREFIX@|$(PREFIX)|; s|@LIBDIR@|$(LIBDIR)|; s|@INCLUDEDIR@|$(INCLUDEDIR)|; s|@VERSION@|$(VERSION)|' \
			libcore/$$l.pc.in >"$(DESTDIR)$(LIBDIR)/pkgconfig/$$l.pc" || exit; done
	for f in $(HEADERS); do install -m 644 $$f "$(DESTDIR)$(INCLUDEDIR)/pcore/" || exit; done
	for f in $(filter %.3,$(MANPAGES)); do install -m 644 $$f "$(DESTDIR)$(MANDIR)/man3/" || exit; done

uninstall: ## remove what install puts there
	for t in $(TOOLS); do rm -f "$(DESTDIR)$(BINDIR)/$(PROGPREFIX)$$t"; done
	for m in $(filter-out %.3,$(MANPAGES)); do \
		rm -f "$(DESTDIR)$(MANDIR)/man$${m##*.}/$(PROGPREFIX)$${m##*/}"; done
	for m in $(filter %.3,$(MANPAGES)); do rm -f "$(DESTDIR)$(MANDIR)/man3/$${m##*/}"; done
	for l in $(LIBRARIES); do \
		rm -f "$(DESTDIR)$(LIBDIR)/$$l.$(SOFILE)" "$(DESTDIR)$(LIBDIR)/$$l.so.$(SOVERSION)" \
			"$(DESTDIR)$(LIBDIR)/$$l.so" "$(DESTDIR)$(LIBDIR)/$$l.a" "$(DESTDIR)$(LIBDIR)/pkgconfig/$$l.pc"; done
	for f in $(notdir $(HEADERS)); do rm -f "$(DESTDIR)$(INCLUDEDIR)/pcore/$$f"; done
	rmdir "$(DESTDIR)$(INCLUDEDIR)/pcore" 2>/dev/null || :

LINTIAN = lintian --allow-root -I --pedantic --fail-on error,warning,info,pedantic
deb: ## build the Debian packages in build/deb and run lintian on them
	rm -rf build/deb
	mkdir -p build/deb/pcore
	tar -c --exclude=./build --exclude=./.git --mtime="@$$(dpkg-parsechangelog -S Timestamp)" . | \
		tar -x -C build/deb/pcore
	cd build/deb/pcore && env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL -u BUILD -u VARIANT -u WERROR dpkg-buildpackage -us -uc
	cd build/deb && $(LINTIAN) *.changes
	rm -rf build/deb/pcore

# packages that are there, so that none are built
DEBS =
.PHONY: debs check-deb check-vm
debs:
	@$(if $(DEBS),:,$(MAKE) deb DEB_BUILD_OPTIONS=nocheck)

# what the packages' test `commands` runs there; with cli it is all of it
DEB_SUITES = cli/ppool_starmap cli/ptimer_table
check-deb: $(BUILD)/helpers/shiftclock.so ## build the packages twice, and install, upgrade and purge them in a bare Debian: as root
	@sh tests/setup mmdebstrap autopkgtest
	@$(MAKE) debs
	@SUITES='$(DEB_SUITES)' TMPDIR="$${TMPDIR:-/var/tmp}" DEBS=$(or $(DEBS),build/deb) PCORE_BUILD=$(abspath $(BUILD)) bats --print-output-on-failure tests/deb/deb.bats

# a disk of 3 GB at most, of which the file system holds one third; it is made once
VM_IMAGE = $(BUILD)/vm
$(VM_IMAGE)/disk: tests/vm/image tests/vm/agent tests/vm/agent.service
	@sh tests/setup mmdebstrap e2fsprogs
	sh tests/vm/image $(VM_IMAGE)

# suites to run in the guest, as for tests/run; where it is emulated, those to which the kernel matters most and time does not
VM_SUITES = vm/limits $(if $(wildcard /dev/kvm),cli unit,cli/prun_limits unit/aside unit/loop)
# rows of the benchmark to print as well, such as `prun pool`
VM_BENCH =
VM_UNITS = $(if $(filter unit,$(VM_SUITES)),$(UNITS:%=unit/%),$(filter unit/%,$(VM_SUITES)))
check-vm: $(VM_IMAGE)/disk ## install the packages in a Debian with kernel 6.1, and run VM_SUITES there: as root
	@sh tests/setup qemu-system-x86
	@$(MAKE) debs
	@$(MAKE) VARIANT=$(SEAM_VARIANT) BUILD=$(SEAM_BUILD) $(patsubst $(BUILD)/%,$(SEAM_BUILD)/%,$(HELPER_BINS) $(if $(VM_BENCH),$(BENCH_BINS))) \
		$(VM_UNITS:%=$(SEAM_BUILD)/%)
	@VM_BENCH='$(VM_BENCH)' BACKEND_UNITS='$(filter $(BACKEND_UNITS),$(UNITS))' sh tests/vm/run $(VM_IMAGE) $(or $(DEBS),build/deb) $(SEAM_BUILD) $(VM_SUITES)

clean: ## remove build/
	rm -rf build

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-12s %s\n", $$1, $$2 }' Makefile
