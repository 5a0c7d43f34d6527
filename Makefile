# Builds nestor and everything around it; `make help` lists the targets.
#
# Sources are found by wildcard: a new .c file in a directory below is built with no edit here.
# Output goes to build/$(MODE); the default mode also leaves the program as ./nestor.

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SECONDARY:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules

include config.mk

# ---- what is built from where ------------------------------------------------------------------

# Directories of the dependency table whose objects make up the program.
DIRS := l0/base l0/arch l0/time trace trace/model trace/bt2 l0/mem vtlb shadow-vmcs l0/engine \
        l0/jit l0/dev l0/boot l0/symbols l0/track l0/sched l0/exit l0/gdb l0/lab l0 l0/cmd viewer

# Reachable between exit and re-entry; files named *_vec.c or *_cold.c there are exempt.
GENERAL_REGS_DIRS  := l0/base l0/arch l0/time l0/mem l0/dev vtlb shadow-vmcs l0/exit l0/engine l0/jit l0/track l0/sched
GENERAL_REGS_FILES := trace/transition.c trace/ring.c trace/summary.c l0/machine.c l0/machine_ops.c l0/machine_hotplug.c l0/host_report.c l0/worker.c l0/gdb/catch.c

# Also part of the babeltrace2 plugin.
PIC_DIRS := l0/base l0/arch l0/symbols trace/model trace/bt2

# Every handler ends in its own indirect jump: the host predicts each by itself.
CFLAGS.l0/engine := -foptimize-sibling-calls -fno-stack-protector -fno-partial-inlining \
                    -fno-crossjumping -fno-gcse
ifneq ($(filter rel dbg,$(MODE)),)
CFLAGS.l0/engine += -O2
endif
CFLAGS.l0/jit := $(CFLAGS.l0/engine)
# See vec_done() in l0/engine/vec_priv.h.
ifneq ($(filter asan tsan,$(MODE)),)
$(addprefix $(B)/obj/l0/engine/,vec.o vec_state.o): CFLAGS += -fno-sanitize=all -DVEC_PARKS
endif
CFLAGS.viewer := -D_XOPEN_SOURCE_EXTENDED=
CFLAGS.vtlb := $(if $(filter oddeven,$(VTLB_FILL)),-DVTLB_ODD_EVEN=1)

MAIN      := l0/nestor.c
PROVIDER  := $(wildcard trace/provider*.c)
ALL_SRC   := $(foreach d,$(DIRS),$(wildcard $(d)/*.c))
LIB_SRC   := $(filter-out $(MAIN) $(PROVIDER),$(ALL_SRC))
HEADERS   := $(foreach d,$(DIRS) l1-child tests,$(shell find $(d) -maxdepth 3 -name '*.h' 2>/dev/null))

obj        = $(patsubst %.c,$(B)/obj/%.o,$(1))
LIB_OBJ   := $(call obj,$(LIB_SRC))
MAIN_OBJ  := $(call obj,$(wildcard $(MAIN)))
PLUGIN_OBJ := $(call obj,$(foreach d,$(PIC_DIRS),$(wildcard $(d)/*.c)))

LIB        := $(B)/libnestor.a
PROGRAM    := $(B)/nestor
PROVIDER_SO := $(if $(PROVIDER),$(B)/libnestor-provider.so)
PLUGIN_SO  := $(if $(wildcard trace/bt2/*.c),$(B)/babeltrace-plugin-nestor.so)

UNIT_SRC  := $(wildcard tests/unit/*_test.c)
DIFF_SRC  := $(wildcard tests/diff/*_test.c)
BENCH_SRC := $(wildcard tests/bench/*_bench.c)
TEST_SUPPORT_SRC := $(filter-out $(UNIT_SRC) $(DIFF_SRC),$(wildcard tests/unit/*.c tests/diff/*.c tests/model/*.c))
TEST_SUPPORT_OBJ := $(call obj,$(TEST_SUPPORT_SRC))
TEST_PROGS  := $(patsubst %.c,$(B)/%,$(UNIT_SRC) $(DIFF_SRC))
BENCH_PROGS := $(patsubst %.c,$(B)/%,$(BENCH_SRC))

# The packages come first: when they were missing, make starts itself again once they are there.
NEEDS_NO_PACKAGES := clean help check-deps check-format install-deps
ifneq ($(filter-out $(NEEDS_NO_PACKAGES),$(or $(MAKECMDGOALS),all)),)
include $(BUILD)/.deps-ok
endif

# Owners of guest code add their images here.
GUEST_IMAGES :=
ifneq ($(wildcard $(BUILD)/.deps-ok),)
-include l1-child/l1-child.mk
-include tests/guests/guests.mk
# A directory may bring rules of its own, as for generated headers.
-include $(wildcard $(addsuffix /*.mk,$(DIRS)))
endif

# ---- targets -----------------------------------------------------------------------------------

.PHONY: all help test test-long test-linux test-programs demo bench asan ubsan tsan cov check-deps \
        check-headers check-vec check-format clean install-deps man images

all: $(if $(MAIN_OBJ),nestor-program,no-main) $(PROVIDER_SO) $(PLUGIN_SO) images man

images: $(GUEST_IMAGES)

help:
	@echo 'make [MODE=rel|dbg|asan|ubsan|tsan|cov]  build; the default mode leaves ./nestor'
	@echo 'make demo         two child hypervisors, recorded, reported and compared'
	@echo 'make test         every test; one line each, then a line with the totals'
	@echo 'make test-long    the same with longer random runs'
	@echo 'make test-linux   those of make test that boot Debian'"'"'s kernel'
	@echo 'make unit-NAME    build and run tests/unit/NAME_test.c only'
	@echo 'make bench        figures of the engine, nested round trips and the trace'
	@echo 'make asan ubsan tsan cov   the tests in that mode'
	@echo 'make check-deps check-headers check-vec check-format'
	@echo 'make install-deps install the packages of packages.txt (done by itself when missing)'
	@echo 'make clean        remove build/ and ./nestor'
	@echo 'make SOFT=1 …     go on without the files that do not compile'
	@echo 'make BUILD=DIR …  put the output under DIR instead of build'
	@echo 'make VTLB_FILL=oddeven …  the virtual TLB with in-fill counters, for contrast'

.PHONY: nestor-program no-main
nestor-program: $(PROGRAM)
ifeq ($(B),build/rel)
	@cmp -s $(PROGRAM) nestor || { cp $(PROGRAM) nestor.new && mv nestor.new nestor; }
endif

no-main: $(LIB)
	@echo 'make: $(MAIN) is missing, so no program is linked'

test: check-vec test-programs
	@tests/run --build $(BUILD) --mode $(MODE) $(TEST_ARGS)

test-long: check-vec test-programs
	@NESTOR_LONG=1 tests/run --build $(BUILD) --mode $(MODE) --timeout 1200 $(TEST_ARGS)
	@NESTOR=$(PROGRAM) tests/long/linux.sh
	@NESTOR=$(PROGRAM) tests/long/vtlb_memory.sh
	@tests/long/kvm.sh $(PROGRAM)
	@NESTOR=$(PROGRAM) tests/long/qemu_kvm.sh
	@NESTOR=$(PROGRAM) tests/long/xen.sh
	@tests/long/hotplug.sh $(PROGRAM)
	@tests/long/threads.sh $(PROGRAM)
	@tests/long/perf.sh $(PROGRAM)
	@NESTOR=$(PROGRAM) tests/long/lab8.sh
	@NESTOR=$(PROGRAM) tests/long/labs.sh
	@NESTOR=$(PROGRAM) NESTOR_MODE=$(MODE) tests/long/check.sh
	@tests/long/browser.sh $(PROGRAM)

test-linux: test-programs
	@tests/run --build $(BUILD) --mode $(MODE) e2e/linux_

test-programs: all $(TEST_PROGS)

unit-%: $(B)/tests/unit/%_test
	$<

diff-%: $(B)/tests/diff/%_test
	$<

demo: all
	@tests/demo.sh

bench: all $(BENCH_PROGS)
	@tests/bench/run --build $(BUILD) --mode $(MODE)

asan ubsan tsan:
	@$(MAKE) --no-print-directory MODE=$@ test

cov:
	@$(MAKE) --no-print-directory MODE=cov test
	@tests/coverage.sh $(BUILD)/cov

check-deps:
	@tests/check-deps.sh

check-headers: $(BUILD)/.deps-ok
	@CC='$(CC)' CPPFLAGS='$(CPPFLAGS)' tests/check-headers.sh $(HEADERS)

# The compiler must not have slipped a libc copy, fill or compare into code between exit and re-entry.
check-vec: $(LIB)
ifneq ($(filter rel dbg,$(MODE)),)
	@tests/check-vec.sh $(B)/obj $(GENERAL_REGS_OBJ)
endif

check-format:
	@tests/check-format.sh

clean:
	rm -rf $(BUILD) nestor

# ---- a fresh machine ---------------------------------------------------------------------------

install-deps:
	@rm -f $(BUILD)/.deps-ok
	@$(MAKE) --no-print-directory $(BUILD)/.deps-ok

$(BUILD)/.deps-ok: packages.txt tests/install-deps.sh
	@mkdir -p $(BUILD)
	@tests/install-deps.sh packages.txt
	@touch $@

# ---- rules -------------------------------------------------------------------------------------

src_dir = $(patsubst %/,%,$(dir $(1)))
is_general_regs = $(and $(or $(filter $(call src_dir,$(1)),$(GENERAL_REGS_DIRS)),\
    $(filter $(1),$(GENERAL_REGS_FILES))),$(filter-out %_vec.c %_cold.c,$(1)))
is_pic = $(filter $(call src_dir,$(1)),$(PIC_DIRS))
GENERAL_REGS_OBJ := $(call obj,$(foreach s,$(LIB_SRC),$(if $(call is_general_regs,$(s)),$(s))))

# gcov and the sanitizers call their run-time libraries; general registers hold there all the same.
file_flags = $(if $(call is_general_regs,$(1)),$(GENERAL_REGS)) \
    $(if $(call is_pic,$(1)),$(PIC),$(PIE)) $(CFLAGS.$(call src_dir,$(1)))

# Objects appear whole: several makes may run in one tree.
DEP = -MMD -MP -MF $(@:.o=.d) -MT $@

# With SOFT=1 a file that does not compile is left out, so that others can go on working.
soft = $(if $(SOFT),|| { rm -f $@; echo 'make: left out $<'; },)

$(B)/obj/%.o: %.c Makefile config.mk | $(BUILD)/.deps-ok
	@mkdir -p $(@D)
	@echo '  CC      $<'
	@$(CC) $(CPPFLAGS) $(CFLAGS) $(call file_flags,$<) $(DEP) -c -o $@.$$$$ $< \
	&& mv $@.$$$$ $@ $(soft)

$(LIB): $(LIB_OBJ)
	@mkdir -p $(@D)
	@rm -f $@.$$$$ && $(AR) rcs $@.$$$$ $(if $(SOFT),$$(ls $^ 2>/dev/null),$^) && mv $@.$$$$ $@

$(PROGRAM): $(MAIN_OBJ) $(LIB_OBJ)
	@echo '  LD      $@'
	@$(CC) $(CFLAGS) $(LDFLAGS) -o $@.$$$$ $(if $(SOFT),$$(ls $^ 2>/dev/null),$^) $(LIBS) && mv $@.$$$$ $@ $(soft)

$(B)/prov/%.o: %.c Makefile config.mk | $(BUILD)/.deps-ok
	@mkdir -p $(@D)
	@echo '  CC      $< (shared)'
	@$(CC) $(CPPFLAGS) -Itrace $(CFLAGS) $(PIC) $(DEP) -c -o $@ $< $(soft)

$(B)/libnestor-provider.so: $(patsubst %.c,$(B)/prov/%.o,$(PROVIDER))
	@echo '  LD      $@'
	@$(CC) $(CFLAGS) -shared $(LDOPT.$(MODE)) -o $@ $^ -llttng-ust -ldl $(soft)

$(B)/babeltrace-plugin-nestor.so: $(PLUGIN_OBJ)
	@echo '  LD      $@'
	@$(CC) $(CFLAGS) -shared $(LDOPT.$(MODE)) -o $@ $^ -lbabeltrace2 -lelf $(soft)

TEST_LIBS := -lcmocka
$(B)/tests/%: $(B)/obj/tests/%.o $(TEST_SUPPORT_OBJ) $(LIB)
	@mkdir -p $(@D)
	@$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $< $(TEST_SUPPORT_OBJ) $(LIB) $(TEST_LIBS) $(LIBS) $(soft)

# ---- man pages ---------------------------------------------------------------------------------

# One for each command, from the tables that also parse its options.
man: $(if $(MAIN_OBJ),$(BUILD)/man/.made)

$(BUILD)/man/.made: $(PROGRAM)
	@mkdir -p $(@D)/man1
	@$< man >$(@D)/man1/nestor.1
	@for c in $$($< help | awk '/^  [a-z]+ / {print $$1}' | grep -vx odd); do \
		$< man $$c >$(@D)/man1/nestor-$$c.1 || exit 1; done
	@touch $@

-include $(shell find $(B)/obj $(B)/prov -name '*.d' 2>/dev/null)
